"""The base of stores that stand in front of another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from limpet.contract import (
    Checks,
    Counts,
    Finds,
    LoadsMany,
    Outcome,
    Pages,
    Record,
    Replaces,
    Scans,
    Store,
    Sweeps,
    Urgent,
    members,
    supports,
)
from limpet.stores._connections import Clocked, Connections, Pooled

__all__ = ["WrappingStore"]

_METHODS: Final = (Checks, Clocked, Counts, Finds, LoadsMany, Pages, Pooled, Replaces, Scans, Sweeps, Urgent)
"""Powers that are one method, which is called as it is named in the protocol."""


class WrappingStore:
    """A `Store` in front of another one, with exactly the optional powers of that one.

    Subclass it and override what is to be different. Override `to_store` and `from_store` to change records on their
    way in and out: every call goes through these two. Override a method to change one call, and then all that read or
    write in the same way: `load_many`, `find`, `find_page` and `scan` beside `load`, `replace` beside `update`, and
    `create_urgently` beside `create`. Any other attribute is that of the store behind. Ask for a power with
    `limpet.stores.supports`, not with `isinstance`.

    Args:
        store: The store behind.

    Example:
        >>> class Counting(WrappingStore):
        ...     loads = 0
        ...
        ...     async def load(self, key):
        ...         self.loads += 1
        ...         return await super().load(key)
        >>> from limpet.stores import MemoryStore
        >>> store = Counting(MemoryStore())
        >>> supports(store, Finds), supports(store, Pooled)
        (True, False)
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        # None in the place of a method tells `supports` that there is no such power.
        lacking = [power for power in _METHODS if not supports(store, power)]
        self.__dict__.update({name: None for power in lacking for name in members(power)})

    def to_store(self, key: str, record: Record) -> Record:
        """Return what the store behind is given in the place of a record."""
        return record

    def from_store(self, key: str, record: Record) -> Record:
        """Return what callers are given in the place of a record that the store behind has."""
        return record

    async def open(self) -> None:
        """Open the store behind."""
        await self.store.open()

    async def close(self) -> None:
        """Close the store behind."""
        await self.store.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        record = await self.store.load(key)
        return None if record is None else self.from_store(key, record)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there."""
        return self._outcome(key, await self.store.create(key, self.to_store(key, record), now=now))

    async def create_urgently(self, key: str, record: Record, *, now: int) -> Outcome:
        """Do what `create` does, also while the store behind is full."""
        behind = cast("Urgent", self.store)
        return self._outcome(key, await behind.create_urgently(key, self.to_store(key, record), now=now))

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``; return `DONE`, `ABSENT` or the record that is there."""
        return self._outcome(key, await self.store.update(key, self.to_store(key, record), expected, now=now))

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given."""
        behind = cast("Replaces", self.store)
        return self._outcome(key, await behind.replace(key, self.to_store(key, record), expected, now=now))

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward, never back; return `DONE` or `ABSENT`."""
        return self._outcome(key, await self.store.touch(key, accessed, expires, now=now))

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; return `DONE`, `ABSENT` or the record that was kept."""
        return self._outcome(key, await self.store.delete(key, version))

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys, None for each that is absent."""
        found = zip(keys, await cast("LoadsMany", self.store).load_many(keys), strict=True)
        return [None if record is None else self.from_store(key, record) for key, record in found]

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most ``limit`` expired records; return how many."""
        return await cast("Sweeps", self.store).sweep(now, limit)

    async def count(self) -> int:
        """Return about how many records there are."""
        return await cast("Counts", self.store).count()

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the keys and records of that subject."""
        return self._pairs(await cast("Finds", self.store).find(subject))

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` keys and records of that subject from ``cursor`` on, and the next cursor or None."""
        page, following = await cast("Pages", self.store).find_page(subject, cursor, limit)
        return self._pairs(page), following

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` keys and records from ``cursor`` on, and the next cursor or None."""
        page, following = await cast("Scans", self.store).scan(cursor, limit)
        return self._pairs(page), following

    async def check(self) -> Sequence[str]:
        """Ask the store behind what an operator should fix."""
        return await cast("Checks", self.store).check()

    async def clocks(self) -> Sequence[tuple[str, int]]:
        """Return what time it is for the servers of the store behind."""
        return await cast("Clocked", self.store).clocks()

    async def connections(self) -> Connections:
        """Ask the store behind how many connections it opens, and how many its server accepts."""
        return await cast("Pooled", self.store).connections()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "store":  # `store` is missing while an object is being copied
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.store, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.store!r})"

    def _pairs(self, pairs: Sequence[tuple[str, Record]]) -> Sequence[tuple[str, Record]]:
        return [(key, self.from_store(key, record)) for key, record in pairs]

    def _outcome(self, key: str, outcome: Outcome) -> Outcome:
        return self.from_store(key, outcome) if isinstance(outcome, Record) else outcome
