"""Everything that RingMQ raises. All of it is an `Error`; what Python has a word for is that as well."""

from __future__ import annotations

from ringmq._codes import ReasonCode

__all__ = [
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "Error",
    "ForkError",
    "PublishError",
    "QueueFullError",
    "RequestError",
    "StartError",
    "StoppedError",
    "SubscribeError",
    "Timeout",
]


class Error(Exception):
    """What every exception of this package is."""


class Timeout(Error, TimeoutError):
    """The time was up. A message that was taken may still be delivered."""


class StoppedError(Error):
    """The broker, subscription or client is not running (any more)."""


class ForkError(Error):
    """The object was made before the process forked, and its threads live in the parent."""


class StartError(Error):
    """The machine does not give what a broker needs; the text says what to do."""


class ConfigError(Error, ValueError):
    """Options are wrong. `errors` has a line for each mistake, with its place and the nearest valid name."""

    errors: list[str]

    def __init__(self, text: str, *, errors: list[str] | None = None) -> None:
        super().__init__(text)
        self.errors = [text] if errors is None else errors


class _Refused(Error):
    """Something was refused, perhaps with a reason code."""

    reason: ReasonCode | None

    def __init__(self, text: str, *, reason: int | None = None) -> None:
        super().__init__(text)
        self.reason = None if reason is None else ReasonCode(reason)


class PublishError(_Refused):
    """A publish in the process was refused. `reason`: the reason code of PUBACK (MQTT 5.0, 3.4.2.1), where there is one."""


class RequestError(_Refused):
    """A client's request is wrong or was refused by the server. `reason`: its reason code, where there is one."""


class QueueFullError(PublishError, RequestError):
    """There was no room in time: publish slower, or let the receiver read faster.

    In the process, `subscription` is the ClientID of a session whose queue stayed full, `matched` how many sessions
    matched and `dropped` how many of them did not get the message. From a client, its own queue is full.
    """

    subscription: str
    matched: int
    dropped: int

    def __init__(self, text: str, *, subscription: str = "", matched: int = 0, dropped: int = 0) -> None:
        super().__init__(text)
        self.subscription = subscription
        self.matched = matched
        self.dropped = dropped


class SubscribeError(_Refused):
    """A subscription in the process was refused. `filter` says which filter, `reason` the reason code, where there is one."""

    filter: str | None

    def __init__(self, text: str, *, filter: str | None = None, reason: int | None = None) -> None:
        super().__init__(text, reason=reason)
        self.filter = filter


class ConnectError(_Refused, ConnectionError):
    """No connection, or it ended.

    `reason`: the reason code of CONNACK or DISCONNECT, where the server gave one (a return code of 3.x as the code of
    5.0 that means the same). `reason_string`, `server_reference`: the server's words and where it sends its clients.
    `temporary`: whether trying again may help without anybody changing anything.
    """

    reason_string: str | None
    server_reference: str | None
    temporary: bool

    def __init__(
        self,
        text: str,
        *,
        reason: int | None = None,
        reason_string: str | None = None,
        server_reference: str | None = None,
        temporary: bool = False,
    ) -> None:
        super().__init__(text, reason=reason)
        self.reason_string = reason_string
        self.server_reference = server_reference
        self.temporary = temporary


class ConnectTimeout(ConnectError, Timeout):
    """The server did not answer in time."""
