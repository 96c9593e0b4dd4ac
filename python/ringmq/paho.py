"""paho-mqtt 2.x's `Client` on RingMQ's engine: `import ringmq.paho as mqtt` in place of `import paho.mqtt.client as mqtt`.

Both versions of its callback interface are here. What is different, because another engine is below:

- the network is served by a thread of RingMQ's at all times, so `loop_start`, `loop_forever` and `loop` only call the
  callbacks, and `loop_read`, `loop_write`, `loop_misc`, `socket` and the `on_socket_*` callbacks are not there;
- packet identifiers are the engine's; `mid` counts the requests of the client, from 1 on, at QoS 0 too;
- messages of QoS 1 and 2 are acknowledged when `on_message` has returned, and a full queue of received ones stops reading
  instead of filling memory;
- `on_log` and loggers get the few lines this module has.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

from ringmq import _ringmq
from ringmq._errors import ConnectError, Error, QueueFullError, RequestError, StoppedError
from ringmq._errors import Timeout as _Timeout
from ringmq._paho_values import (
    CONNECT_KEYWORDS,
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_CONN_REFUSED,
    MQTT_ERR_INVAL,
    MQTT_ERR_KEEPALIVE,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_PROTOCOL,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    PUBLISH_KEYWORDS,
    TO_CONNACK,
    VERSIONS,
    CallbackAPIVersion,
    ConnackCode,
    ConnectFlags,
    DisconnectFlags,
    MQTTErrorCode,
    MQTTProtocolVersion,
    MQTTv5,
    MQTTv31,
    MQTTv311,
    PacketTypes,
    Properties,
    ReasonCode,
    SubscribeOptions,
    connack_string,
    error_string,
    keywords_of,
    properties_of,
    topic_matches_sub,
)

__all__ = [
    "MQTT_ERR_CONN_LOST",
    "MQTT_ERR_CONN_REFUSED",
    "MQTT_ERR_INVAL",
    "MQTT_ERR_KEEPALIVE",
    "MQTT_ERR_NO_CONN",
    "MQTT_ERR_PROTOCOL",
    "MQTT_ERR_QUEUE_SIZE",
    "MQTT_ERR_SUCCESS",
    "CallbackAPIVersion",
    "Client",
    "ConnackCode",
    "ConnectFlags",
    "DisconnectFlags",
    "MQTTErrorCode",
    "MQTTMessage",
    "MQTTMessageInfo",
    "MQTTProtocolVersion",
    "MQTTv5",
    "MQTTv31",
    "MQTTv311",
    "PacketTypes",
    "PayloadType",
    "Properties",
    "ReasonCode",
    "SubscribeOptions",
    "connack_string",
    "error_string",
    "topic_matches_sub",
]


class MQTTMessage:
    """A message that came (PUBLISH; MQTT 5.0, 3.3): `topic`, `payload` (bytes), `qos`, `retain`, `dup`, `mid` (its packet
    identifier, 0 at QoS 0) and `timestamp` (`time.monotonic` when it was taken)."""

    def __init__(self, message: _ringmq.Message) -> None:
        """From the engine's."""
        self._message = message
        self.timestamp = time.monotonic()
        self.topic = message.topic
        self.payload = message.payload
        self.qos = message.qos
        self.retain = message.retain
        self.dup = message.dup
        self.mid = message.packet_id

    @property
    def properties(self) -> Properties:
        """Its properties (MQTT 5.0, 3.3.2.3); made anew each time, empty in 3.x."""
        return properties_of(PacketTypes.PUBLISH, self._message.properties_list())


