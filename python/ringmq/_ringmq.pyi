from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, Unpack, final

from typing_extensions import disjoint_base

from ringmq._options import BrokerOptions
from ringmq._properties import Pairs, Payload, PublishProperties

__all__ = [
    "Broker",
    "Client",
    "Fault",
    "Faults",
    "Hooks",
    "Message",
    "Notifier",
    "Pending",
    "Published",
    "Question",
    "Receipt",
    "Subscription",
    "Waker",
    "__version__",
    "after_fork",
    "before_fork",
    "flush_log",
    "forked",
    "local_certificates",
    "option_keys",
    "run",
    "set_log_level",
]

__version__: str

_SessionReport = tuple[
    str, bool, str | None, str | None, str | None, int, int, dict[str, int], int, int, int
]
_Filter = tuple[str, int, bool, bool, int]

@final
class Message:
    """A message that arrived (PUBLISH; MQTT 5.0, 3.3), or that a broker keeps or is about to let pass. Its attributes
    are read-only, and become Python objects each time they are asked for."""

    @property
    def topic(self) -> str:
        """The topic name (MQTT 5.0, 3.3.2.1), without a topic alias."""
    @property
    def payload(self) -> bytes:
        """The payload as bytes of its own, copied each time. Payload and rest of the packet have at most 268,435,455 bytes
        (MQTT 5.0, 2.1.4)."""
    @property
    def payload_view(self) -> memoryview:
        """The payload as a read-only `memoryview` of bytes, without a copy of its own. It may outlive the message."""
    @property
    def text(self) -> str:
        """The payload as text.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
    @property
    def qos(self) -> int:
        """The QoS it was delivered with, 0, 1 or 2 (MQTT 5.0, 4.3); in `Broker.retained` and `on_publish`, the QoS it was
        published with."""
    @property
    def retain(self) -> bool:
        """The RETAIN flag (MQTT 5.0, 3.3.1.3): a retained message that a subscription brought, or as published where
        Retain As Published was asked for. Always true in `Broker.retained`; in `on_publish` as the client gave it."""
    @property
    def dup(self) -> bool:
        """The DUP flag (MQTT 5.0, 3.3.1.1): a client's server may have sent it before. False for all that came to no
        client."""
    @property
    def packet_id(self) -> int:
        """The Packet Identifier (MQTT 5.0, 2.2.1) by which it came to a client, 1 to 65,535; 0 at QoS 0 and for all that
        came to no client."""
    @property
    def payload_format_indicator(self) -> int | None:
        """1 says that the payload is UTF-8 text, 0 that it is bytes; `None` where the publisher says nothing (MQTT 5.0,
        3.3.2.3.2)."""
    @property
    def message_expiry_interval(self) -> int | None:
        """Seconds until it expires, as of its delivery; in `Broker.retained`, as of that call; in `on_publish`, as the
        client gave it. `None`: never (MQTT 5.0, 3.3.2.3.3)."""
    @property
    def content_type(self) -> str | None:
        """What the payload is, usually a MIME type (MQTT 5.0, 3.3.2.3.9); `None` where the publisher does not say."""
    @property
    def response_topic(self) -> str | None:
        """The topic name where a response is expected (MQTT 5.0, 3.3.2.3.5); `None` where none is."""
    @property
    def correlation_data(self) -> bytes | None:
        """What a response is to carry, so that it is recognised (MQTT 5.0, 3.3.2.3.6); `None` where there is none."""
    @property
    def user_properties(self) -> list[tuple[str, str]]:
        """Names and values of the application's own, in their order; a name may come twice (MQTT 5.0, 3.3.2.3.7)."""
    @property
    def subscription_identifiers(self) -> list[int]:
        """Identifiers of the subscriptions it matched, 1 to 268,435,455 each (MQTT 5.0, 3.3.2.3.8); empty where they have
        none."""
    def properties_list(self) -> list[tuple[str, Any]]:
        """All properties as pairs of the specification's name and a value, in the order in which they came (MQTT 5.0,
        3.3.2.3)."""

