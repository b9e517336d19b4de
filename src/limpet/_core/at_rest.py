"""A store whose payloads nobody can read who has only the store: it seals on the way in and opens on the way out.

It stands between the engine and the store, so that merging and finding out what changed see what is inside. What does
not open is handed on as an empty payload, which is a corrupt one: an anonymous session, an event, a deletion by
version. What was sealed under a key that is not listed here is handed on as it is, which is a foreign one: anonymous
here, and left alone, since workers with other secrets may read it while a new secret is being rolled out.

Marks (`limpet._core.marks`) are left as they are: they hold no session, and whoever revokes from outside, as the
command line does, need not have the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from limpet._core import marks
from limpet._core.protocols import (
    Checks,
    Finds,
    Immediate,
    LoadsMany,
    Outcome,
    Pages,
    Replaces,
    Scans,
    Settles,
    Store,
    Sweeps,
    supports,
)
from limpet._core.record import SEALED, Record

__all__ = ["EncryptedStore", "RecordSealer"]

_UNREADABLE: Final = b""


class RecordSealer(Protocol):
    """Seals the payload of a record for one store key; see `limpet.sealers.at_rest`."""

    def seal(self, key: str, record: Record) -> Record:
        """Return the record with its payload sealed."""
        ...

    def open(self, key: str, record: Record) -> Record | None:
        """Return the record with its payload opened, or None when it was not sealed for this place."""
        ...

    def is_foreign(self, payload: bytes) -> bool:
        """Tell whether a payload was sealed under a key that is not listed here."""
        ...


class EncryptedStore:
    """A `Store` over another one, with its optional powers.

    Args:
        store: Keeps the sealed records.
        sealer: Seals and opens them.
        clock: Milliseconds since 1970.
        plain_until: Until then, in milliseconds since 1970, a payload that is not sealed is read as it is; written,
            it is sealed. None: it is corrupt.
    """

    def __init__(
        self,
        store: Store,
        sealer: RecordSealer,
        *,
        clock: Callable[[], int],
        plain_until: int | None = None,
    ) -> None:
        self.store = store
        self._sealer = sealer
        self._clock = clock
        self._plain_until = plain_until
        # Powers are found by `isinstance`, so this object has those of the store behind and no others.
        powers: dict[str, Any] = {}
        if supports(store, Sweeps):
            powers["sweep"] = store.sweep
        if supports(store, Checks):
            powers["check"] = store.check
        if supports(store, Finds):
            powers["find"] = self._find
        if supports(store, Scans):
            powers["scan"] = self._scan
        if supports(store, Pages):
            powers["find_page"] = self._find_page
        if supports(store, LoadsMany):
            powers["load_many"] = self._load_many
        if supports(store, Replaces):
            powers["replace"] = self._replace
        if supports(store, Settles):
            powers["settles_within"] = store.settles_within
        if supports(store, Immediate):
            powers["immediate"] = True
        self.__dict__.update(powers)

    async def open(self) -> None:
        """Open the store behind."""
        await self.store.open()

    async def close(self) -> None:
        """Close the store behind."""
        await self.store.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, opened, or None when there is none."""
        record = await self.store.load(key)
        return None if record is None else self._opened(key, record)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none."""
        return self._outcome(key, await self.store.create(key, self._sealed(key, record), now=now))

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``."""
        return self._outcome(key, await self.store.update(key, self._sealed(key, record), expected, now=now))

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move the times forward; nothing that is sealed depends on them."""
        return self._outcome(key, await self.store.touch(key, accessed, expires, now=now))

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it."""
        return self._outcome(key, await self.store.delete(key, version))

    async def _find(self, subject: str) -> Sequence[tuple[str, Record]]:
        assert supports(self.store, Finds)
        return [(key, self._opened(key, record)) for key, record in await self.store.find(subject)]

    async def _find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        assert supports(self.store, Pages)
        page, after = await self.store.find_page(subject, cursor, limit)
        return [(key, self._opened(key, record)) for key, record in page], after

    async def _load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        assert supports(self.store, LoadsMany)
        found = zip(keys, await self.store.load_many(keys), strict=True)
        return [None if record is None else self._opened(key, record) for key, record in found]

    async def _replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        assert supports(self.store, Replaces)
        return self._outcome(key, await self.store.replace(key, self._sealed(key, record), expected, now=now))

    async def _scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        assert supports(self.store, Scans)
        page, after = await self.store.scan(cursor, limit)
        return [(key, self._opened(key, record)) for key, record in page], after

    def _outcome(self, key: str, outcome: Outcome) -> Outcome:
        return self._opened(key, outcome) if isinstance(outcome, Record) else outcome

    def _sealed(self, key: str, record: Record) -> Record:
        return record if marks.is_mark(record.payload) else self._sealer.seal(key, record)

    def _opened(self, key: str, record: Record) -> Record:
        if marks.is_mark(record.payload):
            return record
        if self._plain_until is not None and record.payload[:1] != SEALED and self._clock() < self._plain_until:
            return record
        if self._sealer.is_foreign(record.payload):
            return record
        return self._sealer.open(key, record) or record._replace(payload=_UNREADABLE)

    def __repr__(self) -> str:
        return f"EncryptedStore({self.store!r})"
