"""A broker in this process."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from ringmq import _ringmq, _shutdown
from ringmq._errors import ConfigError, Error
from ringmq._faults import Faults
from ringmq._hooks import (
    Authenticate,
    Authorize,
    HookFunctions,
    OnConnect,
    OnDisconnect,
    OnPublish,
    Workers,
)
from ringmq._options import BrokerOptions
from ringmq._ringmq import Message
from ringmq._sessions import Sessions

if TYPE_CHECKING:
    import asyncio

__all__ = ["Broker", "Clock"]


def _is_local(options: BrokerOptions) -> bool:
    """Whether it listens on this machine only, as far as its options say by themselves."""
    if options.get("config_file") is not None or options.get("config_text") is not None:
        return False
    places: list[str] = []
    for given in (options.get("listen"), options.get("bind")):
        if given is not None:
            places += given.split(",") if isinstance(given, str) else given
    hosts = ("127.", "[::1]", "localhost", "::1")
    return all(place.startswith("unix:") or place.split("://")[-1].strip().startswith(hosts) for place in places)


class Clock:
    """The clock of one broker, which tests turn forward."""

    def __init__(self, broker: Broker) -> None:
        """Of this broker."""
        self._broker = broker

    def advance(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        keep_alive: bool = False,
        timeout: float = 5.0,
    ) -> None:
        """Lets this much time pass at once for sessions that expire, messages that expire, wills with a delay and logins
        that end, and returns when what is due has happened.

        `days`, `hours`, `minutes` and `seconds` are added up, to at most ten years. Clients stay connected, unless
        `keep_alive` says that all of them have been silent meanwhile. Time of the rest of the program, and of clients, goes
        on as it did.

        Raises:
            ValueError: A time below 0 or of more than ten years.
            Timeout: The broker did not answer within `timeout` seconds; default 5.
            StoppedError: It does not run.
        """
        passed = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        self._broker.advance_clock(passed, keep_alive, timeout)


class Broker(_ringmq.Broker):
    """A broker in this process: the same as the `ringmq` program, on threads of its own.

    Keyword arguments are the keys of the configuration file (`ringmq config doc` lists them), with Python's types: a
    number of seconds (`float` or `timedelta`) where a key counts time, a list where it takes several, a path where it
    names a file. Besides, `config_file` names a configuration file (RingMQ's own or a mosquitto.conf), `config_text` is
    the text of one, and `listen` is a short name of `bind`. Without any it listens on a free port of 127.0.0.1 (and of
    ::1, where there is IPv6).

    It accepts connections when `start` returns or `with` is entered. It may be stopped and started again. Any number may
    run in a process; all are stopped when the interpreter ends.

    Args:
        authenticate: Called with a `ConnectQuestion` for each client that wants to connect, instead of looking into
            password files and tokens: true lets it in, a text lets it in by this user name, false refuses it with 0x86 Bad
            user name or password.
        authorize: Called with an `AccessQuestion` for each topic a client wants to publish to and each filter it wants to
            subscribe to, instead of looking into ACL files. Denied publishes get 0x87 Not authorized, or what the option
            `deny_publish` says.
        on_connect: Called with a `ClientConnected` when a client has connected.
        on_disconnect: Called with a `ClientDisconnected` when a client that had connected is gone.
        on_publish: Called with a `PublishQuestion` for each message that a client may publish, and for the will of one that
            connects: `None` or true lets it pass, a `Rewrite` changes it, false refuses it with 0x87 Not authorized, and a
            `ReasonCode` with that. Messages of this program itself are not shown. The client's later packets wait
            meanwhile, so that their order holds.
        hook_cache: Seconds for which an answer of `authorize` holds for the same client, user name and topic; 0 asks each
            time. At most 10,000 answers are kept.
        hook_threads: Threads that call these functions, which may be coroutine functions: those run on the event loop of
            `ringmq.aio.Broker`, else each on a loop of its own.
        faults: Whether `broker.faults` can make things go wrong between it and its clients, for tests. All their bytes are
            looked at then.
        **options: See above.

    A function that raises denies, and is logged; one that takes longer than the option `decision_timeout` (5 seconds) finds
    its client refused. They never run on a core of the broker; with one thread, and where they are no coroutine functions,
    they are called in the order in which things happen. At most 10,000 questions and 64 MiB of them wait: beyond it
    clients are refused with 0x89 Server busy, messages with 0x97 Quota exceeded (a client of 3.x is disconnected), and
    subscriptions as not authorized; of clients that come and go it is only logged how many there were.

    Raises:
        ConfigError: An option is wrong; says which, and the nearest valid one.
    """

    def __new__(
        cls,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        on_connect: OnConnect | None = None,
        on_disconnect: OnDisconnect | None = None,
        on_publish: OnPublish | None = None,
        hook_cache: float = 60.0,
        hook_threads: int = 1,
        faults: bool = False,
        **options: Unpack[BrokerOptions],
    ) -> Self:
        """Makes a broker; it does not run yet."""
        return super().__new__(cls, **options)

    def __init__(
        self,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        on_connect: OnConnect | None = None,
        on_disconnect: OnDisconnect | None = None,
        on_publish: OnPublish | None = None,
        hook_cache: float = 60.0,
        hook_threads: int = 1,
        faults: bool = False,
        **options: Unpack[BrokerOptions],
    ) -> None:
        """Takes what `__new__` has left."""
        self._starting = threading.RLock()
        self._workers: Workers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._faults = Faults() if faults else None
        if self._faults is not None:
            self.set_faults(self._faults.all)
        files = [name for name in ("password_file", "acl_file", "jwt_keys", "http_auth_url") if options.get(name)]
        functions = HookFunctions(authenticate, authorize, on_connect, on_disconnect, on_publish)
        if functions == HookFunctions():
            return
        self._workers = Workers(functions, hook_cache, hook_threads)
        weakref.finalize(self, self._workers.hooks.close)
        self.set_hooks(self._workers.hooks)
        if authenticate is None and authorize is None:
            return
        if files:
            text = f"{files[0]} would not be looked into, because authenticate or authorize is asked instead"
            raise ConfigError(text)
        if authenticate is None and options.get("allow_anonymous") is not True and not _is_local(options):
            text = (
                "authorize alone lets in everybody who reaches an address beyond this machine: give authenticate as well, "
                "or allow_anonymous=True"
            )
            raise ConfigError(text)
        if authenticate is None and options.get("allow_anonymous") in (False, "false"):
            raise ConfigError("authorize does not know who is anonymous: give authenticate as well")

    def run_hooks_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs hooks that are coroutine functions on `loop`, from the next start on."""
        self._loop = loop

    @property
    def url(self) -> str:
        """The first listener as clients write it, such as `mqtt://127.0.0.1:41373`.

        Raises:
            StoppedError: It does not run.
        """
        return self.urls[0]

    def reload(self, **options: Unpack[BrokerOptions]) -> list[str]:
        """Goes on with these `options`, all or nothing: users, permissions, certificates, bounds and listeners, and all files
        are read anew. Who is connected stays. What is not given has its default again, so give what was given at first;
        `authenticate` and `authorize` stay.

        Returns:
            The names of keys whose new values take effect at the next start only.

        Raises:
            ConfigError: An option or a file is wrong; then nothing has changed.
            StoppedError: It does not run.
        """
        return super().reload(**options)

    @property
    def clock(self) -> Clock:
        """The broker's clock: `broker.clock.advance(hours=2)`."""
        return Clock(self)

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose: `broker.faults.drop(PacketType.PUBACK, client="a", times=1)`.

        Raises:
            Error: It was made without `faults=True`.
        """
        if self._faults is None:
            raise Error("nothing goes wrong at this broker: make it with faults=True")
        return self._faults

    @property
    def clients(self) -> Sessions:
        """The sessions whose clients are connected, by ClientID: `list(broker.clients)`, `broker.clients["a"].kick()`."""
        return Sessions(self, only_connected=True)

    @property
    def sessions(self) -> Sessions:
        """The sessions of all clients, connected or not, by ClientID."""
        return Sessions(self, only_connected=False)

    def retained(self, filter: str = "#", timeout: float = 5.0) -> dict[str, Message]:
        """The retained messages that match a filter, by topic and in the order of topics.

        Raises:
            SubscribeError: `filter` is no topic filter (MQTT 5.0, 4.7).
            Timeout: The broker did not answer within `timeout` seconds; default 5.
            StoppedError: It does not run.
        """
        return {message.topic: message for message in self.retained_messages(filter, timeout)}

    def stats(self) -> dict[str, int]:
        """Everything the broker counts, by name, since it started.

        Raises:
            StoppedError: It does not run.
        """
        return self.counters()

    def start(self) -> None:
        """Starts it; when this returns it accepts connections.

        Raises:
            ConfigError: A file it reads is wrong.
            StartError: The machine does not give what it needs; says what to do.
            Error: It runs already.
            ForkError: A broker was started before the process forked.
        """
        with self._starting:
            if self.is_running:
                raise Error("the broker runs already")
            if self._workers is not None:
                self._workers.start(self._loop)
            try:
                super().start()
            except BaseException:
                if self._workers is not None:
                    self._workers.stop()
                raise
            _shutdown.register(self)

    def stop(self) -> None:
        """Stops it: publishes the wills of connected clients, says goodbye, and closes everything, within the option
        `stop_deadline`. Without effect when it does not run."""
        with self._starting:
            _shutdown.unregister(self)
            super().stop()
            if self._workers is not None:
                self._workers.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.stop()
