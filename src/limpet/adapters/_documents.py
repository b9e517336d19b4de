"""A `Store` over an application's own way of keeping documents: each is read and written whole, with no condition.

What such a store keeps is sessions and nothing else. The small records that the engine writes beside them (what is left
under an id that was replaced or ended, a lock) would be documents that the application does not know: they stay in the
memory of this process, and a session that one of them takes the place of is deleted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Final

from limpet._wire.marks import is_mark
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.runtime import AsyncioRuntime

__all__ = ["DocumentStore"]

_PATIENCE: Final = 60  # seconds to wait for a turn: longer than any call may take
_MARKS: Final = 10_000  # that are remembered at most; the oldest are forgotten first


class DocumentStore(ABC):
    """Reads, compares and writes, one request at a time within this process.

    Subclasses say how a document is read, written and removed.
    """

    def __init__(self) -> None:
        self._turns = AsyncioRuntime(patience=_PATIENCE)
        self._marks: OrderedDict[str, Record] = OrderedDict()
        self._unsure: OrderedDict[str, int] = OrderedDict()  # versions whose removal failed, and may have happened

    @abstractmethod
    async def read(self, key: str) -> Record | None:
        """Return what is kept, or None.

        Raises:
            StoreUnavailable: The application's code failed.
        """

    @abstractmethod
    async def write(self, key: str, record: Record, now: int, *, new: bool) -> None:
        """Keep a session.

        Args:
            key: The store key.
            record: The session.
            now: Milliseconds since 1970.
            new: There was none under this key.

        Raises:
            StoreUnavailable: The application's code failed.
        """

    @abstractmethod
    async def remove(self, key: str) -> None:
        """Delete a session.

        Raises:
            StoreUnavailable: The application's code failed.
        """

    async def open(self) -> None:  # noqa: B027 - there is nothing that a subclass has to add
        """Do nothing: the application opens what it needs."""

    async def close(self) -> None:  # noqa: B027 - the same
        """Do nothing."""

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        return self._marks.get(key) or await self.read(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there."""
        async with self._turns.turn(key):
            return await self.load(key) or await self._keep(key, record, now, None)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``; its times never move back."""
        async with self._turns.turn(key):
            current = await self._current(key, record, expected)
            if current is None or current.version != expected:
                return current or ABSENT
            return await self._keep(key, _not_before(record, current.accessed, current.expires), now, current)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``, with the times that are given."""
        async with self._turns.turn(key):
            current = await self._current(key, record, expected)
            if current is None or current.version != expected:
                return current or ABSENT
            return await self._keep(key, record, now, current)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward."""
        async with self._turns.turn(key):
            current = await self.load(key)
            if current is None:
                return ABSENT
            return await self._keep(key, _not_before(current, accessed, expires), now, current)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it."""
        async with self._turns.turn(key):
            current = await self.load(key)
            if current is None or version not in (None, current.version):
                return current or ABSENT
            if self._marks.pop(key, None) is None:
                await self.remove(key)
            return DONE

    async def _current(self, key: str, record: Record, expected: int) -> Record | None:
        """Return what is there; where a session is gone whose removal failed a moment ago, it is what it was."""
        current = await self.load(key)
        if current is None and is_mark(record.payload) and self._unsure.get(key) == expected:
            return Record(expected, b"", record.accessed)
        return current

    async def _keep(self, key: str, record: Record, now: int, current: Record | None) -> Outcome:
        if not is_mark(record.payload):
            self._marks.pop(key, None)
            await self.write(key, record, now, new=current is None)
            return DONE
        if current is not None and key not in self._marks:
            self._unsure[key] = current.version
            if len(self._unsure) > _MARKS:
                self._unsure.popitem(last=False)
            await self.remove(key)
            self._unsure.pop(key, None)
        self._marks.pop(key, None)
        self._marks[key] = record
        while self._marks and (len(self._marks) > _MARKS or next(iter(self._marks.values())).expires <= now):
            self._marks.popitem(last=False)
        return DONE


def _not_before(record: Record, accessed: int, expires: int) -> Record:
    """Return the record with times that are not before these."""
    return record._replace(accessed=max(record.accessed, accessed), expires=max(record.expires, expires))
