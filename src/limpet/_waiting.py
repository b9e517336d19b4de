"""Wait for what goes on when the one who waits is cancelled.

`asyncio.shield` does this with a future and two callbacks more, and a turn of the event loop more for each wait.
A `Window` stands between a task and the future that it waits for: the future wakes the task directly, and a
cancellation of the task closes the window and leaves the future alone. It is a "Future-like object" as
`asyncio.isfuture` describes them, which every task can wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Generic, TypeVar

__all__ = ["outlived"]

T = TypeVar("T")


class _Window(Generic[T]):
    """What a task waits for in the place of a future."""

    __slots__ = ("_asyncio_future_blocking", "_context", "_wake", "future")

    def __init__(self, future: asyncio.Future[T]) -> None:
        self._asyncio_future_blocking = True
        self.future = future

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self.future.get_loop()

    def add_done_callback(self, wake: Callable[[asyncio.Future[T]], object], *, context: Context | None = None) -> None:
        self._wake, self._context = wake, context
        self.future.add_done_callback(wake, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """Wake the task with its cancellation; False: it is being woken already, and then hears of it."""
        if not self.future.remove_done_callback(self._wake):
            return False
        loop = self.future.get_loop()
        cancelled: asyncio.Future[T] = loop.create_future()
        cancelled.cancel(msg)
        loop.call_soon(self._wake, cancelled, context=self._context)
        return True


@coroutine
def outlived(task: asyncio.Future[T]) -> Generator[Any, None, T]:
    """Return the result of a task, which goes on if the one who waits for it is cancelled."""
    try:
        if not task.done():
            yield _Window(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            task.add_done_callback(_retrieve)
            raise
    return task.result()


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Look at how a task ended that is no longer waited for, as `asyncio.shield` does."""
    if not task.cancelled():
        task.exception()
