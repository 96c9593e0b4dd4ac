"""Rules of the program's own: who may come in, who may publish and subscribe to what, and what becomes of messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ringmq import _ringmq
from ringmq._codes import ReasonCode
from ringmq._properties import Payload, PublishProperties
from ringmq._ringmq import Message

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "AccessQuestion",
    "Authenticate",
    "Authorize",
    "ClientConnected",
    "ClientDisconnected",
    "ConnectQuestion",
    "HookFunctions",
    "OnConnect",
    "OnDisconnect",
    "OnPublish",
    "PublishQuestion",
    "Rewrite",
    "Workers",
]


@dataclass(frozen=True)
class ConnectQuestion:
    """A client wants to connect.

    Attributes:
        client_id: Its ClientID, as it gave it or as the broker has assigned it.
        username: Its user name; `None` where it gives none.
        password: Its password; `None` where it gives none.
        address: `ADDRESS:PORT`; `None` behind a Unix socket.
    """

    client_id: str
    username: str | None
    password: bytes | None
    address: str | None


@dataclass(frozen=True)
class AccessQuestion:
    """A client wants to publish to a topic, or to subscribe to a filter.

    Attributes:
        client_id: Its ClientID.
        username: The user name that counts; `None` where it has none.
        action: `"publish"` or `"subscribe"`.
        topic: The topic name, or the whole topic filter, `$share/.../` included.
    """

    client_id: str
    username: str | None
    action: Literal["publish", "subscribe"]
    topic: str


@dataclass(frozen=True)
class ClientConnected:
    """A client has connected.

    Attributes:
        client_id: Its ClientID.
        username: The user name that counts; `None` where it has none.
        address: `ADDRESS:PORT`; `None` behind a Unix socket.
    """

    client_id: str
    username: str | None
    address: str | None


@dataclass(frozen=True)
class ClientDisconnected:
    """A client that had connected is gone.

    Attributes:
        client_id: Its ClientID.
        username: The user name that counted; `None` where it had none.
        reason: The reason code of DISCONNECT (MQTT 5.0, 3.14.2.1), whoever sent it, also where 3.x does not send it;
            `None` when the connection was lost without one.
    """

    client_id: str
    username: str | None
    reason: ReasonCode | None


@dataclass(frozen=True)
class PublishQuestion:
    """A client that may do so publishes a message, or connects with it as its will.

    Attributes:
        client_id: Its ClientID.
        username: The user name that counts; `None` where it has none.
        message: What it publishes.
        is_will: Whether it is the will of a client that connects.
    """

    client_id: str
    username: str | None
    message: Message
    is_will: bool


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """What becomes of a message; what is `None` stays as it is.

    Attributes:
        topic: A topic name, not one that begins with `$SYS/`.
        payload: Text is sent as UTF-8.
        retain: Whether it becomes the topic's retained message.
        properties: All that it has then; `{}` takes them away.
    """

    topic: str | None = None
    payload: Payload | None = None
    retain: bool | None = None
    properties: PublishProperties | None = None


Authenticate: TypeAlias = Callable[[ConnectQuestion], bool | str | Awaitable[bool | str]]
"""Whether a client may come in, or the user name by which it does."""
Authorize: TypeAlias = Callable[[AccessQuestion], bool | Awaitable[bool]]
"""Whether a client may do what it wants."""
OnConnect: TypeAlias = Callable[[ClientConnected], Awaitable[None] | None]
"""Is told that a client has connected."""
OnDisconnect: TypeAlias = Callable[[ClientDisconnected], Awaitable[None] | None]
"""Is told that a client is gone."""
PublishAnswer: TypeAlias = bool | ReasonCode | Rewrite | None
OnPublish: TypeAlias = Callable[[PublishQuestion], PublishAnswer | Awaitable[PublishAnswer]]
"""`None` or true lets a message pass, a `Rewrite` changes it, false or a reason code refuses it."""

Answer: TypeAlias = PublishAnswer | str

COROUTINES_MAX = 1000
"""Coroutines of hooks that are under way at one time on an event loop."""

_log = logging.getLogger("ringmq")


def _denied(question: _ringmq.Question) -> None:
    if question.action in ("connected", "disconnected"):
        _log.exception("a hook raised when %s %s", question.client_id, question.action)
        return
    _log.exception("a hook raised for %s of %s, which is denied", question.action, question.client_id)
    question.answer(False)


@dataclass(frozen=True)
class HookFunctions:
    """The functions of one broker."""

    authenticate: Authenticate | None = None
    authorize: Authorize | None = None
    on_connect: OnConnect | None = None
    on_disconnect: OnDisconnect | None = None
    on_publish: OnPublish | None = None


class Workers:
    """Threads that call the functions; a core of the broker never does."""

    def __init__(self, functions: HookFunctions, cache: float, threads: int) -> None:
        """None runs yet."""
        self._functions = functions
        self._number = max(1, threads)
        self._threads: list[tuple[threading.Thread, threading.Event]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = threading.BoundedSemaphore(COROUTINES_MAX)
        self.hooks = _ringmq.Hooks(
            functions.authenticate is not None,
            functions.authorize is not None,
            functions.on_connect is not None,
            functions.on_disconnect is not None,
            functions.on_publish is not None,
            cache,
        )

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins. Functions that are coroutines run on `loop`, or each on one of its own."""
        self._loop = loop
        self.hooks.open()
        for number in range(self._number):
            left = threading.Event()
            thread = threading.Thread(target=self._work, args=(left,), name=f"ringmq-hooks-{number}", daemon=True)
            thread.start()
            self._threads.append((thread, left))

    def stop(self) -> None:
        """Ends; what waits is not answered any more. What the functions are only told they are told within a second."""
        self.hooks.close()
        threads, self._threads = self._threads, []
        for thread, left in threads:
            if thread is not threading.current_thread():
                # A function that hangs must not hang the stop, and its thread ends with it.
                thread.join(timeout=1)
            left.set()

    def _work(self, left: threading.Event) -> None:
        while not left.is_set():
            question = self.hooks.take(1.0)
            if question is not None:
                self._answer(question)
            elif self.hooks.closed:
                return
            if missed := self.hooks.missed():
                _log.warning("%d clients came or went and no hook was told, because 10,000 things waited", missed)

    def _answer(self, question: _ringmq.Question) -> None:
        """Calls the function; one that raises denies."""
        try:
            answer = self._ask(question)
            if isinstance(answer, Awaitable):
                if self._loop is not None:
                    self._await_on(self._loop, question, answer)
                    return
                import asyncio

                answer = asyncio.run(_whole(answer))
            _give(question, answer)
        except BaseException:
            _denied(question)

    def _ask(self, question: _ringmq.Question) -> Answer | Awaitable[Answer]:
        functions = self._functions
        client_id, username = question.client_id, question.username
        match question.action:
            case "connect" if functions.authenticate is not None:
                asked = ConnectQuestion(client_id, username, question.password, question.address)
                return functions.authenticate(asked)
            case "connected" if functions.on_connect is not None:
                return functions.on_connect(ClientConnected(client_id, username, question.address))
            case "disconnected" if functions.on_disconnect is not None:
                reason = None if question.reason is None else ReasonCode(question.reason)
                return functions.on_disconnect(ClientDisconnected(client_id, username, reason))
            case "message" if functions.on_publish is not None and question.message is not None:
                shown = PublishQuestion(client_id, username, question.message, question.is_will)
                return functions.on_publish(shown)
            case "publish" | "subscribe" as action if functions.authorize is not None:
                return functions.authorize(AccessQuestion(client_id, username, action, question.topic))
            case other:
                raise AssertionError(f"nobody is asked about {other}")

    def _await_on(
        self, loop: asyncio.AbstractEventLoop, question: _ringmq.Question, answer: Awaitable[Answer]
    ) -> None:
        async def whole() -> None:
            try:
                _give(question, await answer)
            except BaseException as error:
                _denied(question)
                if not isinstance(error, Exception):
                    raise
            finally:
                self._under_way.release()

        import asyncio

        # Whatever is beyond waits in the queue, which has a bound.
        self._under_way.acquire()
        try:
            asyncio.run_coroutine_threadsafe(whole(), loop)
        except BaseException:
            self._under_way.release()
            raise


async def _whole(answer: Awaitable[Answer]) -> Answer:
    return await answer


def _give(question: _ringmq.Question, answer: Answer) -> None:
    match question.action, answer:
        case ("connected" | "disconnected"), _:
            pass
        case "message", Rewrite(topic=topic, payload=payload, retain=retain, properties=properties):
            question.rewrite(topic, payload, retain, properties)
        case "message", ReasonCode():
            question.refuse(answer)
        case "message", bool() | None:
            question.answer(answer is not False)
        case "connect", str() if answer:
            question.answer(True, answer)
        case ("connect" | "publish" | "subscribe"), bool():
            question.answer(answer)
        case action, _:
            raise TypeError(f"this is no answer of a hook to {action}: {answer!r}")
