"""A client with a blocking face."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Self, TypeAlias, TypedDict, Unpack

from ringmq import _events, _ringmq, _shutdown
from ringmq._codes import ReasonCode
from ringmq._errors import StoppedError, Timeout
from ringmq._events import Event
from ringmq._properties import Pairs, Payload
from ringmq._ringmq import Message
from ringmq._will import Will

__all__ = ["Client", "ClientOptions", "Filters"]

Filters: TypeAlias = str | Sequence[str] | Mapping[str, int]


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of a client.

    Names of MQTT's own are explained in MQTT 5.0, 3.1.2 and 3.1.2.11; those marked 5.0 need it. All times are in seconds.
    """

    protocol: str
    """`"5.0"` (default), `"3.1.1"` or `"3.1"`."""
    client_id: str
    """ClientID; empty (default) lets the server assign one. 3.1 needs one."""
    clean_start: bool
    """Whether the first connection begins a new session (in 3.x every connection: clean session); default true."""
    session_expiry_interval: int
    """How long the session outlives the connection, 4,294,967,295 for ever; default 0. 5.0."""
    keep_alive: int
    """0 to 65,535, 0 turns it off; default 60."""
    username: str | None
    """User Name of CONNECT (MQTT 5.0, 3.1.3.5); default none."""
    password: str | bytes | None
    """Password of CONNECT, at most 65,535 bytes (MQTT 5.0, 3.1.3.6); text is sent as UTF-8. Default none; only 5.0 allows
    one without a user name."""
    scram: bool
    """Whether the password is proved by SCRAM-SHA-256 (RFC 7677) and not sent. 5.0."""
    will: Will | None
    """What the server publishes when the connection ends without DISCONNECT (MQTT 5.0, 3.1.2.5); default nothing."""
    receive_maximum: int
    """Messages of QoS 1 and 2 that the server may have unacknowledged, 1 to 65,535 (default). 5.0."""
    maximum_packet_size: int
    """Greatest packet accepted, bytes; default the protocol's maximum. 5.0."""
    topic_alias_maximum: int
    """Topic aliases that the server may use, 0 (default) to 65,535. 5.0."""
    request_response_information: bool
    """Whether the server is asked for Response Information; default false. 5.0."""
    request_problem_information: bool
    """Whether the server may send reason strings and user properties with errors; default true. 5.0."""
    user_properties: Pairs | None
    """User properties of CONNECT, names and values of at most 65,535 bytes each; default none. 5.0."""
    authentication_method: str | None
    """Authentication Method of CONNECT (MQTT 5.0, 4.12); default none. 5.0."""
    tls: bool
    """Whether TLS is spoken; a URL with `mqtts:` or `wss:` says so too."""
    ca_file: str | PathLike[str] | None
    """Certificates (PEM) of the authorities to trust, instead of the operating system's."""
    cert_file: str | PathLike[str] | None
    """Own certificate (PEM) with those of its issuers."""
    key_file: str | PathLike[str] | None
    """Its key (PEM, not encrypted)."""
    tls_server_name: str | None
    """The name to ask for and to check, where it is not the host's."""
    tls_any_name: bool
    """Does not check that the certificate is for the server's name. For tests."""
    tls_version_min: str
    """`"1.2"` (default) or `"1.3"`."""
    websocket_path: str | None
    """Has WebSocket spoken, and is the path to ask for, with its query; that of a `ws:` URL by default."""
    bind: str | None
    """Local IP address to connect from."""
    connect_timeout: float
    """Until the transport stands; default 10."""
    response_timeout: float
    """For CONNACK and PINGRESP; default 10."""
    publish_timeout: float
    """Without effect: `publish` has a `timeout` of its own."""
    request_timeout: float
    """Without effect: what waits for an answer has a `timeout` of its own."""
    reconnect: bool | tuple[float, float] | None
    """Whether to connect again by itself, or the first and the longest wait before; default from 0.5 to 30."""
    republish: bool
    """Whether messages that the server had not acknowledged are published as new when it has lost the session; default
    true."""
    resubscribe: bool
    """Whether subscriptions are made again when the server has lost the session; default true."""
    inflight_maximum: int
    """Messages of QoS 1 and 2 that may be unacknowledged by the server; default 1,000 in 5.0, where its Receive Maximum
    bounds it too, and 20 in 3.x."""
    queue_messages_max: int
    """Messages that may wait to be sent; default 10,000."""
    queue_bytes_max: int
    """Bytes of messages that wait or are unacknowledged; default 67,108,864. A single message may be larger."""
    queue_qos0_offline: bool
    """Whether messages of QoS 0 wait for a connection when there is none, and are not refused; default true."""
    receive_queue_messages_max: int
    """Received messages that may wait for the program before nothing more is read from the connection; default 1,000.
    What one read of at most 64 KiB brings may come on top."""
    acknowledge: str
    """`"take"` (default) acknowledges a message when the program takes it or its callback returns, `"receipt"` when it
    arrives, `"manual"` when `acknowledge` is called."""


