"""Brokers and clients for asyncio.

    async with ringmq.aio.Broker() as broker, ringmq.aio.Client(broker.url) as client:
        await client.subscribe("home/#", qos=1)
        await client.publish("home/kitchen", "21.5", qos=1)
        async for message in client:
            print(message.topic, message.text)

Nothing here blocks the event loop, and nothing polls: the broker's and the client's threads wake it through a descriptor.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from ringmq import _ringmq, _shutdown
from ringmq._broker import Broker as _Broker
from ringmq._client import ClientOptions, Filters, core_options, wanted
from ringmq._codes import ReasonCode
from ringmq._errors import StoppedError
from ringmq._hooks import Authenticate, Authorize, OnConnect, OnDisconnect, OnPublish
from ringmq._options import BrokerOptions
from ringmq._properties import Pairs, Payload, PublishProperties
from ringmq._ringmq import Message, Published

__all__ = ["Broker", "Client", "Subscription"]

T = TypeVar("T")
Poll = Callable[[_ringmq.Waker], tuple[T] | None]


class _Waits:
    """Everything that one event loop waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._notifier = _ringmq.Notifier()
        self._numbers = itertools.count()
        self._futures: dict[int, list[asyncio.Future[None]]] = {}
        loop.add_reader(self._notifier.fileno(), self._wake)

    def _wake(self) -> None:
        for number in self._notifier.take():
            for future in self._futures.get(number, ()):
                if not future.done():
                    future.set_result(None)

    def waker(self) -> _ringmq.Waker:
        """One for something that is waited for."""
        return self._notifier.waker(next(self._numbers))

    async def wait(self, poll: Poll[T], waker: _ringmq.Waker) -> T:
        """Asks `poll` until it has something. Several may wait by one waker."""
        found = poll(waker)
        while found is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            futures = self._futures.setdefault(waker.number, [])
            futures.append(future)
            try:
                await future
            finally:
                futures.remove(future)
                if not futures:
                    self._futures.pop(waker.number, None)
            found = poll(waker)
        return found[0]


_waits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Waits] = weakref.WeakKeyDictionary()


def _here() -> _Waits:
    loop = asyncio.get_running_loop()
    waits = _waits.get(loop)
    if waits is None:
        waits = _waits[loop] = _Waits(loop)
    return waits


async def _wait(poll: Poll[T]) -> T:
    """The answer to one question."""
    waits = _here()
    return await waits.wait(poll, waits.waker())


class _Source(Generic[T]):
    """Something that is waited for over and over: all who wait in one loop have one waker, so that waits that were given
    up leave nothing behind."""

    def __init__(self, poll: Poll[T]) -> None:
        self._poll = poll
        self._last: tuple[_Waits, _ringmq.Waker] | None = None

    async def next(self) -> T:
        waits, last = _here(), self._last
        if last is None or last[0] is not waits:
            last = self._last = (waits, waits.waker())
        return await waits.wait(self._poll, last[1])