@final
class Published:
    """What came of a publish in the process."""

    @property
    def matched(self) -> int:
        """Sessions whose subscriptions matched, each counted once; those of other programs' clients and of this program
        alike."""
    @property
    def dropped(self) -> int:
        """Of those, sessions that did not get a message of QoS 0, because their queue was full."""
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Notifier:
    """Wakes one event loop. Its descriptor is readable while somebody is to be woken."""

    def __new__(cls) -> Self: ...
    def waker(self, number: int) -> Waker:
        """What has this notifier name `number`."""
    def wake(self, number: int) -> None:
        """Names `number` now."""
    def fileno(self) -> int:
        """The descriptor, an eventfd, for the event loop to watch."""
    def take(self) -> list[int]:
        """The numbers to be woken, once each time they were."""

@final
class Waker:
    """Has a notifier name a number. Who waits for the same thing again uses the same one, which is then remembered
    once."""

    @property
    def number(self) -> int:
        """The number that the notifier names."""

@final
class Pending:
    """An answer that is on its way; for an event loop, which polls it."""

    def poll(self, waker: Waker) -> tuple[Any] | None:
        """The value in a tuple, or `None`, and then the notifier names the number once it is worth looking again."""

@final
class Subscription:
    """A session of this program in a broker, with its subscriptions: made by `Broker.subscribe`.

    Iterate over it for messages, each as long as it takes. The iteration ends when the broker has stopped or the
    option `queue_policy` has ended the session; it raises `StoppedError` when the broker has failed, and for a
    subscription that was closed before. Several threads may read; each message goes to one of them. A `with` closes
    it at its end. `len` is how many messages were handed over and wait to be read, at most 1024; a subscription is
    true even when that is 0. What waits for messages raises `ForkError` in a child of a fork.
    """

    @property
    def filters(self) -> list[str]:
        """The topic filters, as they were given."""
    @property
    def granted(self) -> list[int]:
        """The QoS granted to each filter, 0 to 2, in the order of `filters` (MQTT 5.0, 3.9.3).

        Raises:
            StoppedError: It is closed.
        """
    @property
    def name(self) -> str:
        """The ClientID of its session, as `QueueFullError.subscription` and the log tell of it.

        Raises:
            StoppedError: It is closed.
        """
    @property
    def closed(self) -> bool:
        """Whether it was closed here. Of one that has ended with its broker, `get` says so."""
    def get(self, timeout: float = 5.0) -> Message:
        """Takes the next message, waiting for it at most `timeout` seconds (from 0 on, default 5). That acknowledges it,
        unless `unacknowledged_max` was given.

        Raises:
            Timeout: None came in time.
            StoppedError: It is closed, or has ended and everything was read: the broker has stopped or failed, or the
                option `queue_policy` has ended the session.
            ValueError: A `timeout` below 0.
        """
    def get_many(self, max: int = 1000, timeout: float = 5.0) -> list[Message]:
        """Takes the messages that are there: waits for the first as `get` does, and does not wait for more.

        Args:
            max: The most to take, default 1,000; with 0 it takes none and does not wait.
            timeout: Seconds to wait for the first, from 0 on; default 5.

        Returns:
            1 to `max` messages, in the order in which they came.

        Raises:
            Timeout, StoppedError, ValueError: As for `get`.
        """
    def poll(self, waker: Waker) -> tuple[Message] | None:
        """For event loops: the next message in a tuple, or `None`, and then the waker is called when one comes.

        Raises:
            StoppedError: As for `get`.
        """
    def acknowledge(self, message: Message) -> bool:
        """Acknowledges a message that was taken, where `unacknowledged_max` was given: there is room for one more.
        Acknowledgements may come in any order. What a shared subscription has not acknowledged at QoS 1 when it ends goes
        to another of its group.

        Returns:
            Whether there was something to acknowledge: false at QoS 0, for a message that was acknowledged before or is
            another subscription's, where taking it has done so, and when the subscription has ended.

        Raises:
            ForkError: In a child of a fork.
        """
    def close(self) -> None:
        """Ends the session; messages that were not read are dropped, and who waits for one gets `StoppedError`. Without
        effect when it is closed."""
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[Message]: ...
    def __next__(self) -> Message: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...

