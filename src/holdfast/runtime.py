"""What the engine needs of asyncio: time limits, turns, tasks that are seen to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from holdfast.errors import StoreUnavailable

__all__ = ["AsyncioRuntime"]

T = TypeVar("T")
log = logging.getLogger("holdfast")


class AsyncioRuntime:
    """The `Runtime` of a program on asyncio. One object serves any number of event loops.

    Args:
        patience: Seconds that a commit waits for its turn. After that it goes ahead: the turn saves round trips, it is
            the version check that keeps writes from being lost.
    """

    def __init__(self, *, patience: float = 0.25) -> None:
        self._patience = patience
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()

    async def limit(self, call: Awaitable[T], seconds: float) -> T:
        """Await the call for so long at most.

        Raises:
            StoreUnavailable: It took longer; the call is cancelled.
        """
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise StoreUnavailable(f"the session store did not answer within {seconds:g} s") from error

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Hold the only turn for this key on this event loop; commits of one session queue instead of colliding."""
        turns = self._here().turns
        entry = turns.get(key)
        if entry is None:
            entry = turns[key] = _Turn()
        entry.waiting += 1
        held = False
        try:
            if entry.waiting == 1:  # nobody else holds it or is about to
                held = await entry.lock.acquire()
            else:
                try:
                    async with asyncio.timeout(self._patience):
                        held = await entry.lock.acquire()
                except TimeoutError:
                    log.debug("a commit goes ahead without its turn")
            yield
        finally:
            if held:
                entry.lock.release()
            entry.waiting -= 1
            if not entry.waiting:
                turns.pop(key, None)

    async def finish(self, call: Awaitable[T]) -> T:
        """Await the call; if the caller is cancelled, the call goes on to its end."""
        task = self._keep(call)
        return await asyncio.shield(task)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so long."""
        return asyncio.sleep(seconds)

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run in the background to its end; what it raises is logged."""
        self._keep(call).add_done_callback(_report)

    async def drain(self, seconds: float) -> None:
        """Wait until everything that was begun on this loop has ended, at most so long."""
        tasks = self._here().tasks
        if tasks:
            await asyncio.wait(list(tasks), timeout=seconds)

    def _keep(self, call: Awaitable[T]) -> asyncio.Future[T]:
        here = self._here()
        task = asyncio.ensure_future(call)
        here.tasks.add(task)
        task.add_done_callback(here.tasks.discard)
        return task

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            here = self._loops[loop] = _Loop()
        return here


class _Turn:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class _Loop:
    """What belongs to one event loop."""

    __slots__ = ("tasks", "turns")

    def __init__(self) -> None:
        self.turns: dict[str, _Turn] = {}
        self.tasks: set[asyncio.Future[Any]] = set()


def _report(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a background task of the session manager failed", exc_info=task.exception())
