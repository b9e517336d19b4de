"""The runtime of programs that have no event loop."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any, TypeVar, cast

from limpet.errors import LimpetError

__all__ = ["Inline", "YieldingSignal"]

T = TypeVar("T")


@types.coroutine
def _give_way() -> Generator[None, None, None]:
    yield


class YieldingSignal:
    """What one coroutine waits for until another sets it, driven by hand: each time it is asked, it gives way."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Let the one who waits go on."""
        self._is_set = True

    async def wait(self) -> None:
        """Give way until it is set."""
        while not self._is_set:
            await _give_way()


class Inline:
    """The runtime of a program without an event loop: no time limits but the store's own, no queue."""

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Return the call as it is."""
        return call

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Grant the turn at once."""
        return nullcontext()

    def signal(self) -> YieldingSignal:
        """Return a signal for coroutines that are driven by hand."""
        return YieldingSignal()

    async def sleep(self, seconds: float) -> None:
        """Refuse to wait, since nothing else would run meanwhile."""
        if seconds > 0:
            raise LimpetError(
                "another process holds the lock, and waiting for it needs an event loop: use asyncio here"
            )

    async def together(self, steps: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Carry out one step after the other."""
        return [await step() for step in steps]

    def finish(self, call: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Return the call as it is."""
        return call

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run it now, unless it is an event listener, which may wait for what only an event loop has."""
        if event is None:
            with suppress(StopIteration):
                cast("Coroutine[Any, Any, Any]", call).send(None)
            return
        raise LimpetError("an asynchronous event listener needs an event loop: use a plain function here")