class Subscription(AsyncIterator[Message]):
    """A subscription in the process, made by `Broker.subscribe`, to be iterated over for messages. It ends with its broker,
    or by `close` or the end of an `async with`."""

    def __init__(self, subscription: _ringmq.Subscription) -> None:
        self._subscription = subscription
        self._messages = _Source(subscription.poll)

    async def get(self, timeout: float | None = None) -> Message:
        """Takes the next message, waiting for it at most `timeout` seconds; by default as long as it takes. That acknowledges
        it, unless `unacknowledged_max` was given.

        Raises:
            TimeoutError: None came in time.
            StoppedError: The subscription has ended and everything was read.
        """
        async with asyncio.timeout(timeout):
            return await self._messages.next()

    async def __anext__(self) -> Message:
        try:
            return await self._messages.next()
        except StoppedError:
            raise StopAsyncIteration from None

    def acknowledge(self, message: Message) -> bool:
        """Acknowledges a `message`, as `ringmq.Subscription.acknowledge` does; answers the same."""
        return self._subscription.acknowledge(message)

    def close(self) -> None:
        """Ends it; messages that were not read are dropped. Without effect when it is closed."""
        self._subscription.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Broker:
    """As `ringmq.Broker`, for asyncio.

    Attributes:
        sync: The `ringmq.Broker` below, for all that does not wait, such as `sync.clients`.
    """

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
        """Makes a broker; it does not run yet. Arguments and what it raises as for `ringmq.Broker`; coroutine functions
        run on the loop in which it is started."""
        self.sync = _Broker(
            authenticate=authenticate,
            authorize=authorize,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            on_publish=on_publish,
            hook_cache=hook_cache,
            hook_threads=hook_threads,
            faults=faults,
            **options,
        )

    @property
    def url(self) -> str:
        """The first listener as clients write it, as `ringmq.Broker.url`."""
        return self.sync.url

    @property
    def urls(self) -> list[str]:
        """All listeners as clients write them, as `ringmq.Broker.urls`."""
        return self.sync.urls

    @property
    def port(self) -> int:
        """The port of the first TCP listener, as `ringmq.Broker.port`."""
        return self.sync.port

    async def start(self) -> None:
        """Starts it; then it accepts connections. Raises as `ringmq.Broker.start` does."""
        self.sync.run_hooks_on(asyncio.get_running_loop())
        await asyncio.to_thread(self.sync.start)

    async def stop(self) -> None:
        """Stops it, as `ringmq.Broker.stop` does."""
        await asyncio.to_thread(self.sync.stop)

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        timeout: float = 5.0,
        **properties: Unpack[PublishProperties],
    ) -> Published:
        """Publishes a message from this program, and ends when every session that matches has taken it. Arguments, answer
        and what it raises as for `ringmq.Broker.publish`; besides, `Timeout` at once while the broker takes no more."""
        pending = self.sync.publish_later(topic, payload, qos=qos, retain=retain, timeout=timeout, **properties)
        return await _wait(pending.poll)

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
        """Subscribes, as `ringmq.Broker.subscribe` does: at once, which takes some 100 microseconds; every publish from
        then on arrives. Arguments and what it raises are the same."""
        return Subscription(
            self.sync.subscribe(
                *filters,
                qos=qos,
                maxlen=maxlen,
                retain_handling=retain_handling,
                retain_as_published=retain_as_published,
                subscription_identifier=subscription_identifier,
                unacknowledged_max=unacknowledged_max,
                timeout=timeout,
            )
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


class Client(AsyncIterator[Message]):
    """As `ringmq.Client`, for asyncio: iterate over it for messages. A message of QoS 1 or 2 is acknowledged when it is
    taken, or by `acknowledge` with the option `acknowledge="manual"`, so a slow program slows the server down instead of
    filling memory."""

    def __init__(self, url: str = "mqtt://127.0.0.1", /, **options: Unpack[ClientOptions]) -> None:
        """Makes a client; it is not connected yet. Arguments as for `ringmq.Client`."""
        if "://" not in url and not url.startswith("unix:"):
            url = f"mqtt://{url}"
        self._core = _ringmq.Client(url, **core_options(options))
        self._messages = _Source(self._core.poll)

    async def connect(self) -> None:
        """Connects; ends when the server has accepted the connection. `asyncio.timeout` bounds it, and so do the options
        `connect_timeout` and `response_timeout`.

        Raises:
            ConnectError: It could not be made, or the server refused it; `reason` has its reason code.
        """
        pending = self._core.connect_later()
        try:
            await _wait(pending.poll)
        except BaseException:
            self._core.forget()
            raise
        _shutdown.register(self)

    @property
    def state(self) -> str:
        """`"connecting"`, `"connected"` or `"stopped"`, as `ringmq.Client.state`."""
        return self._core.state

    @property
    def client_id(self) -> str:
        """The ClientID in use, as `ringmq.Client.client_id`."""
        return self._core.client_id

    @property
    def session_present(self) -> bool:
        """Whether the server had kept the session, as `ringmq.Client.session_present`."""
        return self._core.session_present

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        **properties: Unpack[PublishProperties],
    ) -> ReasonCode:
        """Publishes a message: waits for room in the queue, as long as it takes, and ends with the server's answer; at QoS 0
        when the message was sent. Arguments as for `ringmq.Client.publish`.

        Returns:
            The reason code, as of `ringmq.Receipt.wait`.

        Raises:
            RequestError: The message breaks a rule of MQTT or is more than the server allows, or the server refused it.
            StoppedError: The client is not connected, nor connecting.
            ValueError, OverflowError, TypeError: As for `ringmq.Client.publish`.
        """
        receipt = await self.start_publish(topic, payload, qos=qos, retain=retain, **properties)
        return ReasonCode(await _wait(receipt.poll))

    async def start_publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        **properties: Unpack[PublishProperties],
    ) -> _ringmq.Receipt:
        """Hands a message over and ends when there was room for it, as long as that takes. The receipt tells the server's
        answer. Arguments and what it raises as for `publish`."""
        pending = self._core.publish_later(topic, payload, qos=qos, retain=retain, **properties)
        receipt: _ringmq.Receipt = await _wait(pending.poll)
        return receipt

    async def subscribe(
        self,
        filters: Filters,
        *,
        qos: int = 2,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        subscription_identifier: int | None = None,
        user_properties: Pairs | None = None,
    ) -> list[ReasonCode]:
        """Subscribes, and ends with the server's answer. Arguments, answer and what it raises as for
        `ringmq.Client.subscribe`; `asyncio.timeout` bounds it."""
        request = wanted(filters, qos, no_local, retain_as_published, retain_handling)
        pending = self._core.subscribe_later(request, subscription_identifier, user_properties)
        codes: list[int] = await _wait(pending.poll)
        return [ReasonCode(code) for code in codes]

    async def unsubscribe(
        self, filters: str | Sequence[str], *, user_properties: Pairs | None = None
    ) -> list[ReasonCode]:
        """Unsubscribes, and ends with the server's answer. Arguments, answer and what it raises as for
        `ringmq.Client.unsubscribe`; `asyncio.timeout` bounds it."""
        names = [filters] if isinstance(filters, str) else list(filters)
        codes: list[int] = await _wait(self._core.unsubscribe_later(names, user_properties).poll)
        return [ReasonCode(code) for code in codes]

    async def get(self, timeout: float | None = None) -> Message:
        """Takes the next message, waiting for it at most `timeout` seconds; by default as long as it takes.

        Raises:
            TimeoutError: None came in time.
            StoppedError: The client is stopped, and all its messages were taken; or it was never connected.
        """
        async with asyncio.timeout(timeout):
            return await self._messages.next()

    def acknowledge(self, message: Message, reason: int = 0) -> bool:
        """Acknowledges a message, where the option `acknowledge` is `"manual"`. Arguments, answer and what it raises as for
        `ringmq.Client.acknowledge`."""
        return self._core.acknowledge(message, reason)

    async def flush(self) -> None:
        """Ends when everything was sent and answered.

        Raises:
            StoppedError: The client is stopped.
        """
        await _wait(self._core.flush_later().poll)

    async def disconnect(
        self,
        *,
        reason: int = 0,
        session_expiry_interval: int | None = None,
        reason_string: str | None = None,
        user_properties: Pairs | None = None,
    ) -> None:
        """Waits until everything was sent and answered, sends DISCONNECT and stops. Without effect when it is stopped.
        Arguments and what it raises as for `ringmq.Client.disconnect`; `asyncio.timeout` bounds it."""
        _shutdown.unregister(self)
        try:
            pending = self._core.disconnect_later(
                reason=reason,
                session_expiry_interval=session_expiry_interval,
                reason_string=reason_string,
                user_properties=user_properties,
            )
            await _wait(pending.poll)
        except StoppedError:
            pass
        except BaseException:
            self._core.forget()
            raise

    def stop(self) -> None:
        """Closes the connection without waiting for anything; messages that were not sent are dropped."""
        _shutdown.unregister(self)
        self._core.forget()

    async def __anext__(self) -> Message:
        try:
            return await self._messages.next()
        except StoppedError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        await self.disconnect()
