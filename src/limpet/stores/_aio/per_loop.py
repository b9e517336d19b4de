"""One client for each event loop and process.

Connections belong to the loop that opened them, and a forked child must not speak on its parent's sockets. So a
store keeps what it opened here and asks for it anew on every call: another loop or another process gets its own.
When a loop ends (`asyncio.run` and every ASGI server shut its asynchronous generators down first), what was opened on
it is closed, with or without a call of ``close()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class _Forks:
    """How often this process has come out of a fork; to ask for its number each time is a system call."""

    number = 0

    @classmethod
    def note(cls) -> None:
        cls.number += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forks.note)


class _Kept(NamedTuple, Generic[T]):
    thing: T
    guard: AsyncGenerator[None, None]


class PerLoop(Generic[T]):
    """Holds one thing per running loop and process; makes it on first use."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._kept: dict[asyncio.AbstractEventLoop, _Kept[T]] = {}
        self._forks = _Forks.number
        self._inherited: list[object] = []

    def here(self, loop: asyncio.AbstractEventLoop | None = None) -> T:
        """Return the running loop's thing.

        Args:
            loop: That loop, where the caller knows it.
        """
        if self._forks != _Forks.number:
            # Kept and never touched: closing it would take the parent's sockets out of the selector that both share.
            self._inherited.append(self._kept)
            self._kept = {}
            self._forks = _Forks.number
        if loop is None:
            loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            for other in [other for other in self._kept if other.is_closed()]:
                del self._kept[other]
            thing = self._make()
            kept = self._kept[loop] = _Kept(thing, self._guard(loop, thing))
            with contextlib.suppress(StopIteration):
                # The first step makes the loop know the generator; it waits for nothing, so it can be taken by hand.
                kept.guard.__anext__().send(None)
        return kept.thing

    async def close(self) -> None:
        """Close the running loop's thing, if it has one; the next use makes another."""
        loop = asyncio.get_running_loop()
        if self._forks == _Forks.number and (kept := self._kept.pop(loop, None)) is not None:
            try:
                await self._close(kept.thing)
            finally:
                await kept.guard.aclose()

    async def _guard(self, loop: asyncio.AbstractEventLoop, thing: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            kept = self._kept.get(loop)
            if kept is not None and kept.thing is thing and self._forks == _Forks.number:
                del self._kept[loop]
                await self._close(thing)