class MQTTMessageInfo:
    """What becomes of a publish: `rc`, an `MQTTErrorCode`, and `mid`, the number of the request; also a pair of both."""

    def __init__(self, mid: int, rc: MQTTErrorCode, receipt: _ringmq.Receipt | None) -> None:
        """As given."""
        self.mid = mid
        self.rc = rc
        self._receipt = receipt

    def __iter__(self) -> Any:
        return iter((self.rc, self.mid))

    def __getitem__(self, index: int) -> int:
        return (self.rc, self.mid)[index]

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Waits until the server has it, at QoS 0 until it was sent, at most `timeout` seconds; by default as long as it
        takes. Says nothing when the time is up: `is_published` does.

        Raises:
            ValueError: There was no room in the queue.
            RuntimeError: It was not handed over, the server refused it, or the client was stopped before.
        """
        if self._receipt is None:
            raise (ValueError if self.rc == MQTT_ERR_QUEUE_SIZE else RuntimeError)(
                f"Message publish failed: {error_string(self.rc)}"
            )
        try:
            self._receipt.wait(timeout=1e9 if timeout is None else timeout)
        except _Timeout:
            pass
        except (RequestError, StoppedError) as error:
            raise RuntimeError(f"Message publish failed: {error}") from error

    def is_published(self) -> bool:
        """Whether the server has it; at QoS 0, whether it was sent."""
        return self._receipt is not None and self._receipt.succeeded


PENDING_MAX = 2_000_000
"""Requests whose answers have not been told yet."""
PayloadType: TypeAlias = str | bytes | bytearray | int | float | None
"""What is published: text as UTF-8, numbers as text, `None` as nothing."""
Callback: TypeAlias = Callable[..., Any]
_Told: TypeAlias = Callable[[Any], object]


class Client:
    """A client with paho-mqtt's interface; the module says what is different, paho-mqtt's documentation all else.

    Callbacks are attributes: `on_connect`, `on_connect_fail`, `on_disconnect`, `on_message`, `on_publish`, `on_subscribe`,
    `on_unsubscribe`, `on_pre_connect` and `on_log`. One that raises ends the loop, unless `suppress_exceptions` is true.
    """

    def __init__(
        self,
        callback_api_version: CallbackAPIVersion = CallbackAPIVersion.VERSION1,
        client_id: str | None = "",
        clean_session: bool | None = None,
        userdata: Any = None,
        protocol: int = MQTTv311,
        transport: str = "tcp",
        reconnect_on_failure: bool = True,
        manual_ack: bool = False,
    ) -> None:
        """As paho-mqtt's."""
        if getattr(callback_api_version, "value", None) not in (1, 2):
            raise TypeError(
                "the first argument is CallbackAPIVersion.VERSION1 or VERSION2 (see docs/migrations.rst of paho-mqtt)"
            )
        if callback_api_version.value == 1:
            warnings.warn("callbacks of version 1 are deprecated", DeprecationWarning, stacklevel=2)
        if transport.lower() not in ("tcp", "websockets", "unix"):
            raise ValueError(f'transport must be "websockets", "tcp" or "unix", not {transport}')
        if protocol == MQTTv5 and clean_session is not None:
            raise ValueError("Clean session is not used for MQTT 5.0")
        self._is_v2 = callback_api_version.value == 2
        self._protocol = int(protocol)
        self._transport = transport.lower()
        self._client_id = client_id or ""
        self._clean = True if clean_session is None else clean_session
        if not self._clean and not self._client_id and protocol != MQTTv5:
            raise ValueError("A client id must be provided if clean session is False.")
        self._userdata = userdata
        self._options: dict[str, Any] = {"acknowledge": "manual"}
        self._manual_ack = manual_ack
        self._reconnects, self._delays = reconnect_on_failure, (1.0, 120.0)
        self._ws_path = "/mqtt"
        self._host, self._port, self._keepalive = "", 1883, 60
        self._core: _ringmq.Client | None = None
        self._connected = False
        self._lost = False
        self._refused: int | None = None
        self._mid = 0
        self._number = 1
        self._lock = threading.RLock()
        self._notifier = _ringmq.Notifier()
        self._wakers = [self._notifier.waker(0), self._notifier.waker(1)]
        self._polls: dict[int, tuple[Callable[[_ringmq.Waker], tuple[Any] | None], _ringmq.Waker, _Told]] = {}
        self._due: deque[Callable[[], object]] = deque()
        self._thread: threading.Thread | None = None
        self._stop = False
        self._loops = 0
        self._disconnecting = False
        self._filters: list[tuple[str, Callback]] = []
        self._logger: logging.Logger | None = None
        self.on_connect: Callback | None = None
        self.on_connect_fail: Callback | None = None
        self.on_disconnect: Callback | None = None
        self.on_message: Callback | None = None
        self.on_publish: Callback | None = None
        self.on_subscribe: Callback | None = None
        self.on_unsubscribe: Callback | None = None
        self.on_pre_connect: Callback | None = None
        self.on_log: Callback | None = None
        self.suppress_exceptions = False

    # ------------------------------------------------------------- settings

    def _may_change(self) -> None:
        if self._core is not None and self._core.state != "stopped":
            raise RuntimeError("this cannot be changed while the client is connected")

    @property
    def host(self) -> str:
        """The host name or address it connects to; the path of a Unix socket where that is the transport. Like all that can
        be set here, it raises `RuntimeError` while the client is connected."""
        return self._host

    @host.setter
    def host(self, host: str) -> None:
        self._may_change()
        self._host = host

    @property
    def port(self) -> int:
        """The port there, 1 to 65,535; default 1883."""
        return self._port

    @port.setter
    def port(self, port: int) -> None:
        self._may_change()
        self._port = port

    @property
    def keepalive(self) -> int:
        """Keep Alive in seconds, as the server has it once it is connected (MQTT 5.0, 3.2.2.3.14); default 60, 0 for none."""
        return self._keepalive

    @keepalive.setter
    def keepalive(self, keepalive: int) -> None:
        self._may_change()
        self._keepalive = keepalive

    @property
    def transport(self) -> str:
        """`"tcp"`, `"websockets"` or `"unix"`."""
        return self._transport

    @transport.setter
    def transport(self, transport: str) -> None:
        self._may_change()
        self._transport = transport.lower()

    @property
    def connect_timeout(self) -> float:
        """Seconds that connecting may take until the transport stands, above 0. Until it is set it says 5, as
        paho-mqtt does, and 10 hold."""
        return float(self._options.get("connect_timeout", 5.0))

    @connect_timeout.setter
    def connect_timeout(self, seconds: float) -> None:
        self._may_change()
        if seconds <= 0:
            raise ValueError("timeout must be a positive number")
        self._options["connect_timeout"] = float(seconds)

    @property
    def username(self) -> str | None:
        """The user name of CONNECT; `None` (default) for none."""
        name: str | None = self._options.get("username")
        return name

    @username.setter
    def username(self, username: str | None) -> None:
        self._may_change()
        self._options["username"] = username

    @property
    def password(self) -> str | bytes | None:
        """The password of CONNECT; `None` (default) for none."""
        password: str | bytes | None = self._options.get("password")
        return password

    @password.setter
    def password(self, password: str | bytes | None) -> None:
        self._may_change()
        self._options["password"] = password

    @property
    def max_inflight_messages(self) -> int:
        """Messages of QoS 1 and 2 that may be unfinished towards the server; default 20 (1,000 in 5.0, and says 20)."""
        return int(self._options.get("inflight_maximum", 20))

    @max_inflight_messages.setter
    def max_inflight_messages(self, messages: int) -> None:
        self._may_change()
        self._options["inflight_maximum"] = messages

    @property
    def max_queued_messages(self) -> int:
        """Messages that may wait to be sent. 0 until it is set: 10,000 then, where paho-mqtt has no bound."""
        return int(self._options.get("queue_messages_max", 0))

    @max_queued_messages.setter
    def max_queued_messages(self, messages: int) -> None:
        self._may_change()
        self.max_queued_messages_set(messages)

    def user_data_set(self, userdata: Any) -> None:
        """Sets what callbacks get as `userdata`."""
        self._userdata = userdata

    def user_data_get(self) -> Any:
        """What callbacks get as `userdata`."""
        return self._userdata

    def username_pw_set(self, username: str | None, password: str | bytes | None = None) -> None:
        """Sets user name and password of CONNECT; a password without a name is left out, in 5.0 too."""
        self._options["username"] = username
        self._options["password"] = None if username is None else password

    def will_set(
        self,
        topic: str,
        payload: Any = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Sets the will: what the server publishes when the connection ends without DISCONNECT (MQTT 5.0, 3.1.2.5), from the
        next connection on. Raises `ValueError` without a topic, or for a QoS that is not 0, 1 or 2."""
        if not topic:
            raise ValueError("Invalid topic.")
        if not 0 <= qos <= 2:
            raise ValueError("Invalid QoS level.")
        will = {"topic": topic, "payload": _payload(payload), "qos": qos, "retain": retain}
        self._options["will"] = {**will, **keywords_of(properties, PUBLISH_KEYWORDS)}

    def will_clear(self) -> None:
        """Takes the will away, from the next connection on."""
        self._options.pop("will", None)

    def tls_set(
        self,
        ca_certs: str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        cert_reqs: Any = None,
        tls_version: Any = None,
        ciphers: str | None = None,
        keyfile_password: str | None = None,
        alpn_protocols: list[str] | None = None,
    ) -> None:
        """Uses TLS. Of the arguments `cert_reqs`, `tls_version`, `ciphers` and `alpn_protocols` are not used: the engine
        has its own, and always verifies; a key with a password is refused."""
        if keyfile_password is not None:
            raise ValueError("keys with a password are not supported")
        self._options.update(tls=True, ca_file=ca_certs, cert_file=certfile, key_file=keyfile)

    def tls_insecure_set(self, value: bool) -> None:
        """Uses TLS; whether the server's name is not checked. Its certificate is verified all the same."""
        self._options.update(tls=True, tls_any_name=value)

    def ws_set_options(self, path: str = "/mqtt", headers: Any = None) -> None:
        """Sets the path of the WebSocket. Headers of one's own are not supported: `ValueError`."""
        if headers is not None:
            raise ValueError("headers are not supported")
        self._ws_path = path

    def max_inflight_messages_set(self, inflight: int) -> None:
        """Sets `max_inflight_messages`, 1 to 65,535, from the next connection on."""
        self._options["inflight_maximum"] = inflight

    def max_queued_messages_set(self, queue_size: int) -> Client:
        """Sets how many messages may wait to be sent, from the next connection on; 0 stands for a million. Raises
        `ValueError` below 0."""
        if queue_size < 0:
            raise ValueError("Invalid queue size.")
        self._options["queue_messages_max"] = queue_size or 1_000_000
        return self

    def reconnect_delay_set(self, min_delay: int = 1, max_delay: int = 120) -> None:
        """Sets the first and the longest wait before connecting again, in seconds, from the next connection on."""
        self._delays = (float(min_delay), float(max_delay))

    def manual_ack_set(self, on: bool) -> None:
        """Sets whether the program acknowledges messages of QoS 1 and 2 by `ack`, and not the end of `on_message`."""
        self._manual_ack = on

    def enable_bridge_mode(self) -> None:
        """Not supported, raises `NotImplementedError`: it has no clean form before 5.0, and there `no_local` does it."""
        raise NotImplementedError("bridge mode is not supported")

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Sends the few log lines to this logger; by default to that of the module."""
        self._logger = logger or logging.getLogger(__name__)

    def disable_logger(self) -> None:
        """Sends log lines to no logger."""
        self._logger = None

    # ----------------------------------------------------------- connection

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects and returns when CONNECT has been sent, within 10 seconds; `on_connect` tells the answer.

        Raises:
            ConnectError: Nobody listens there or the like; it is an `OSError`.
            Timeout: 10 seconds were not enough; it is an `OSError` too.
            ValueError: No host, a port or a keep alive out of range, or properties before 5.0.
        """
        self.connect_async(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return self.reconnect()

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> None:
        """Takes the same as `connect`, and connects when `loop_start` or `loop_forever` is called. `bind_port` is not used.
        Raises `ValueError` as `connect` does."""
        if not host:
            raise ValueError("Invalid host.")
        if port <= 0 and self._transport != "unix":
            raise ValueError("Invalid port number.")
        if keepalive < 0:
            raise ValueError("Keepalive must be >=0.")
        self._host, self._port, self._keepalive = host, port, keepalive
        if bind_address:
            self._options["bind"] = bind_address
        if self._protocol == MQTTv5:
            self._clean = bool(clean_start)
        elif properties is not None:
            raise ValueError("Properties only apply to MQTT 5.0")
        self._options.update(keywords_of(properties, CONNECT_KEYWORDS))

    def reconnect(self) -> MQTTErrorCode:
        """Connects once more, to the host that was given before. Returns and raises as `connect` does."""
        if not self._host:
            raise ValueError("Invalid host.")
        core = self._make()
        self._call(self.on_pre_connect)
        try:
            core.open(10.0)
        except (ConnectError, _Timeout):
            if self.on_connect_fail is not None:
                self._call(self.on_connect_fail)
            raise
        self._core = core
        return MQTT_ERR_SUCCESS

    def _make(self) -> _ringmq.Client:
        if self._transport == "unix":
            url = f"unix:{self._host}"
        else:
            scheme = "ws" if self._transport == "websockets" else "mqtt"
            host = f"[{self._host}]" if ":" in self._host else self._host
            url = f"{scheme}://{host}:{self._port}{self._ws_path if scheme == 'ws' else ''}"
        self._disconnecting = False
        self._refused = None
        return _ringmq.Client(
            url,
            protocol=VERSIONS[self._protocol],
            client_id=self._client_id,
            clean_start=self._clean,
            keep_alive=self._keepalive,
            reconnect=self._delays if self._reconnects else None,
            resubscribe=False,
            **{name: value for name, value in self._options.items() if value is not None},
        )

    def disconnect(self, reasoncode: ReasonCode | None = None, properties: Properties | None = None) -> MQTTErrorCode:
        """Sends DISCONNECT when everything was sent; `on_disconnect` tells the end. Without a loop it waits for that, at most
        2 seconds. Returns `MQTT_ERR_NO_CONN` when the client is stopped."""
        self._disconnecting = True
        core = self._core
        if core is None or core.state == "stopped":
            return MQTT_ERR_NO_CONN
        keywords = keywords_of(
            properties,
            {
                "SessionExpiryInterval": "session_expiry_interval",
                "ReasonString": "reason_string",
                "UserProperty": "user_properties",
            },
        )
        reason = 0 if reasoncode is None else int(getattr(reasoncode, "value", reasoncode))
        if self._thread is None and not self._loops:
            # Nobody would see to it later.
            try:
                core.disconnect(reason=reason, timeout=2.0, **keywords)
            except Error as error:
                self._log(logging.WARNING, f"disconnect: {error}")
            return MQTT_ERR_SUCCESS
        self._await(core.disconnect_later(reason=reason, **keywords).poll, lambda _answer: None)
        return MQTT_ERR_SUCCESS

    def is_connected(self) -> bool:
        """Whether the server has accepted the connection."""
        return self._connected

    # -------------------------------------------------------------- requests

    def _next_mid(self) -> int:
        with self._lock:
            self._mid = self._mid % 65535 + 1
            return self._mid

    def _await(self, poll: Callable[[_ringmq.Waker], tuple[Any] | None], told: _Told) -> None:
        """Calls `told` with the answer, in the loop, when it is there."""
        with self._lock:
            self._number += 1
            number = self._number
            self._polls[number] = (poll, self._notifier.waker(number), told)
        self._look(number)

    def _look(self, number: int) -> None:
        with self._lock:
            entry = self._polls.get(number)
            if entry is None:
                return
            poll, waker, told = entry
            try:
                found = poll(waker)
            except Error as error:
                del self._polls[number]
                failure = error
                self._due.append(lambda: told(failure))
            else:
                if found is None:
                    return
                del self._polls[number]
                value = found[0]
                self._due.append(lambda: told(value))
        self._wakers_wake()

    def _wakers_wake(self) -> None:
        """Something is due in the loop, which may wait."""
        self._notifier.wake(0)

    def publish(
        self,
        topic: str,
        payload: Any = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> MQTTMessageInfo:
        """Hands a message over and does not wait; `on_publish` tells when the server has it.

        Returns:
            What becomes of it; its `rc` is `MQTT_ERR_QUEUE_SIZE` when there is no room, and `MQTT_ERR_NO_CONN` when there is
            no connection: then the message waits for one, but of a client that was never connected or is stopped.

        Raises:
            ValueError: A topic with wildcards or none, a QoS that is not 0, 1 or 2, or what else MQTT does not allow.
            TypeError: A payload of another type.
        """
        if not topic and (properties is None or not hasattr(properties, "TopicAlias")):
            raise ValueError("Invalid topic.")
        if "#" in topic or "+" in topic:
            raise ValueError("Publish topic cannot contain wildcards.")
        if not 0 <= qos <= 2:
            raise ValueError("Invalid QoS level.")
        body = _payload(payload)
        mid = self._next_mid()
        core = self._core
        if core is None:
            return MQTTMessageInfo(mid, MQTT_ERR_NO_CONN, None)
        if len(self._polls) >= PENDING_MAX:
            # Nobody calls the loop, or far too seldom.
            return MQTTMessageInfo(mid, MQTT_ERR_QUEUE_SIZE, None)
        try:
            keywords = keywords_of(properties, PUBLISH_KEYWORDS)
            receipt = core.publish(topic, body, qos=qos, retain=retain, timeout=0, **keywords)
        except QueueFullError:
            return MQTTMessageInfo(mid, MQTT_ERR_QUEUE_SIZE, None)
        except StoppedError:
            return MQTTMessageInfo(mid, MQTT_ERR_NO_CONN, None)
        except RequestError as error:
            raise ValueError(str(error)) from error
        info = MQTTMessageInfo(mid, MQTT_ERR_SUCCESS if self._connected else MQTT_ERR_NO_CONN, receipt)
        self._await(receipt.poll, lambda answer: self._published(mid, answer))
        return info

    def subscribe(
        self,
        topic: Any,
        qos: int = 0,
        options: SubscribeOptions | None = None,
        properties: Properties | None = None,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribes and does not wait; `on_subscribe` tells the answer.

        Args:
            topic: A topic filter, a pair of one with its QoS or `SubscribeOptions`, or a list of such pairs.
            qos: The maximum QoS, 0 (default), 1 or 2.
            options: In its place `SubscribeOptions` (5.0).
            properties: `SubscriptionIdentifier` and `UserProperty` (MQTT 5.0, 3.8.2.1).

        Returns:
            `MQTT_ERR_SUCCESS` and the number of the request, or `MQTT_ERR_NO_CONN` and `None` when the client is stopped.

        Raises:
            ValueError: No topic filter, or a QoS that is not 0, 1 or 2.
        """
        wanted = _wanted(topic, qos, options)
        core = self._core
        if core is None or core.state == "stopped":
            return MQTT_ERR_NO_CONN, None
        mid = self._next_mid()
        identifier = _first(getattr(properties, "SubscriptionIdentifier", None))
        try:
            pending = core.subscribe_later(wanted, identifier, getattr(properties, "UserProperty", None))
        except StoppedError:
            return MQTT_ERR_NO_CONN, None
        self._await(pending.poll, lambda answer: self._subscribed(mid, answer))
        return MQTT_ERR_SUCCESS, mid

    def unsubscribe(
        self, topic: str | Sequence[str], properties: Properties | None = None
    ) -> tuple[MQTTErrorCode, int | None]:
        """Unsubscribes from a topic filter or several, and does not wait; `on_unsubscribe` tells the answer. Returns as
        `subscribe` does; raises `ValueError` without a filter."""
        names = [topic] if isinstance(topic, str) else list(topic)
        if not names or not all(names):
            raise ValueError("Invalid topic.")
        core = self._core
        if core is None or core.state == "stopped":
            return MQTT_ERR_NO_CONN, None
        mid = self._next_mid()
        pending = core.unsubscribe_later(names, getattr(properties, "UserProperty", None))
        self._await(pending.poll, lambda answer: self._unsubscribed(mid, answer))
        return MQTT_ERR_SUCCESS, mid

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledges the message with this `mid`, where `manual_ack` says that the program does; `qos` is not used. Always
        `MQTT_ERR_SUCCESS`, also where there is no such message."""
        message = self._unacknowledged.pop(mid, None)
        if message is not None and self._core is not None:
            self._core.acknowledge(message)
        return MQTT_ERR_SUCCESS

    @property
    def _unacknowledged(self) -> dict[int, _ringmq.Message]:
        waiting: dict[int, _ringmq.Message] = self.__dict__.setdefault("_waiting_acks", {})
        return waiting

    def message_callback_add(self, sub: str, callback: Callback) -> None:
        """Calls `callback` for messages that match the topic filter `sub`, instead of `on_message`. Raises `ValueError`
        without a filter."""
        if not sub:
            raise ValueError("sub and callback must both be defined.")
        self.message_callback_remove(sub)
        self._filters.append((sub, callback))

    def message_callback_remove(self, sub: str) -> None:
        """Takes the callback of this topic filter away; without effect where there is none."""
        self._filters = [(other, callback) for other, callback in self._filters if other != sub]

    # ------------------------------------------------------------- callbacks

    def _call(self, callback: Callback | None, *arguments: Any) -> None:
        if callback is None:
            return
        try:
            callback(self, self._userdata, *arguments)
        except Exception:
            if not self.suppress_exceptions:
                raise

    def _log(self, level: int, text: str) -> None:
        if self._logger is not None:
            self._logger.log(level, "%s", text)
        if self.on_log is not None:
            self._call(self.on_log, 16 if level == logging.DEBUG else 1, text)

    def _published(self, mid: int, answer: int | Error) -> None:
        code = 0x80 if isinstance(answer, Error) else answer
        if isinstance(answer, RequestError) and answer.reason is not None:
            code = int(answer.reason)
        elif isinstance(answer, Error):
            return
        if self._is_v2:
            self._call(self.on_publish, mid, ReasonCode(PacketTypes.PUBACK, identifier=code), Properties(PacketTypes.PUBACK))
        else:
            self._call(self.on_publish, mid)

    def _subscribed(self, mid: int, answer: list[int] | Error) -> None:
        if isinstance(answer, Error):
            self._log(logging.WARNING, f"subscribe failed: {answer}")
            return
        codes = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in answer]
        properties = Properties(PacketTypes.SUBACK)
        if self._is_v2:
            self._call(self.on_subscribe, mid, codes, properties)
        elif self._protocol == MQTTv5:
            self._call(self.on_subscribe, mid, codes, properties)
        else:
            self._call(self.on_subscribe, mid, tuple(answer))

    def _unsubscribed(self, mid: int, answer: list[int] | Error) -> None:
        if isinstance(answer, Error):
            self._log(logging.WARNING, f"unsubscribe failed: {answer}")
            return
        codes = [ReasonCode(PacketTypes.UNSUBACK, identifier=code) for code in answer]
        properties = Properties(PacketTypes.UNSUBACK)
        if self._is_v2:
            self._call(self.on_unsubscribe, mid, codes, properties)
        elif self._protocol == MQTTv5:
            self._call(self.on_unsubscribe, mid, properties, codes)
        else:
            self._call(self.on_unsubscribe, mid)

    def _tell_connect(self, code: int, session_present: bool, pairs: Iterable[tuple[str, Any]]) -> None:
        properties = properties_of(PacketTypes.CONNACK, pairs)
        reason = ReasonCode(PacketTypes.CONNACK, identifier=code)
        if self._is_v2:
            self._call(self.on_connect, ConnectFlags(session_present), reason, properties)
        elif self._protocol == MQTTv5:
            self._call(self.on_connect, {"session present": int(session_present)}, reason, properties)
        else:
            rc = ConnackCode(0 if code == 0 else TO_CONNACK.get(code, 3))
            self._call(self.on_connect, {"session present": int(session_present)}, rc)

    def _tell_disconnect(self, error: Error | None) -> None:
        reason = error.reason if isinstance(error, ConnectError) else None
        code = 0 if error is None else 0x80 if reason is None else int(reason)
        properties = Properties(PacketTypes.DISCONNECT)
        if isinstance(error, ConnectError) and error.reason_string is not None:
            properties.ReasonString = error.reason_string
        if self._is_v2:
            flags = DisconnectFlags(reason is not None)
            self._call(self.on_disconnect, flags, ReasonCode(PacketTypes.DISCONNECT, identifier=code), properties)
        elif self._protocol == MQTTv5:
            told: Any = MQTTErrorCode.MQTT_ERR_CONN_LOST if error is not None else MQTT_ERR_SUCCESS
            if reason is not None:
                told = ReasonCode(PacketTypes.DISCONNECT, identifier=code)
            given = properties if getattr(properties, "ReasonString", None) is not None else None
            self._call(self.on_disconnect, told, given)
        else:
            lost = MQTTErrorCode.MQTT_ERR_CONN_LOST if error is not None else MQTT_ERR_SUCCESS
            self._call(self.on_disconnect, lost)

    def _happened(self, name: str, fields: dict[str, Any]) -> None:
        if name == "connected":
            self._connected, self._refused = True, None
            given = dict(fields["properties"])
            self._keepalive = given.get("Server Keep Alive", self._keepalive)
            self._tell_connect(0, fields["session_present"], fields["properties"])
        elif name == "disconnected":
            error = fields["error"]
            if fields["was_connected"]:
                self._connected, self._lost = False, True
                self._tell_disconnect(error)
            elif isinstance(error, ConnectError) and error.reason is not None:
                self._refused = int(error.reason)
                self._tell_connect(self._refused, False, [])
                self._tell_disconnect(error)
            elif self.on_connect_fail is not None:
                self._call(self.on_connect_fail)
        elif name == "stopped":
            was_connected, self._connected = self._connected, False
            if was_connected:
                self._tell_disconnect(None)

    def _arrived(self, message: _ringmq.Message) -> None:
        if self._manual_ack and message.qos > 0:
            self._unacknowledged[message.packet_id] = message
        seen = MQTTMessage(message)
        matching = [callback for sub, callback in self._filters if topic_matches_sub(sub, message.topic)]
        for callback in matching:
            self._call(callback, seen)
        if not matching:
            self._call(self.on_message, seen)
        if not self._manual_ack and message.qos > 0 and self._core is not None:
            self._core.acknowledge(message)

    # ------------------------------------------------------------------ loop

    def _turn(self) -> bool:
        """Calls the callbacks for what has happened; false once the client has stopped and everything was told."""
        for number in self._notifier.take():
            if number > 1:
                self._look(number)
        core = self._core
        if core is None:
            return not self._disconnecting
        try:
            while (event := core.poll_event(self._wakers[1])) is not None:
                self._happened(*event)
                self._call_due()
        except StoppedError:
            while self._take(core):
                pass
            self._call_due()
            return False
        self._call_due()
        for _ in range(100):
            if not self._take(core):
                return True
        self._wakers_wake()
        return True

    def _take(self, core: _ringmq.Client) -> bool:
        """Calls back for the next message, if there is one."""
        try:
            found = core.poll(self._wakers[0])
        except StoppedError:
            return False
        if found is None:
            return False
        self._arrived(found[0])
        self._call_due()
        return True

    def _call_due(self) -> None:
        while self._due:
            self._due.popleft()()

    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """Calls the callbacks for what has happened, waiting at most `timeout` seconds (default 1) for something. Returns
        `MQTT_ERR_CONN_LOST` when the connection was lost meanwhile, `MQTT_ERR_NO_CONN` when the client is stopped."""
        if self._core is None:
            return MQTT_ERR_NO_CONN
        with selectors.DefaultSelector() as selector:
            selector.register(self._notifier.fileno(), selectors.EVENT_READ)
            self._lost = False
            alive = self._turn()
            if alive and not self._lost:
                selector.select(timeout)
                alive = self._turn()
        if self._lost:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return MQTT_ERR_SUCCESS if alive else MQTT_ERR_NO_CONN

    def loop_start(self) -> MQTTErrorCode:
        """Calls the callbacks on a thread, until `loop_stop`. Returns `MQTT_ERR_INVAL` when it does already."""
        if self._thread is not None:
            return MQTT_ERR_INVAL
        self._stop = False
        self._thread = threading.Thread(target=self._run, args=(True,), name=f"ringmq-paho-{self._client_id}", daemon=True)
        self._thread.start()
        return MQTT_ERR_SUCCESS

    def loop_stop(self) -> MQTTErrorCode:
        """Ends the thread of `loop_start`, and waits for it. Returns `MQTT_ERR_INVAL` when there is none."""
        thread = self._thread
        if thread is None:
            return MQTT_ERR_INVAL
        self._stop = True
        self._wakers_wake()
        if thread is not threading.current_thread():
            thread.join()
            self._thread = None
        return MQTT_ERR_SUCCESS

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Calls the callbacks until the client has disconnected. `timeout` is not used. With `retry_first_connection` it goes
        on trying where the first attempt to connect fails; else that raises as `connect` does."""
        self._stop = False
        return self._run(retry_first_connection)

    def _run(self, retry_first_connection: bool) -> MQTTErrorCode:
        if self._core is None and self._host:
            core = self._make()
            self._call(self.on_pre_connect)
            if retry_first_connection:
                core.start()
            else:
                core.open(10.0)
            self._core = core
        self._loops += 1
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._notifier.fileno(), selectors.EVENT_READ)
                while self._turn() and not self._stop:
                    selector.select(1.0)
        finally:
            self._loops -= 1
        return MQTT_ERR_SUCCESS

    def __del__(self) -> None:
        core = self.__dict__.get("_core")
        if core is not None:
            core.forget()


def _first(value: Any) -> Any:
    """One of a list."""
    return value[0] if hasattr(value, "__len__") else value


def _payload(payload: Any) -> bytes:
    """A payload as paho-mqtt takes it."""
    if payload is None:
        return b""
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, bytes | bytearray):
        return bytes(payload)
    if isinstance(payload, int | float):
        return str(payload).encode("ascii")
    raise TypeError("payload must be a string, bytearray, int, float or None.")


def _wanted(topic: Any, qos: int, options: SubscribeOptions | None) -> list[tuple[str, int, bool, bool, int]]:
    """Filters as paho-mqtt takes them: one, a pair, or a list of pairs."""
    if isinstance(topic, tuple):
        pair = cast(tuple[str, Any], topic)
        topic, second = pair
        options, qos = (None, second) if isinstance(second, int) else (cast(SubscribeOptions, second), 0)
    if isinstance(topic, str):
        if not topic:
            raise ValueError("Invalid topic.")
        pairs: list[tuple[str, Any]] = [(topic, qos if options is None else options)]
    else:
        pairs = list(cast(Iterable[tuple[str, Any]], topic))
    wanted: list[tuple[str, int, bool, bool, int]] = []
    for name, how in pairs:
        if not name:
            raise ValueError("Invalid topic.")
        if isinstance(how, int):
            if not 0 <= how <= 2:
                raise ValueError("Invalid QoS level.")
            wanted.append((name, how, False, False, 0))
        else:
            wanted.append((name, how.QoS, how.noLocal, how.retainAsPublished, how.retainHandling))
    if not wanted:
        raise ValueError("Empty topic list")
    return wanted
