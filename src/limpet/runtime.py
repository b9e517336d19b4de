"""What the engine needs of asyncio: time limits, turns, tasks that are seen to their end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary, ref

from limpet._checks import interval
from limpet._deadlines import Deadlines
from limpet._waiting import outlived
from limpet.errors import StoreUnavailable

__all__ = ["AsyncioRuntime"]

T = TypeVar("T")

_TOGETHER: Final = 64  # steps side by side: stores gather their calls into batches of up to 128
log: logging.Logger = logging.getLogger("limpet")


class AsyncioRuntime:
    """The `Runtime` of a program on asyncio. One object serves any number of event loops.

    Args:
        patience: Seconds that a commit waits for its turn. After that it goes ahead: the turn saves round trips, it is
            the version check that keeps writes from being lost.
    """

    def __init__(self, *, patience: float = 0.25) -> None:
        interval("patience", patience, zero=True)
        self._patience = patience
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()
        self._last: tuple[ref[asyncio.AbstractEventLoop] | None, _Loop] = (None, _Loop())

    async def limit(self, call: Awaitable[T], seconds: float) -> T:
        """Await the call for so long at most.

        Raises:
            StoreUnavailable: It took longer; the call is cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        deadlines = self._of(loop).deadlines
        deadline = deadlines.begin(loop, task, loop.time() + seconds)
        try:
            answer = await call
        except asyncio.CancelledError as error:
            if not deadlines.end(deadline):
                raise
            late = TimeoutError()
            late.__cause__ = error
            raise _too_late(seconds) from late
        except BaseException as error:
            deadlines.end(deadline)
            if isinstance(error, TimeoutError):
                raise _too_late(seconds) from error
            raise
        deadlines.end(deadline)
        return answer

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold the only turn for this key on this event loop; commits of one session queue instead of colliding."""
        return _Turn(self._here().turns, key, self._patience)

    async def finish(self, call: Coroutine[Any, Any, T]) -> T:
        """Await the call; if the caller is cancelled, the call goes on to its end."""
        loop = asyncio.get_running_loop()
        tasks = self._of(loop).tasks
        task = loop.create_task(call)
        tasks.add(task)
        try:
            return await outlived(task)
        finally:
            if task.done():
                tasks.discard(task)
            else:
                task.add_done_callback(tasks.discard)

    def signal(self) -> _Signal:
        """Return a new signal, for tasks of one request that queue for its session."""
        return _Signal()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so long."""
        return asyncio.sleep(seconds)

    async def together(self, steps: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Carry out all steps, at most 64 at a time; an error is raised when none is under way any more."""
        found: list[T | BaseException] = []
        for at in range(0, len(steps), _TOGETHER):
            batch = steps[at : at + _TOGETHER]
            found += await asyncio.gather(*(step() for step in batch), return_exceptions=True)
        failures = [one for one in found if isinstance(one, BaseException)]
        if failures:
            raise failures[0]
        return cast("list[T]", found)

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run in the background to its end; what it raises is logged."""
        tasks = self._here().tasks
        task = asyncio.ensure_future(call)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_report)

    async def drain(self, seconds: float) -> None:
        """Wait until everything that was begun on this loop has ended, at most so long."""
        tasks = self._here().tasks
        if tasks:
            await asyncio.wait(list(tasks), timeout=seconds)

    def _here(self) -> _Loop:
        return self._of(asyncio.get_running_loop())

    def _of(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        last, here = self._last
        if last is None or last() is not loop:
            found = self._loops.get(loop)
            if found is None:
                found = self._loops[loop] = _Loop()
            here = found
            self._last = ref(loop), here
        return here


class _Signal:
    """What one task waits for until another sets it."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set(self) -> None:
        """Let the one who waits go on."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._future


class _Turn:
    """The only turn for one key, handed on to those who wait in the order they came."""

    __slots__ = ("_held", "_key", "_patience", "_turns")

    def __init__(self, turns: dict[str, deque[asyncio.Future[None]]], key: str, patience: float) -> None:
        self._turns = turns
        self._key = key
        self._patience = patience
        self._held = False

    async def __aenter__(self) -> None:
        waiting = self._turns.get(self._key)
        if waiting is None:
            self._turns[self._key] = deque()
            self._held = True
            return
        place = asyncio.get_running_loop().create_future()
        waiting.append(place)
        try:
            async with asyncio.timeout(self._patience):
                await place
            self._held = True
        except TimeoutError:
            self._held = _is_given(place)
            log.debug("a commit goes ahead without its turn")
        except BaseException:
            if _is_given(place):
                self._hand_on()
            raise

    async def __aexit__(self, *error: object) -> None:
        if self._held:
            self._hand_on()

    def _hand_on(self) -> None:
        waiting = self._turns[self._key]
        while waiting:
            place = waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        del self._turns[self._key]


def _too_late(seconds: float) -> StoreUnavailable:
    return StoreUnavailable(f"the session store did not answer within {seconds:g} s", waited=True)


def _is_given(place: asyncio.Future[None]) -> bool:
    return place.done() and not place.cancelled()


class _Loop:
    """What belongs to one event loop."""

    __slots__ = ("deadlines", "tasks", "turns")

    def __init__(self) -> None:
        self.deadlines = Deadlines()
        self.turns: dict[str, deque[asyncio.Future[None]]] = {}
        self.tasks: set[asyncio.Future[Any]] = set()


def _report(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a background task of the session manager failed", exc_info=task.exception())