@final
class Question:
    """A question that waits for its answer."""

    @property
    def action(self) -> Literal["connect", "connected", "disconnected", "message", "publish", "subscribe"]:
        """What it is about: `connect`, `publish` and `subscribe` ask for permission, `message` for what becomes of a
        message; `connected` and `disconnected` only tell."""
    @property
    def client_id(self) -> str:
        """The ClientID."""
    @property
    def username(self) -> str | None:
        """The user name, if there is one."""
    @property
    def password(self) -> bytes | None:
        """The password, where a client wants to connect with one."""
    @property
    def address(self) -> str | None:
        """`ADDRESS:PORT` of the client; `None` behind a Unix socket."""
    @property
    def topic(self) -> str:
        """The topic name or topic filter; empty where it is about none."""
    @property
    def reason(self) -> int | None:
        """The reason code with which a client is gone."""
    @property
    def is_will(self) -> bool:
        """Whether the message is the will of a client that connects."""
    @property
    def message(self) -> Message | None:
        """The message that a client publishes."""
    def answer(self, allowed: bool, username: str | None = None) -> None:
        """Answers; for a connection perhaps with the user name that counts from now on."""
    def refuse(self, reason: int) -> None:
        """Refuses the message for this reason."""
    def rewrite(
        self,
        topic: str | None,
        payload: Payload | None,
        retain: bool | None,
        properties: PublishProperties | None,
    ) -> None:
        """Lets the message pass as another one; what is not given stays as it is."""

@final
class Fault:
    """One fault, as long as it holds."""

    @property
    def hits(self) -> int:
        """How many packets had it so far."""
    def remove(self) -> None:
        """No packet has it any more."""

@final
class Faults:
    """All faults of one broker."""

    def __new__(cls) -> Self: ...
    def add(
        self,
        what: str,
        packet: int | None,
        client: str | None,
        to_broker: bool | None,
        times: int | None,
        seconds: float,
        reason: int,
    ) -> Fault:
        """Adds one. `what` is drop, duplicate, delay, reset or refuse; `packet` a packet's number; `seconds` is the
        delay's, `reason` the refusal's."""
    def clear(self) -> None:
        """No packet has a fault any more."""

@final
class Hooks:
    """Where questions are taken out."""

    def __new__(
        cls,
        authenticates: bool,
        authorizes: bool,
        connects: bool,
        disconnects: bool,
        publishes: bool,
        cache_seconds: float,
    ) -> Self: ...
    def missed(self) -> int:
        """How many clients came or went unnoticed since this was asked last, because too much waited."""
    def take(self, timeout: float) -> Question | None:
        """The next question; `None` when none came within `timeout` seconds, or when there will be none."""
    @property
    def closed(self) -> bool:
        """Whether no more questions are taken."""
    def open(self) -> None:
        """Takes questions again, for a broker that starts anew."""
    def close(self) -> None:
        """Takes no more questions, and lets those go who wait for one. What the program is only told stays to be taken."""

