"""The engine without an event loop: calls that block, in any number of threads or greenlets.

`drive` runs one of the engine's coroutines from start to end on the calling thread. Whatever is asked meanwhile knows
that it must not wait for a loop (`is_driven`): a store blocks, and the engine waits by means of `ThreadRuntime`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from limpet.errors import ConfigurationError, LimpetError

__all__ = ["Driven", "ThreadRuntime", "drive", "is_driven"]

T = TypeVar("T")


class _Here(threading.local):
    depth = 0


_here = _Here()


def is_driven() -> bool:
    """Tell whether a call runs under `drive` on this thread, so that it blocks and never waits for an event loop.

    An event loop may be running on the thread all the same, as in a test that calls a blocking application.
    """
    return _here.depth > 0


def drive(call: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from start to end, on this thread; what it waits for, it blocks for.

    Raises:
        ConfigurationError: It waits for an event loop, as a store does whose client is asynchronous.
    """
    _here.depth += 1
    try:
        call.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    except RuntimeError as error:
        if str(error) != "no running event loop":
            raise
        raise _waits() from error
    finally:
        _here.depth -= 1
    call.close()
    raise _waits()


def _waits() -> ConfigurationError:
    return ConfigurationError(
        "this store waits for an event loop, and a blocking application has none: name the store by a URL, as in "
        "redis://... or postgresql://..., so that it is opened with a client that blocks"
    )


class Driven(Generic[T]):
    """An asynchronous context manager, entered and left by ``with``."""

    __slots__ = ("_manager",)

    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        self._manager: Any = manager

    def __enter__(self) -> T:
        value: T = drive(self._manager.__aenter__())
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        handled: bool | None = drive(self._manager.__aexit__(kind, error, trace))
        return handled


class ThreadRuntime:
    """The `Runtime` of what is driven: threads take turns, and wait by blocking.

    Locks and signals are made when they are needed. So they are those of gevent where that has replaced the ones of
    the standard library, also if it did so after this object was made.

    Args:
        patience: Seconds that a commit waits for its turn, as on asyncio.
    """

    def __init__(self, *, patience: float = 0.25) -> None:
        self._patience = patience
        self._forget()

    def _forget(self) -> None:
        self._guard = threading.Lock()  # held over nothing that waits
        self._turns: dict[str, deque[threading.Event]] = {}
        self._process = os.getpid()

    def here(self) -> ThreadRuntime | None:
        """Return this runtime if the caller is driven, else None."""
        return self if _here.depth > 0 else None

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Return the call as it is: a client that blocks has its own time limits."""
        return call

    def turn(self, key: str) -> _Turn:
        """Hold the only turn for this key in this process; commits of one session queue instead of colliding."""
        if self._process != os.getpid():  # those who held a turn are on the other side of a fork
            self._forget()
        return _Turn(self._guard, self._turns, key, self._patience)

    def signal(self) -> _Signal:
        """Return a new signal, for threads that share a session."""
        return _Signal()

    async def sleep(self, seconds: float) -> None:
        """Block so long."""
        time.sleep(seconds)  # noqa: ASYNC251 - nothing else runs on this thread

    async def together(self, steps: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Carry out one step after the other."""
        return [await step() for step in steps]

    def finish(self, call: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Return the call as it is."""
        return call

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run it now, unless it is an event listener, which may wait for what only an event loop has.

        Raises:
            LimpetError: It is one.
        """
        if event is None:
            drive(cast("Coroutine[Any, Any, Any]", call))
            return
        close = getattr(call, "close", None)
        if close is not None:
            close()
        raise LimpetError("an asynchronous event listener needs an event loop: use a plain function here")


class _Signal:
    """What one thread waits for until another sets it."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        self._event.wait()


class _Turn:
    """The only turn for one key, handed on to those who wait in the order they came."""

    __slots__ = ("_guard", "_held", "_key", "_patience", "_turns")

    def __init__(
        self, guard: threading.Lock, turns: dict[str, deque[threading.Event]], key: str, patience: float
    ) -> None:
        self._guard = guard
        self._patience = patience
        self._turns = turns
        self._key = key
        self._held = False

    async def __aenter__(self) -> None:
        with self._guard:
            waiting = self._turns.get(self._key)
            if waiting is None:
                self._turns[self._key] = deque()
                self._held = True
                return
            place = threading.Event()
            waiting.append(place)
        try:
            place.wait(self._patience)
        except BaseException:  # a greenlet whose time is over, which may have been given the turn just now
            self._look(place, waiting)
            self._hand_on()
            raise
        self._look(place, waiting)

    async def __aexit__(self, *error: object) -> None:
        self._hand_on()

    def _look(self, place: threading.Event, waiting: deque[threading.Event]) -> None:
        with self._guard:
            self._held = place not in waiting
            if not self._held:
                waiting.remove(place)  # it goes ahead: the turn saves round trips, the version saves the writes

    def _hand_on(self) -> None:
        if not self._held:
            return
        with self._guard:
            waiting = self._turns[self._key]
            if waiting:
                waiting.popleft().set()
            else:
                del self._turns[self._key]
