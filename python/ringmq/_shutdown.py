"""The end of the interpreter: what still runs is stopped before Python goes."""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import Protocol

__all__ = ["register", "unregister"]


class _Stops(Protocol):
    def stop(self) -> None: ...


_lock = threading.Lock()
_running: weakref.WeakSet[_Stops] = weakref.WeakSet()


def register(thing: _Stops) -> None:
    """It is stopped when the interpreter ends, if it is not by then."""
    with _lock:
        _running.add(thing)


def unregister(thing: _Stops) -> None:
    """It has stopped."""
    with _lock:
        _running.discard(thing)


@atexit.register
def _stop_all() -> None:
    for thing in list(_running):
        thing.stop()
