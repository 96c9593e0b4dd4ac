"""What a broker in this process knows of its clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringmq._broker import Broker

__all__ = ["Session", "Sessions"]


@dataclass(frozen=True)
class Session:
    """A client's session, as it was when it was asked for.

    Attributes:
        client_id: Its ClientID.
        connected: Whether its client is connected.
        username: The user name it connected with last.
        address: `ADDRESS:PORT` of its connection; `None` without one, and behind a Unix socket.
        protocol: `"3.1"`, `"3.1.1"` or `"5.0"`, `None` without a connection.
        keep_alive: Seconds, 0 for none.
        session_expiry_interval: Seconds the session outlives the connection; 4,294,967,295 is for ever.
        subscriptions: Filters with the QoS granted, the first 1,000.
        queued: Messages that wait to be sent.
        queued_bytes: Bytes of them.
        inflight: Messages of QoS 1 and 2 sent and not yet complete.
    """

    client_id: str
    connected: bool
    username: str | None
    address: str | None
    protocol: str | None
    keep_alive: int
    session_expiry_interval: int
    subscriptions: dict[str, int]
    queued: int
    queued_bytes: int
    inflight: int
    _broker: Broker = field(repr=False, compare=False)

    def kick(self, timeout: float = 5.0) -> bool:
        """Disconnects the client, which is told 0x98 Administrative action; its will is published, and its session stays
        as long as it outlives a connection.

        Returns:
            False when there is no such session any more.

        Raises:
            Timeout: The broker did not answer within `timeout` seconds; default 5.
            StoppedError: The broker does not run.
        """
        return self._broker.kick(self.client_id, False, timeout)

    def end(self, timeout: float = 5.0) -> bool:
        """As `kick`, and the session ends; `timeout`, answer and what it raises are the same."""
        return self._broker.kick(self.client_id, True, timeout)


class Sessions(Mapping[str, Session]):
    """Sessions by ClientID. Each look asks the broker anew, so iterate over it rather than asking for many by name."""

    def __init__(self, broker: Broker, only_connected: bool) -> None:
        """Of this broker; all of them, or those whose clients are connected."""
        self._broker = broker
        self._only_connected = only_connected

    def _all(self) -> dict[str, Session]:
        found = (Session(*report, self._broker) for report in self._broker.session_reports(5.0))
        return {session.client_id: session for session in found if session.connected or not self._only_connected}

    def __getitem__(self, client_id: str) -> Session:
        return self._all()[client_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)})"
