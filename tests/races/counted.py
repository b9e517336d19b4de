"""A site whose store counts its calls: what tests of races, faults and costs are written with.

::

    site = CountedSite(store, touch_interval=0)
    token = await site.session(cart=["tea"])
    await site.ask(lambda session: session.get("cart"), token)
    assert site.take() == {"load": 1, "touch": 1}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from limpet._wire.marks import is_mark
from limpet.contract import Immediate, LoadsMany, Outcome, Record, Replaces, Store, supports
from tests.site import Site

__all__ = ["CountedSite", "Counting"]


class Counting:
    """A store that counts its calls, and calls ``before`` before each.

    What it wraps keeps its powers: to load many records counts as one ``load``, to replace one as an ``update``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        if supports(store, Immediate):
            self.immediate = True
        if supports(store, LoadsMany):
            self.load_many = self._load_many
        if supports(store, Replaces):
            self.replace = self._replace
        self.calls: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.before: Callable[[], None] | None = None

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def load(self, key: str) -> Record | None:
        self._count("load", key)
        return await self._store.load(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self._count("create", key)
        return await self._store.create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._count("update", key)
        return await self._store.update(key, record, expected, now=now)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        self._count("touch", key)
        return await self._store.touch(key, accessed, expires, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self._count("delete", key)
        return await self._store.delete(key, version)

    async def _load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        self._count("load", keys[0])
        return await self._store.load_many(keys)  # type: ignore[attr-defined, no-any-return]

    async def _replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._count("update", key)
        return await self._store.replace(key, record, expected, now=now)  # type: ignore[attr-defined, no-any-return]

    def take(self) -> dict[str, int]:
        """Return the calls since the last time."""
        calls, self.calls = dict(self.calls), Counter()
        return calls

    def _count(self, call: str, key: str) -> None:
        self.calls[call] += 1
        self.keys.add(key)
        if self.before is not None:
            self.before()


class CountedSite(Site):
    """A `Site` that counts the calls of its store, and to which nothing is a login by its key, unless told.

    Args:
        counted: Count the calls; sessions cannot be found by subject then.
    """

    def __init__(self, store: Any, *, counted: bool = True, **settings: Any) -> None:
        self.counting = Counting(store) if counted and isinstance(store, Store) else None
        super().__init__(self.counting or store, **{"rotate_on": (), **settings})

    async def session(self, **data: Any) -> str:
        """Begin a session with this data; return its id. Its calls are not counted."""
        token = await super().session(**data)
        self.take()
        return token

    async def rows(self) -> Sequence[tuple[str, Record]]:
        """Return all that is stored, of the keys that this site ever used; without what says that an id has ended."""
        assert self.counting is not None
        found = [(key, await self.counting._store.load(key)) for key in sorted(self.counting.keys)]
        return [(key, record) for key, record in found if record is not None and not is_mark(record.payload)]

    def take(self) -> dict[str, int]:
        """Return the calls of the store since the last time."""
        return self.counting.take() if self.counting else {}
