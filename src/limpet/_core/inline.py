"""The runtime of programs that have no event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from limpet.errors import LimpetError

__all__ = ["Inline"]

T = TypeVar("T")


class Inline:
    """The runtime of a program without an event loop: no time limits but the store's own, no queue."""

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Return the call as it is."""
        return call

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Grant the turn at once."""
        return nullcontext()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Refuse: nothing else would run meanwhile."""
        raise LimpetError("another process holds the lock, and waiting for it needs an event loop: use asyncio here")

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Refuse: nobody could wait for it."""
        raise LimpetError("an asynchronous event listener needs an event loop: use a plain function here")
