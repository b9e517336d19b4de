"""Sessions in this process's memory: fast, gone when it ends, not shared with other processes."""

from __future__ import annotations

import heapq
import logging
import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Final, Literal

from limpet._checks import whole
from limpet._native import mypyc_attr
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.errors import ConfigurationError
from limpet.stores._url import integer, options

__all__ = ["MemoryStore"]

_log = logging.getLogger(__name__)
_LOOK: Final = 64  # entries looked at, at most, to find the record to evict
_SLACK: Final = 1_024  # left-over entries that are not worth the work
_MOVE: Final = 8  # entries that one deletion moves
_PLACE: Final = 32  # bits of an entry's place
_PLACES: Final = (1 << _PLACE) - 1
_LOCK: Final = threading.RLock()  # of all stores of the process, held over nothing that waits

if hasattr(os, "register_at_fork"):  # a child inherits records that no other thread was about to change
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryStore:
    """Keeps records in a dict. Calls never wait; any thread may make them.

    Volatile: a restart ends every session, and each worker process has sessions of its own, so it is for tests
    and for a single process. It is bounded: at ``max_records`` the record that expires first makes room.

    Args:
        max_records: Sessions kept at most.
    """

    immediate: Literal[True] = True

    def __init__(self, *, max_records: int = 100_000) -> None:
        whole("max_records", max_records, "sessions")
        self.max_records = max_records
        self._records: dict[str, Record] = {}
        # Each record has an entry that is not later than its deadline: one is pushed when the record is created, and
        # one when `replace` moves the deadline back. An early entry is filed again when it comes up. It is a number,
        # which takes less memory than a tuple: the time in front, and then the place where the key is.
        self._queue: list[int] = []
        self._former: list[int] = []  # a queue that is being moved to the one above, see `_clear_up`
        self._filed: list[str] = []  # the keys of the entries, by place
        self._free: list[int] = []  # places whose entries are gone
        # A subject with one session, the usual case, needs no list. A list is sorted, so that a page of it begins where
        # the one before ended, however many sessions the subject has.
        self._subjects: dict[str, str | list[str]] = {}
        self._sorted: list[str] = []  # the keys that were there when a walk through all began, until one ends
        self._warned = False
        self.sweep_goes_on: bool = False

    def __reduce__(self) -> str:
        raise TypeError("a MemoryStore is never pickled: what it keeps is of one process")

    @classmethod
    def from_url(cls, url: str) -> MemoryStore:
        """Return the store of ``memory:`` or ``memory:?max_records=1000``."""
        place, found = options(url, {"max_records": integer})
        if place not in ("", "//"):
            raise ConfigurationError(f"a memory store has no place: write 'memory:', not 'memory:{place}'")
        return cls(**found)

    async def open(self) -> None:
        """Do nothing: there is nothing to open."""

    async def close(self) -> None:
        """Do nothing: the records live as long as the store does."""

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        return self._records.get(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there."""
        with _LOCK:
            current = self._records.get(key)
            if current is not None:
                return current
            if len(self._records) >= self.max_records:
                self._evict()
            self._records[key] = record
            self._file(record.expires, key)
            if record.subject is not None:
                self._index(record.subject, key)
        return DONE

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``; return `DONE`, `ABSENT` or the record that is there."""
        with _LOCK:
            current = self._records.get(key)
            if current is None:
                return ABSENT
            if current.version != expected:
                return current
            if record.accessed < current.accessed or record.expires < current.expires:
                accessed, expires = max(record.accessed, current.accessed), max(record.expires, current.expires)
                record = record._replace(accessed=accessed, expires=expires)
            self._put(key, record, current)
        return DONE

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given."""
        with _LOCK:
            current = self._records.get(key)
            if current is None:
                return ABSENT
            if current.version != expected:
                return current
            self._put(key, record, current)
            if record.expires < current.expires:
                self._file(record.expires, key)
                self._clear_up()
        return DONE

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward, never back; return `DONE` or `ABSENT`."""
        with _LOCK:
            current = self._records.get(key)
            if current is None:
                return ABSENT
            version, payload, was_accessed, was_expires, subject = current
            self._records[key] = Record(
                version, payload, max(accessed, was_accessed), max(expires, was_expires), subject
            )
        return DONE

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; return `DONE`, `ABSENT` or the record that was kept."""
        with _LOCK:
            current = self._records.get(key)
            if current is None:
                return ABSENT
            if version is not None and current.version != version:
                return current
            self._remove(key)
            self._clear_up()
        return DONE

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most ``limit`` expired records; return how many.

        Only entries that came up are looked at, and of these at most ten times ``limit``: many early ones may
        come up at once, and filing them again must not hold up the event loop. ``sweep_goes_on`` is True when others
        are left.
        """
        swept = 0
        with _LOCK:
            for _ in range(limit * 10):
                queue = self._first()
                if swept == limit or not queue or queue[0] >> _PLACE > now:
                    break
                entry = queue[0]
                key = self._filed[entry & _PLACES]
                record = self._records.get(key)
                if record is not None and record.expires > now:
                    heapq.heapreplace(queue, _moved(entry, record.expires))
                    continue
                self._drop(heapq.heappop(queue))
                if record is not None:
                    self._remove(key)
                    swept += 1
            self._sorted = []  # a walk may have been given up; one that goes on sorts them again
            queue = self._first()
            self.sweep_goes_on = bool(queue) and queue[0] >> _PLACE <= now
        return swept

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys, None for each that is absent."""
        return [await self.load(key) for key in keys]  # through `load`, which a subclass may replace

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the keys and records of that subject."""
        with _LOCK:
            return [(key, self._records[key]) for key in _several(self._subjects.get(subject))]

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys of that subject, and the last of these keys or None."""
        limit = max(limit, 1)
        with _LOCK:
            keys = _several(self._subjects.get(subject))
            start = bisect_right(keys, cursor) if cursor is not None else 0
            page = [(key, self._records[key]) for key in keys[start : start + limit]]
            return page, page[-1][0] if start + limit < len(keys) else None

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys after ``cursor``, and the last of these keys or None."""
        page: list[tuple[str, Record]] = []
        with _LOCK:
            if cursor is None or not self._sorted:
                self._sorted = sorted(self._records)
            start = 0 if cursor is None else bisect_right(self._sorted, cursor)
            for at in range(start, len(self._sorted)):
                key = self._sorted[at]
                record = self._records.get(key)
                if record is None:
                    continue
                if len(page) == limit:
                    return page, page[-1][0]
                page.append((key, record))
            self._sorted = []
        return page, None

    async def count(self) -> int:
        """Return how many records there are."""
        return len(self._records)

    async def check(self) -> Sequence[str]:
        """Return a sentence when records had to make room for others."""
        if not self._warned:
            return []
        full = f"the memory store was full at {self.max_records} sessions and dropped live ones"
        return [f"{full}: raise max_records, or use sqlite:///sessions.db"]

    def _file(self, expires: int, key: str) -> None:
        """Add an entry to the queue."""
        if self._free:
            place = self._free.pop()
            self._filed[place] = key
        else:
            place = len(self._filed)
            self._filed.append(key)
        heapq.heappush(self._queue, expires << _PLACE | place)

    def _drop(self, entry: int) -> str:
        """Return the key of an entry that was taken from the queue, and use its place again."""
        place = entry & _PLACES
        key, self._filed[place] = self._filed[place], ""
        self._free.append(place)
        return key

    def _first(self) -> list[int]:
        """Return the queue whose first entry comes up first."""
        if not self._former or not self._queue:
            return self._queue or self._former
        return min(self._queue, self._former, key=_head)

    def _clear_up(self) -> None:
        """Get rid of the entries that deleted records leave in the queue, a few at a time.

        Once they are the majority, a new queue is begun, and with every deletion some entries of the former one move
        to it, from its end, which leaves the rest in order. Building it anew at one go would stop the event loop.
        """
        if not self._former and len(self._queue) > 2 * len(self._records) + _SLACK:
            self._queue, self._former = [], self._queue
        for _ in range(min(_MOVE, len(self._former))):
            entry = self._former.pop()
            record = self._records.get(self._filed[entry & _PLACES])
            if record is None:
                self._drop(entry)
            else:
                heapq.heappush(self._queue, _moved(entry, record.expires))

    def _put(self, key: str, record: Record, current: Record) -> None:
        self._records[key] = record
        if record.subject != current.subject:
            self._unindex(current.subject, key)
            if record.subject is not None:
                self._index(record.subject, key)

    def _remove(self, key: str) -> None:
        self._unindex(self._records.pop(key).subject, key)

    def _evict(self) -> None:
        """Drop the record that expires first, as far as a bounded look at the queue can tell."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "the memory store is full at %d sessions: live sessions are dropped to make room, those that expire "
                "first before others. Raise max_records, or use sqlite:///sessions.db",
                self.max_records,
            )
        looked: list[int] = []
        while len(looked) < _LOOK and (queue := self._first()):
            entry = heapq.heappop(queue)
            record = self._records.get(self._filed[entry & _PLACES])
            if record is None:
                self._drop(entry)
                continue
            heapq.heappush(looked, _moved(entry, record.expires))
            if record.expires == entry >> _PLACE:
                break
        self._remove(self._drop(heapq.heappop(looked)))
        for entry in looked:
            heapq.heappush(self._queue, entry)

    def _index(self, subject: str, key: str) -> None:
        keys = self._subjects.get(subject)
        if keys is None:
            self._subjects[subject] = key
        elif isinstance(keys, str):
            self._subjects[subject] = sorted((keys, key))
        else:
            insort(keys, key)

    def _unindex(self, subject: str | None, key: str) -> None:
        if subject is None:
            return
        keys = self._subjects[subject]
        if isinstance(keys, str):
            del self._subjects[subject]
            return
        del keys[bisect_left(keys, key)]
        if len(keys) == 1:
            self._subjects[subject] = keys[0]


def _head(queue: list[int]) -> int:
    return queue[0]


def _moved(entry: int, expires: int) -> int:
    """Return an entry with another time."""
    return expires << _PLACE | entry & _PLACES


def _several(keys: str | list[str] | None) -> Sequence[str]:
    if keys is None:
        return ()
    return (keys,) if isinstance(keys, str) else keys
