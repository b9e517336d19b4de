"""A store between which and the web worker something goes wrong at a chosen write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from limpet import StoreUnavailable
from limpet.testing import FailingStore

__all__ = ["HOW", "AfterWrites", "Between", "How", "Late", "Slow", "Unlucky"]

How = Literal["one reply lost", "all replies lost", "dies before", "dies after", "lands twice"]
HOW: Final[tuple[How, ...]] = ("one reply lost", "all replies lost", "dies before", "dies after", "lands twice")
_WRITES: Final = frozenset({"create", "create_urgently", "update", "touch", "delete", "replace"})


class Unlucky:
    """Hands everything on to a store, until a write that is chosen by its number.

    Attributes:
        met: Whether that write came.
    """

    def __init__(self, store: Any) -> None:
        self._store = store.store if isinstance(store, FailingStore) else store
        self.heal()

    def heal(self) -> None:
        """Work as it should from now on."""
        self._how: How | None = None
        self._left = 0
        self._over = False
        self.met = False

    def arm(self, how: How, at: int) -> None:
        """Let this happen at the ``at``-th write from now."""
        self.heal()
        self._how, self._left = how, at

    def __getattr__(self, name: str) -> Any:
        if name == "immediate":  # what may go wrong has to be waited for
            raise AttributeError(name)
        behind = getattr(self._store, name)
        if not callable(behind) or name in {"open", "close", "bind", "scan", "find"}:
            return behind

        async def call(*given: Any, **more: Any) -> Any:
            return await self._call(name, behind, given, more)

        return call

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        if self._over and self._how != "all replies lost":
            raise StoreUnavailable("the process is dead")
        if name not in _WRITES or self._how is None:
            return await behind(*given, **more)
        self._left -= 1
        if self._left == 0:
            self.met = True
            self._over = self._how in {"all replies lost", "dies before", "dies after"}
            if self._how == "dies before":
                raise StoreUnavailable("the process is dead")
            outcome = await behind(*given, **more)
            if self._how == "lands twice":
                return await behind(*given, **more)
            raise StoreUnavailable("the reply was lost")
        outcome = await behind(*given, **more)
        if self._over:
            raise StoreUnavailable("the reply was lost")
        return outcome

    # named here, because a store is known by these
    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def load(self, key: str) -> Any:
        return await self._call("load", self._store.load, (key,), {})

    async def create(self, *given: Any, **more: Any) -> Any:
        return await self._call("create", self._store.create, given, more)

    async def update(self, *given: Any, **more: Any) -> Any:
        return await self._call("update", self._store.update, given, more)

    async def touch(self, *given: Any, **more: Any) -> Any:
        return await self._call("touch", self._store.touch, given, more)

    async def delete(self, *given: Any, **more: Any) -> Any:
        return await self._call("delete", self._store.delete, given, more)


class Slow(Unlucky):
    """A store far away: each call takes a while on its way there and back."""

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        await asyncio.sleep(0.002)
        outcome = await behind(*given, **more)
        await asyncio.sleep(0.006 if name == "update" else 0.002)
        return outcome


class Between(Unlucky):
    """What a read has found is on its way for long: something else happens meanwhile, once."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        outcome = await behind(*given, **more)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return outcome


class Late(Unlucky):
    """The next call of a name is on its way until `land` is called, when its caller has given up."""

    waits: str | None = None
    land: Callable[[], Awaitable[Any]] | None = None

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        if name == self.waits:
            self.waits, self.land = None, lambda: behind(*given, **more)
            await asyncio.sleep(60)
        return await behind(*given, **more)


class AfterWrites(Unlucky):
    """After each write, before the next, somebody looks at what there is."""

    watcher: Callable[[], Awaitable[object]] | None = None

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        outcome = await behind(*given, **more)
        if name in _WRITES and self.watcher is not None:
            await self.watcher()
        return outcome
