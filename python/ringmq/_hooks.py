"""Rules of the program's own: who may come in, and who may publish and subscribe to what."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ringmq import _ringmq

if TYPE_CHECKING:
    import asyncio

__all__ = ["AccessQuestion", "Authenticate", "Authorize", "ConnectQuestion", "Workers"]


@dataclass(frozen=True)
class ConnectQuestion:
    """A client wants to connect. `address`: `ADDRESS:PORT`, `None` behind a Unix socket."""

    client_id: str
    username: str | None
    password: bytes | None
    address: str | None


@dataclass(frozen=True)
class AccessQuestion:
    """A client wants to publish to a topic, or to subscribe to a filter (the whole of it, `$share/.../` included)."""

    client_id: str
    username: str | None
    action: Literal["publish", "subscribe"]
    topic: str


Authenticate: TypeAlias = Callable[[ConnectQuestion], bool | str | Awaitable[bool | str]]
"""Whether a client may come in, or the user name by which it does."""
Authorize: TypeAlias = Callable[[AccessQuestion], bool | Awaitable[bool]]
"""Whether a client may do what it wants."""

COROUTINES_MAX = 1000
"""Coroutines of hooks that are under way at one time on an event loop."""

_log = logging.getLogger("ringmq")


def _denied(question: _ringmq.Question) -> None:
    _log.exception("a hook raised for %s of %s, which is denied", question.action, question.client_id)
    question.answer(False)


class Workers:
    """Threads that call the functions; a core of the broker never does."""

    def __init__(
        self, authenticate: Authenticate | None, authorize: Authorize | None, cache: float, threads: int
    ) -> None:
        """None runs yet."""
        self._authenticate = authenticate
        self._authorize = authorize
        self._number = max(1, threads)
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = threading.BoundedSemaphore(COROUTINES_MAX)
        self.hooks = _ringmq.Hooks(authenticate is not None, authorize is not None, cache)

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins. Functions that are coroutines run on `loop`, or each on one of its own."""
        self._loop = loop
        self.hooks.open()
        for number in range(self._number):
            thread = threading.Thread(target=self._work, name=f"ringmq-hooks-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends; what waits is not answered any more."""
        self.hooks.close()
        threads, self._threads = self._threads, []
        for thread in threads:
            if thread is not threading.current_thread():
                # A function that hangs must not hang the stop.
                thread.join(timeout=1)

    def _work(self) -> None:
        while not self.hooks.closed:
            question = self.hooks.take(1.0)
            if question is not None:
                self._answer(question)

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

    def _ask(self, question: _ringmq.Question) -> bool | str | Awaitable[bool | str]:
        if question.action == "connect":
            assert self._authenticate is not None
            return self._authenticate(
                ConnectQuestion(question.client_id, question.username, question.password, question.address)
            )
        assert self._authorize is not None
        action: Literal["publish", "subscribe"] = "publish" if question.action == "publish" else "subscribe"
        return self._authorize(AccessQuestion(question.client_id, question.username, action, question.topic))

    def _await_on(
        self, loop: asyncio.AbstractEventLoop, question: _ringmq.Question, answer: Awaitable[bool | str]
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


async def _whole(answer: Awaitable[bool | str]) -> bool | str:
    return await answer


def _give(question: _ringmq.Question, answer: bool | str) -> None:
    if not isinstance(answer, str):
        question.answer(bool(answer))
    elif question.action == "connect" and answer:
        question.answer(True, answer)
    else:
        raise TypeError(f"a hook answers with a bool, authenticate perhaps with a user name, not with {answer!r}")
