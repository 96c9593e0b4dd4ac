"""What goes wrong on purpose, for tests."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self

from ringmq import _ringmq
from ringmq._codes import PacketType, ReasonCode

__all__ = ["Fault", "Faults"]

class Fault:
    """One fault. It holds until `remove` is called, or to the end of a `with`."""

    def __init__(self, fault: _ringmq.Fault) -> None:
        """One that holds."""
        self._fault = fault

    @property
    def hits(self) -> int:
        """How many packets had it so far."""
        return self._fault.hits

    def remove(self) -> None:
        """No packet has it any more. What is late already stays late."""
        self._fault.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class Faults:
    """What goes wrong on purpose between a broker and its clients.

    Each of the methods adds a fault for packets of one type (all when it is `None`), of the client with
    the ClientID `client`, that go `to` the `"broker"` or the `"client"`, and for the first `times` of them; what is `None`
    does not choose. A packet has the first fault that is for it. Clients that are connected have them, too. Packets of more
    than 1 MiB have none. `all` is what the extension module knows of them.
    """

    def __init__(self) -> None:
        """None so far."""
        self.all = _ringmq.Faults()

    def _add(
        self,
        what: str,
        packet: PacketType | None,
        client: str | None,
        to: Literal["broker", "client"] | None,
        times: int | None,
        seconds: float = 0,
        reason: int = ReasonCode.SERVER_UNAVAILABLE,
    ) -> Fault:
        if to not in (None, "broker", "client"):
            raise ValueError(f"a packet goes to the broker or the client, not to {to!r}")
        to_broker = None if to is None else to == "broker"
        return Fault(self.all.add(what, packet, client, to_broker, times, seconds, reason))

    def drop(
        self,
        packet: PacketType | None = None,
        *,
        client: str | None = None,
        to: Literal["broker", "client"] | None = None,
        times: int | None = None,
    ) -> Fault:
        """Packets do not arrive. `packet`, `client`, `to` and `times` choose which: see the class."""
        return self._add("drop", packet, client, to, times)

    def duplicate(
        self,
        packet: PacketType | None = None,
        *,
        client: str | None = None,
        to: Literal["broker", "client"] | None = None,
        times: int | None = None,
    ) -> Fault:
        """Packets arrive twice. `packet`, `client`, `to` and `times` choose which: see the class."""
        return self._add("duplicate", packet, client, to, times)

    def delay(
        self,
        seconds: float,
        packet: PacketType | None = None,
        *,
        client: str | None = None,
        to: Literal["broker", "client"] | None = None,
        times: int | None = None,
    ) -> Fault:
        """Packets arrive so much later, and so does everything behind them. At most 4 MiB of a connection are late: beyond
        it the broker takes it for broken. What is under way when a connection ends does not arrive.

        Args:
            seconds: How much, from 0 on, in steps of a millisecond.
            packet, client, to, times: Choose which: see the class.

        Raises:
            ValueError: A time below 0.
        """
        return self._add("delay", packet, client, to, times, seconds)

    def reset(
        self,
        packet: PacketType | None = None,
        *,
        client: str | None = None,
        to: Literal["broker", "client"] | None = None,
        times: int | None = None,
    ) -> Fault:
        """Instead of the packet comes a reset of the connection (RST). `packet`, `client`, `to` and `times` choose which: see
        the class."""
        return self._add("reset", packet, client, to, times)

    def refuse(
        self, reason: ReasonCode = ReasonCode.SERVER_UNAVAILABLE, *, client: str | None = None, times: int | None = None
    ) -> Fault:
        """Connections are refused with this reason code, or with the return code of 3.x that comes closest.

        Args:
            reason: A reason code of CONNACK from 0x80 on (MQTT 5.0, 3.2.2.2); default 0x88 Server unavailable.
            client: The ClientID of those who are refused; `None` for everybody.
            times: How many connections; `None` for all.

        Raises:
            ValueError: The code does not refuse.
        """
        return self._add("refuse", PacketType.CONNECT, client, "broker", times, reason=reason)

    def clear(self) -> None:
        """No packet has a fault any more."""
        self.all.clear()
