"""What happens to a client's connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ringmq._codes import ReasonCode
from ringmq._errors import ConnectError, Error

__all__ = ["Connected", "Disconnected", "Event", "ResubscribeRefused", "Stopped", "make"]


@dataclass(frozen=True)
class Connected:
    """The server accepted a connection (CONNACK; MQTT 5.0, 3.2).

    Attributes:
        session_present: Whether it had kept the session.
        assigned_client_id: The ClientID that it assigned; `None` where the client has one of its own.
    """

    session_present: bool
    assigned_client_id: str | None = None


@dataclass(frozen=True)
class Disconnected:
    """A connection ended, or an attempt to connect failed.

    Attributes:
        error: Why.
        was_connected: Whether the server had accepted the connection.
        retry_in: Seconds until the next attempt; `None` when there is none.
    """

    error: ConnectError
    was_connected: bool
    retry_in: float | None


@dataclass(frozen=True)
class ResubscribeRefused:
    """The server had lost the session, and did not grant a subscription again.

    Attributes:
        filter: The topic filter of that subscription.
        reason: The reason code of SUBACK (MQTT 5.0, 3.9.3), 0x80 or above.
    """

    filter: str
    reason: ReasonCode


@dataclass(frozen=True)
class Stopped:
    """The last event.

    Attributes:
        error: Why connecting again would not help; `None` after a disconnect of one's own.
    """

    error: Error | None = None


Event: TypeAlias = Connected | Disconnected | ResubscribeRefused | Stopped
"""What `on_event` is called with, and `next_event` gives."""


def make(name: str, fields: dict[str, object]) -> Event | None:
    """The event of this name; `None` for one that this version does not know."""
    match name, fields:
        case "connected", {"session_present": bool(present), "assigned_client_id": assigned}:
            return Connected(present, assigned if isinstance(assigned, str) else None)
        case "disconnected", {"error": ConnectError() as error, "was_connected": bool(was), "retry_in": retry}:
            return Disconnected(error, was, retry if isinstance(retry, float) else None)
        case "resubscribe_refused", {"filter": str(filter), "reason": int(reason)}:
            return ResubscribeRefused(filter, ReasonCode(reason))
        case "stopped", _:
            why = fields.get("error")
            return Stopped(why if isinstance(why, Error) else None)
        case _:
            return None