@disjoint_base
class Broker:
    """A broker in this process: made with its options, then started, then stopped, and perhaps started again."""

    def __new__(cls, **options: Unpack[BrokerOptions]) -> Self: ...
    def start(self) -> None:
        """Starts it; when this returns it accepts connections.

        Raises:
            ConfigError: A file it reads is wrong.
            StartError: The machine does not give what it needs; says what to do.
            Error: It runs already.
            ForkError: A broker was started before the process forked.
        """
    def stop(self) -> None:
        """Stops it: publishes the wills of connected clients, says goodbye and closes everything, within the option
        `stop_deadline`. Without effect when it does not run."""
    def set_hooks(self, hooks: Hooks) -> None:
        """Asks and tells these `hooks` from the next start on; who decides is asked instead of the files that the options
        name."""
    def set_faults(self, faults: Faults) -> None:
        """Has these `faults` from the next start on."""
    def reload(self, **options: Unpack[BrokerOptions]) -> list[str]:
        """Goes on with these options, all or nothing. What is not given has its default again.

        Returns:
            The names of keys whose new values take effect at the next start only.

        Raises:
            ConfigError: An option or a file is wrong; then nothing has changed.
            StoppedError: It does not run.
        """
    @property
    def is_running(self) -> bool:
        """Whether it was started and not yet stopped; true of one that has failed (`failed` says why) until it is stopped."""
    @property
    def urls(self) -> list[str]:
        """All listeners as clients write them, such as `mqtt://127.0.0.1:41373`, with the ports that were bound, in the
        order of the options.

        Raises:
            StoppedError: It does not run.
        """
    @property
    def port(self) -> int:
        """The port of the first TCP listener, 1 to 65,535; 0 where there is none.

        Raises:
            StoppedError: It does not run.
        """
    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The TCP addresses where it listens: pairs of IP address and port, in the order of the options.

        Raises:
            StoppedError: It does not run.
        """
    @property
    def driver(self) -> str:
        """How it talks to the kernel: `"epoll"` (the package's default) or `"uring"`.

        Raises:
            StoppedError: It does not run.
        """
    @property
    def shards(self) -> int:
        """How many shards it has: threads of which each serves clients of its own.

        Raises:
            StoppedError: It does not run.
        """
    @property
    def failed(self) -> str | None:
        """Which shard has panicked and why; `None` while the broker works. One that has failed has closed its ports and
        disconnected its clients, and is to be stopped.

        Raises:
            StoppedError: It does not run.
        """
    def counters(self) -> dict[str, int]:
        """The counters of all shards together, by name, since the start.

        Raises:
            StoppedError: It does not run.
        """
    def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
        **properties: Unpack[PublishProperties],
    ) -> Published:
        """Publishes a message from this program, without a connection, and returns when every session that matches has
        taken it.

        At QoS 1 and 2 it waits for room in full queues. At QoS 0 a session whose queue is full does not get the
        message, and is counted. Messages of one broker object keep their order. This program's own messages are not
        shown to `on_publish`.

        Args:
            topic: A topic name (MQTT 5.0, 4.7): no wildcards, 1 to 65,535 bytes of UTF-8, and no more levels than the
                option `topic_levels_max` says.
            payload: Text is sent as UTF-8. The whole message may have as many bytes as the option `packet_bytes_max`
                says.
            qos: 0 (default), 1 or 2 (MQTT 5.0, 4.3). A subscriber gets at most the QoS that was granted to it.
            retain: Whether it becomes the topic's retained message (MQTT 5.0, 3.3.1.3); an empty payload removes that.
            timeout: Seconds to wait for room and for the answer, from 0 on; the answer may take half a second more.
            **properties: Properties of the message (MQTT 5.0, 3.3.2.3); see `PublishProperties`.

        Returns:
            How many sessions matched, and how many of them did not get it.

        Raises:
            QueueFullError: At QoS 1 or 2 a session's queue stayed full; the others have the message.
            PublishError: Topic or properties break a rule of MQTT, the message is too large (0x95), or the broker
                refused it, such as another retained message than it may keep (0x97).
            Timeout: No answer in time; the message may still be delivered.
            StoppedError: The broker does not run, or has failed.
            ValueError: `qos`, `timeout` or a property is out of range.
            OverflowError: A number is below 0 or greater than its field.
            TypeError: A payload of another type, or a property of another name.
        """
    def publish_later(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
        **properties: Unpack[PublishProperties],
    ) -> Pending:
        """As `publish`, without waiting: hands the message in and gives its answer, which `ringmq.aio` waits for.

        Args:
            topic, payload, qos, retain, **properties: As for `publish`.
            timeout: Seconds for which full queues may hold the answer back.

        Raises:
            Timeout: The broker takes no more at present.
            PublishError, StoppedError, ValueError, OverflowError, TypeError: As for `publish`.
        """
    def publish_many(
        self,
        messages: Iterable[tuple[str, Payload]],
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
    ) -> Published:
        """Publishes many messages, one after the other, and waits for their answers together.

        Args:
            messages: Pairs of topic and payload, from any iterable; no property goes with them.
            qos, retain: As for `publish`, the same for all of them.
            timeout: Seconds for each batch of up to 256 messages, as for `publish`.

        Returns:
            The sums of what `publish` gives.

        Raises:
            QueueFullError, PublishError, Timeout, StoppedError: The first failure, as for `publish`; the other messages
                are published all the same.
            ValueError, TypeError: `qos` or `timeout` is out of range, or something is no such pair; batches before that
                have been handed in.
        """
    def session_reports(self, timeout: float) -> list[_SessionReport]:
        """The sessions of all clients, as tuples: ClientID, connected, user name, address, version, keep alive, session
        expiry interval, subscriptions, messages queued, bytes of them, messages in flight. Times are in seconds.

        Raises:
            Timeout: The broker did not answer within `timeout` seconds.
            StoppedError: It does not run.
        """
    def kick(self, client_id: str, end_session: bool, timeout: float) -> bool:
        """Disconnects the client with this `client_id`, which is told 0x98 Administrative action (MQTT 5.0, 3.14.2.1). Its
        will is published. With `end_session` its session ends, else it stays as long as it outlives a connection.

        Returns:
            Whether there was such a session.

        Raises:
            Timeout: The broker did not answer within `timeout` seconds.
            StoppedError: It does not run.
        """
    def retained_messages(self, filter: str, timeout: float) -> list[Message]:
        """The retained messages whose topics match a filter, in the order of their topics.

        Raises:
            SubscribeError: It is no topic filter.
            Timeout: The broker did not answer within `timeout` seconds.
            StoppedError: It does not run.
        """
    def reset(self, timeout: float = 5.0) -> None:
        """Makes the broker as good as new: disconnects all clients, ends their sessions, and forgets all retained messages
        but the broker's own. Subscriptions of this program stay, and so do the counters.

        Raises:
            Timeout: The broker did not answer within `timeout` seconds; default 5.
            StoppedError: It does not run.
        """
    def advance_clock(self, seconds: float, keep_alive: bool, timeout: float) -> None:
        """Sets the broker's clock ahead by `seconds`, at most ten years, and returns when what is due by then has
        happened. With `keep_alive`, clients count as silent meanwhile.

        Raises:
            ValueError: A time below 0 or of more than ten years.
            Timeout: The broker did not answer within `timeout` seconds; the clock is ahead all the same.
            StoppedError: It does not run.
        """
    def subscribe(
        self,
        *filters: str,
        qos: int = 2,
        maxlen: int = 1000,
        retain_handling: int = 0,
        retain_as_published: bool = False,
        subscription_identifier: int | None = None,
        unacknowledged_max: int = 0,
        timeout: float = 5.0,
    ) -> Subscription:
        """Subscribes this program, without a connection: opens a session, whose messages the subscription gives. Every
        publish from then on arrives. It ends by `close`, by the end of a `with`, and with the broker.

        Args:
            *filters: Topic filters (MQTT 5.0, 4.7), `$share/NAME/FILTER` included (4.8.2); at least one, and all are
                granted or none.
            qos: The maximum QoS, 0 to 2 (MQTT 5.0, 3.8.3.1). Default 2: as published.
            maxlen: Messages that may wait in the session, at least 1, default 1,000; besides, as many again, at most
                512, may have been handed over to the reader. Beyond it publishers of QoS 1 and 2 are held back, at most
                until their timeout, and messages of QoS 0 are dropped and counted.
            retain_handling: When retained messages come (MQTT 5.0, 3.8.3.1): 0 now (default), 1 unless there was such a
                subscription, 2 never.
            retain_as_published: Whether messages keep the RETAIN flag with which they were published (MQTT 5.0,
                3.8.3.1); default false.
            subscription_identifier: Comes with each message of these filters (MQTT 5.0, 3.8.2.1.2), 1 to 268,435,455.
            unacknowledged_max: How many messages of QoS 1 and 2 may be taken and not yet acknowledged by
                `Subscription.acknowledge`, 1 to 65,535, and at most what the option `inflight_messages_max` says; what
                comes then waits in the session. Default 0: taking a message acknowledges it.
            timeout: Seconds to wait for the broker, from 0 on; default 5.

        Raises:
            SubscribeError: No filter was given, one breaks a rule of MQTT or was refused, or the identifier is out of
                range.
            Timeout: No answer in time.
            StoppedError: The broker does not run, or has failed.
            ValueError: `qos`, `retain_handling` or `timeout` is out of range.
            OverflowError: A number is below 0 or greater than its field.
        """

@final
class Receipt:
    """A message that a client took for sending; the receipt tells what becomes of it."""

    @property
    def done(self) -> bool:
        """Whether the answer is there, good or bad."""
    @property
    def succeeded(self) -> bool:
        """Whether the answer is there, and good: the server has the message; at QoS 0, it was sent."""
    def wait(self, timeout: float = 30.0) -> int:
        """Waits until the server has acknowledged the message; at QoS 0 until it was sent.

        Args:
            timeout: Seconds, from 0 on; default 30.

        Returns:
            The reason code of PUBACK, or at QoS 2 of PUBREC or PUBCOMP (MQTT 5.0, 3.4.2.1, 3.5.2.1, 3.7.2.1), below
            0x80; 0 at QoS 0 and in 3.x.

        Raises:
            RequestError: The server refused the message (`reason` says why), or the session was lost.
            Timeout: No answer in time; the message may still arrive.
            StoppedError: The client was stopped before.
        """
    def poll(self, waker: Waker) -> tuple[int] | None:
        """For event loops: the reason code in a tuple, or `None`, and then the waker is called when there is news. Raises
        as `wait` does."""

@disjoint_base
class Client:
    """A client: made with its options, then connected, and perhaps disconnected and connected again."""

    def __new__(cls, url: str, /, **options: Any) -> Self: ...
    def connect(self, timeout: float = 30.0) -> None:
        """Connects and waits until the server has accepted the connection.

        Raises:
            ConnectError: It could not be made, or the server refused it; `reason` has its reason code.
            Timeout: `timeout` seconds were not enough; default 30.
        """
    def open(self, timeout: float) -> None:
        """Connects and waits until CONNECT has been sent, at most `timeout` seconds; the server's answer is an event.
        Raises as `connect` does."""
    def connect_later(self) -> Pending:
        """As `connect`, without waiting: gives the answer, which `ringmq.aio` waits for."""
    def start(self) -> None:
        """Begins to connect in the background, and goes on trying. What is asked of the client meanwhile waits."""
    @property
    def state(self) -> str:
        """`"connecting"`, `"connected"` or `"stopped"`; the last also before it was connected for the first time."""
    @property
    def client_id(self) -> str:
        """The ClientID in use: the one given, or the one the server assigned (MQTT 5.0, 3.2.2.3.7); empty until it has.

        Raises:
            StoppedError: The client is not connected, nor connecting.
        """
    @property
    def unfinished(self) -> int:
        """How many messages and requests are not sent or not answered yet.

        Raises:
            StoppedError: The client is not connected, nor connecting.
        """
    @property
    def session_present(self) -> bool:
        """Whether the server had kept the session when it accepted the present or last connection (Session Present; MQTT
        5.0, 3.2.2.1.1).

        Raises:
            StoppedError: The client is not connected, nor connecting.
        """
    def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
        **properties: Unpack[PublishProperties],
    ) -> Receipt:
        """Hands a message over for sending, and returns without waiting for the server: the receipt tells its answer.
        Without a connection the message waits for one, at QoS 0 only where the option `queue_qos0_offline` says so.

        Args:
            topic: A topic name (MQTT 5.0, 4.7): no wildcards, 1 to 65,535 bytes of UTF-8.
            payload: Text is sent as UTF-8.
            qos: 0 (default), 1 or 2 (MQTT 5.0, 4.3).
            retain: Whether it becomes the topic's retained message (MQTT 5.0, 3.3.1.3); an empty payload removes that.
            timeout: Seconds to wait for room in the client's queue, from 0 (not at all) on; default 5.
            **properties: Properties of the message (MQTT 5.0, 3.3.2.3); see `PublishProperties`. They need 5.0.

        Raises:
            QueueFullError: No room in time; the bounds are the options `queue_messages_max` and `queue_bytes_max`.
            RequestError: The message breaks a rule of MQTT, or is more than the server allows: its size, its QoS or its
                RETAIN flag (MQTT 5.0, 3.2.2.3).
            StoppedError: The client is not connected, nor connecting.
            ValueError: `qos`, `timeout` or a property is out of range.
            OverflowError: A number is greater than its field.
            TypeError: A payload of another type, or a property of another name.
        """
    def publish_later(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        **properties: Unpack[PublishProperties],
    ) -> Pending:
        """As `publish`, without waiting: gives the answer, the receipt once there was room, which `ringmq.aio` waits for.
        Arguments and what it raises as for `publish`."""
    def publish_many(
        self,
        messages: Iterable[tuple[str, Payload]],
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
    ) -> list[Receipt]:
        """Hands many messages over for sending, one after the other, as `publish` does each.

        Args:
            messages: Pairs of topic and payload, from any iterable; no property goes with them.
            qos, retain: As for `publish`, the same for all of them.
            timeout: Seconds to wait for room, for each message.

        Returns:
            A receipt for each message, in their order.

        Raises:
            QueueFullError, RequestError, StoppedError, ValueError, TypeError: As `publish`; what came before has been
                handed over, and there are no receipts.
        """
    def send_subscribe(
        self,
        filters: list[_Filter],
        identifier: int | None = None,
        user_properties: Pairs | None = None,
        timeout: float = 30.0,
    ) -> list[int]:
        """Subscribes: sends SUBSCRIBE (MQTT 5.0, 3.8) and waits for SUBACK. `subscribe` is the convenient form.

        Args:
            filters: For each the filter, QoS, No Local, Retain As Published and Retain Handling.
            identifier: Subscription Identifier, 1 to 268,435,455.
            user_properties: User properties of SUBSCRIBE, names and values.
            timeout: Seconds; default 30.

        Returns:
            A reason code for each filter (MQTT 5.0, 3.9.3).

        Raises:
            RequestError: The request is wrong, or more than the server allows.
            Timeout: No answer in time.
            StoppedError: The client is not connected, nor connecting.
        """
    def subscribe_later(
        self,
        filters: list[_Filter],
        identifier: int | None = None,
        user_properties: Pairs | None = None,
    ) -> Pending:
        """As `send_subscribe`, without waiting: gives the answer, which `ringmq.aio` waits for."""
    def send_unsubscribe(
        self, filters: list[str], user_properties: Pairs | None = None, timeout: float = 30.0
    ) -> list[int]:
        """Unsubscribes: sends UNSUBSCRIBE (MQTT 5.0, 3.10) and waits for UNSUBACK. `unsubscribe` is the convenient form.

        Args:
            filters: Topic filters, as they were subscribed to.
            user_properties: User properties of UNSUBSCRIBE, names and values.
            timeout: Seconds; default 30.

        Returns:
            A reason code for each filter (MQTT 5.0, 3.11.3).

        Raises:
            RequestError, Timeout, StoppedError: As for `send_subscribe`.
        """
    def unsubscribe_later(self, filters: list[str], user_properties: Pairs | None = None) -> Pending:
        """As `send_unsubscribe`, without waiting: gives the answer, which `ringmq.aio` waits for."""
    def get(self, timeout: float = 5.0) -> Message:
        """Takes the next message out of the queue of received ones, waiting for it at most `timeout` seconds (from 0 on,
        default 5). That acknowledges it where the option `acknowledge` is `"take"`.

        Raises:
            Timeout: None came in time.
            StoppedError: The client is stopped, and all its messages were taken; or it was never connected.
            ValueError: A `timeout` below 0.
        """
    def get_many(self, max: int = 1000, timeout: float = 5.0) -> list[Message]:
        """Takes the messages that are there: waits for the first as `get` does, and does not wait for more.

        Args:
            max: The most to take, default 1,000; with 0 it takes none and does not wait.
            timeout: Seconds to wait for the first, from 0 on; default 5.

        Returns:
            1 to `max` messages, in the order in which they came.

        Raises:
            Timeout, StoppedError, ValueError: As for `get`.
        """
    def poll(self, waker: Waker) -> tuple[Message] | None:
        """For event loops: the next message in a tuple, or `None`, and then the waker is called when one comes.

        Raises:
            StoppedError: The client is stopped, and all its messages were taken.
        """
    def poll_event(self, waker: Waker) -> tuple[str, dict[str, Any]] | None:
        """For event loops: the next event as `event` gives it, or `None`, and then the waker is called when one comes.

        Raises:
            StoppedError: The client is stopped, and all events were taken.
        """
    def event(self, timeout: float = 0.0) -> tuple[str, dict[str, Any]] | None:
        """The next event of the connection as a name and its fields, or `None` when none came within `timeout` seconds;
        default 0. `next_event` is the convenient form.

        Raises:
            StoppedError: The client is not connected, nor connecting.
        """
    def acknowledge(self, message: Message, reason: int = 0) -> bool:
        """Acknowledges a message of QoS 1 or 2, where the option `acknowledge` is `"manual"`. Acknowledgements leave in
        the order in which the messages came (MQTT 5.0, 4.6).

        Args:
            message: One that this client received.
            reason: The reason code of PUBACK or PUBREC (MQTT 5.0, 3.4.2.1 and 3.5.2.1); from 0x80 on it refuses the
                message. Default 0, Success; only 5.0 sends another.

        Returns:
            Whether there was something to acknowledge: false at QoS 0, for a message that was acknowledged before, and
            when it is too late, because the connection it came by is gone and the server sends it again.

        Raises:
            ValueError: A message that came to no client, or a number that is no reason code.
            StoppedError: The client is not connected, nor connecting.
        """
    def flush(self, timeout: float = 30.0) -> None:
        """Waits until everything was sent and answered.

        Raises:
            Timeout: Something was not finished within `timeout` seconds; default 30.
            StoppedError: The client is stopped.
        """
    def flush_later(self) -> Pending:
        """As `flush`, without waiting: gives the answer, which `ringmq.aio` waits for."""
    def disconnect(
        self,
        *,
        reason: int = 0,
        session_expiry_interval: int | None = None,
        reason_string: str | None = None,
        user_properties: Pairs | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Waits until everything was sent and answered, sends DISCONNECT and stops, within `timeout` seconds; default 30.
        What is not finished by then is dropped.

        Args:
            reason: The reason code of DISCONNECT (MQTT 5.0, 3.14.2.1); 4 has the will published. Default 0.
            session_expiry_interval: Seconds that the session outlives the connection from now on (MQTT 5.0,
                3.14.2.2.2).
            reason_string, user_properties: MQTT 5.0, 3.14.2.2.3 and 3.14.2.2.4.

        Raises:
            RequestError: A DISCONNECT that MQTT does not allow.
            Timeout: Something was not finished.
            StoppedError: The client is stopped already.
            ValueError: No reason code.
        """
    def disconnect_later(
        self,
        *,
        reason: int = 0,
        session_expiry_interval: int | None = None,
        reason_string: str | None = None,
        user_properties: Pairs | None = None,
    ) -> Pending:
        """As `disconnect`, without waiting: gives the answer, which `ringmq.aio` waits for."""
    def forget(self) -> None:
        """Closes the connection without waiting for anything; messages that were not sent are dropped."""

def forked() -> None:
    """Called in the child of a fork, before anything else of this module."""
def local_certificates() -> tuple[str, str, str]:
    """An authority's certificate, and a certificate that it vouches for with its key, for a server on this machine; all as
    PEM, new with each call, and valid at whatever time a test makes it."""
def run(arguments: list[str]) -> int:
    """Runs the command line of the `ringmq` program with these arguments, the first being its own name, and gives its exit
    code, 0 to 255. Takes over the process's signals while it serves."""
def after_fork() -> None:
    """Called behind a fork, in the parent and in the child."""
def before_fork() -> None:
    """Called before a fork, in its thread."""
def flush_log() -> None:
    """Waits until what was said so far has been given to Python's `logging`, at most a second."""
def set_log_level(level: int) -> None:
    """Says from which level of Python's `logging` on lines are made; below it they cost nothing."""
def option_keys() -> list[tuple[str, str, str, str, str, bool]]:
    """Every key of the configuration: its name, what it does, its unit, which values it takes, its default, and whether a
    reload changes it."""