def core_options(options: ClientOptions) -> dict[str, object]:
    """The options as the extension module takes them."""
    plain: dict[str, object] = dict(options)
    will = options.get("will")
    if will is not None:
        plain["will"] = will.fields()
    return plain


Wanted: TypeAlias = list[tuple[str, int, bool, bool, int]]


def wanted(
    filters: Filters, qos: int, no_local: bool, retain_as_published: bool, retain_handling: int
) -> Wanted:
    """Filters with their options."""
    if isinstance(filters, str):
        filters = [filters]
    each = filters.items() if isinstance(filters, Mapping) else [(name, qos) for name in filters]
    return [(name, level, no_local, retain_as_published, retain_handling) for name, level in each]


class Client(_ringmq.Client):
    """A client that blocks, or calls back.

    Args:
        url: `mqtt://HOST[:PORT]`, `mqtts://`, `ws://`, `wss://`, each with `USER[:PASSWORD]@` before the host if need be,
            or `unix:PATH`; a plain host means `mqtt://`.
        on_message: Called with each message, on a thread of this client, instead of `get` and iteration.
        on_event: Called with each event of the connection (`Connected`, `Disconnected`, ...), on the same thread.
        **options: See `ClientOptions`.

    It connects when `with` is entered or `connect` is called, and again by itself when the connection breaks, with what
    was unfinished sent again. Every queue has a bound. All of it may be used from several threads.

    Raises:
        ValueError, TypeError: An option is wrong.
    """

    def __new__(
        cls,
        url: str = "mqtt://127.0.0.1",
        /,
        *,
        on_message: Callable[[Client, Message], object] | None = None,
        on_event: Callable[[Client, Event], object] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Makes a client; it is not connected yet."""
        if "://" not in url and not url.startswith("unix:"):
            url = f"mqtt://{url}"
        plain = core_options(options)
        if on_message is not None and plain.get("acknowledge", "take") == "take":
            # By whoever calls back, once that has returned.
            plain["acknowledge"] = "manual"
        return super().__new__(cls, url, **plain)

    def __init__(
        self,
        url: str = "mqtt://127.0.0.1",
        /,
        *,
        on_message: Callable[[Client, Message], object] | None = None,
        on_event: Callable[[Client, Event], object] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Takes what `__new__` has left."""
        self._on_message = on_message
        self._on_event = on_event
        self._acknowledges = on_message is not None and options.get("acknowledge", "take") == "take"
        self._thread: threading.Thread | None = None

    def connect(self, timeout: float = 30.0) -> None:
        """Connects and waits until the server has accepted the connection.

        Raises:
            ConnectError: It could not be made, or the server refused it; `reason` has its reason code.
            Timeout: `timeout` seconds were not enough; default 30.
        """
        super().connect(timeout)
        self._begun()

    def start(self) -> None:
        """Begins to connect in the background, and goes on trying. What is asked of the client meanwhile waits.

        Raises:
            ConnectError: The options make no valid CONNECT, or there is no thread to be had.
        """
        super().start()
        self._begun()

    def _begun(self) -> None:
        _shutdown.register(self)
        is_there = self._thread is not None and self._thread.is_alive()
        if (self._on_message or self._on_event) and not is_there:
            self._thread = threading.Thread(target=self._call_back, name="ringmq-callbacks", daemon=True)
            self._thread.start()

    def _call_back(self) -> None:
        """Hands messages and events to the callbacks until the client is stopped."""
        while True:
            self._tell_events()
            if self._on_message is None:
                if self.state == "stopped":
                    return self._tell_events()
                time.sleep(0.02)
                continue
            try:
                message = self.get(timeout=0.05)
            except Timeout:
                continue
            except StoppedError:
                return self._tell_events()
            try:
                self._on_message(self, message)
            except Exception:
                _log_exception("on_message")
            if self._acknowledges:
                self._acknowledge(message)

    def _acknowledge(self, message: Message) -> None:
        try:
            self.acknowledge(message)
        except StoppedError:
            # Then the server sends it again.
            pass

    def _tell_events(self) -> None:
        while self._on_event is not None and (event := self.next_event(0.0)) is not None:
            try:
                self._on_event(self, event)
            except Exception:
                _log_exception("on_event")

    def next_event(self, timeout: float = 5.0) -> Event | None:
        """The next event of the connection; `None` when none came within `timeout` seconds (default 5), and when the client
        is stopped. The last 256 are kept."""
        try:
            found = super().event(timeout)
        except StoppedError:
            return None
        return None if found is None else _events.make(*found)

    def subscribe(
        self,
        filters: Filters,
        *,
        qos: int = 2,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        subscription_identifier: int | None = None,
        user_properties: Pairs | None = None,
        timeout: float = 30.0,
    ) -> list[ReasonCode]:
        """Subscribes and waits for the answer: a reason code for each filter, the granted QoS or an error.

        Args:
            filters: A topic filter, several, or filters with a QoS each (MQTT 5.0, 4.7).
            qos: The maximum QoS, 0, 1 or 2 (default), of filters that have none of their own.
            no_local: Whether own messages do not come back (MQTT 5.0, 3.8.3.1).
            retain_as_published: Whether messages keep the RETAIN flag with which they were published (3.8.3.1).
            retain_handling: When retained messages come (3.8.3.1): 0 now, 1 unless there was such a subscription, 2 never.
            subscription_identifier: Comes with each message of these filters (3.8.2.1.2), 1 to 268,435,455.
            user_properties: User properties of SUBSCRIBE (3.8.2.1.3), names and values.
            timeout: Seconds to wait for SUBACK; default 30.

        Raises:
            RequestError: The request is wrong, or more than the server allows.
            Timeout: No answer in time.
            StoppedError: The client is not connected, nor connecting.
        """
        request = wanted(filters, qos, no_local, retain_as_published, retain_handling)
        codes = super().send_subscribe(request, subscription_identifier, user_properties, timeout)
        return [ReasonCode(code) for code in codes]

    def unsubscribe(
        self,
        filters: str | Sequence[str],
        *,
        user_properties: Pairs | None = None,
        timeout: float = 30.0,
    ) -> list[ReasonCode]:
        """Unsubscribes and waits for the answer: a reason code for each filter (MQTT 5.0, 3.11.3).

        Args:
            filters: A topic filter or several, as they were subscribed to.
            user_properties: User properties of UNSUBSCRIBE (3.10.2.1.2), names and values.
            timeout: Seconds to wait for UNSUBACK; default 30.

        Raises:
            RequestError, Timeout, StoppedError: As for `subscribe`.
        """
        names = [filters] if isinstance(filters, str) else list(filters)
        return [ReasonCode(code) for code in super().send_unsubscribe(names, user_properties, timeout)]

    def disconnect(
        self,
        *,
        reason: int = 0,
        session_expiry_interval: int | None = None,
        reason_string: str | None = None,
        user_properties: Pairs | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Waits until everything was sent and answered, sends DISCONNECT and stops, within `timeout` seconds (default 30).

        What is not finished by then is dropped. Without effect when it is stopped.

        Args:
            reason: The reason code of DISCONNECT (MQTT 5.0, 3.14.2.1); 4 has the will published. Default 0.
            session_expiry_interval: Seconds that the session outlives the connection from now on (3.14.2.2.2).
            reason_string: Words for the server's log (3.14.2.2.3).
            user_properties: User properties of DISCONNECT (3.14.2.2.4), names and values.

        Raises:
            RequestError: A DISCONNECT that MQTT does not allow.
            Timeout: Something was not finished.
        """
        try:
            super().disconnect(
                reason=reason,
                session_expiry_interval=session_expiry_interval,
                reason_string=reason_string,
                user_properties=user_properties,
                timeout=timeout,
            )
        except StoppedError:
            pass
        finally:
            self._ended()

    def stop(self) -> None:
        """Closes the connection without waiting for anything; messages that were not sent are dropped."""
        self.forget()
        self._ended()

    def _ended(self) -> None:
        _shutdown.unregister(self)
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        self.forget()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.disconnect()

    def __iter__(self) -> Iterator[Message]:
        """Messages until the client is stopped."""
        while True:
            try:
                yield self.get(timeout=3600)
            except Timeout:
                continue
            except StoppedError:
                return

    def publish_all(self, messages: Iterable[tuple[str, Payload]], *, qos: int = 0, timeout: float = 30.0) -> None:
        """Publishes all and waits until the server has all of them.

        Args:
            messages: Pairs of topic and payload, from any iterable.
            qos: 0 (default), 1 or 2, of all of them.
            timeout: Seconds for all together; default 30.

        Raises:
            QueueFullError, ValueError, TypeError: As for `publish`.
            RequestError, Timeout, StoppedError: As for `publish` and `Receipt.wait`; the other messages were handed over.
        """
        until = time.monotonic() + timeout
        for receipt in self.publish_many(messages, qos=qos, timeout=timeout):
            receipt.wait(timeout=max(0.0, until - time.monotonic()))


def _log_exception(where: str) -> None:
    import logging

    logging.getLogger("ringmq").exception("%s raised", where)
