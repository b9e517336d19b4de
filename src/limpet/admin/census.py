"""Counts the sessions in a store, a little at a time, and remembers the last count.

A store need not know how many records it has, and many of those may be expired. So the count is a walk through all
of them, in steps of a fraction of a second, one for each look at the page; in between, the last count is shown
with its age.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from limpet.admin.book import Book
from limpet.directory import SessionInfo
from limpet.manager import SessionManager

__all__ = ["Census", "Count"]

_STEP: Final = 500  # records
_BUDGET: Final = 0.1  # seconds that one look may spend on the walk
_FRESH: Final = 4.0  # seconds for which a count is good
_PART: Final = 20  # a walk may take so small a part of the time: the longer it takes, the rarer it is
_MOST: Final = 250_000  # records: what a walk remembers of each must not fill the memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many sessions there are.

    Attributes:
        sessions: Live sessions.
        signed_in: How many of them are somebody's.
        subjects: How many different people that is.
        at: When the counting ended, in milliseconds since 1970; None while the first one is under way.
        partial: There are more: the counting is under way, or was given up.
    """

    sessions: int
    signed_in: int
    subjects: int
    at: int | None
    partial: bool


@dataclass(slots=True)
class _Walk:
    cursor: str | None = None
    began: float = field(default_factory=perf_counter)
    keys: set[int] = field(default_factory=set)  # a store may give a record twice
    signed_in: int = 0
    subjects: set[int] = field(default_factory=set)
    looked_at: int = 0

    def count(self, at: int | None, *, partial: bool) -> Count:
        return Count(
            sessions=len(self.keys), signed_in=self.signed_in, subjects=len(self.subjects), at=at, partial=partial
        )


class Census:
    """The count of one manager's sessions.

    Args:
        manager: Whose sessions.
        book: Reads them.
    """

    def __init__(self, manager: SessionManager, book: Book) -> None:
        self._manager = manager
        self._book = book
        self._walk: _Walk | None = None
        self._last: Count | None = None
        self._next = 0.0  # when counting may begin again, by `perf_counter`
        self._busy = False

    def forget(self) -> None:
        """Count anew at the next look, since somebody has just ended sessions."""
        self._next = 0.0

    def take(self, sessions: Sequence[SessionInfo]) -> None:
        """Take these for all sessions that there are, as somebody has just read them all."""
        subjects = [session.subject for session in sessions if session.subject is not None]
        self._last = Count(
            sessions=len(sessions),
            signed_in=len(subjects),
            subjects=len(set(subjects)),
            at=self._manager.clock(),
            partial=False,
        )
        self._walk, self._next = None, perf_counter() + _FRESH

    async def look(self) -> Count | None:
        """Walk on for a moment; return the last complete count, or what the first one has come to.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        if not self._busy and (self._walk is not None or perf_counter() >= self._next):
            self._busy = True
            try:
                await self._go_on(perf_counter() + _BUDGET)
            finally:
                self._busy = False
        if self._last is not None:
            return self._last
        return None if self._walk is None else self._walk.count(None, partial=True)

    async def _go_on(self, until: float) -> None:
        walk = self._walk = self._walk or _Walk()
        while True:
            batch, walk.cursor = await self._book.scan(walk.cursor, _STEP)
            walk.looked_at += len(batch)
            for kept in await self._book.live(batch):
                short = int(kept.key[:15], 16)
                if short not in walk.keys:
                    walk.keys.add(short)
                    if kept.record.subject is not None:
                        walk.signed_in += 1
                        walk.subjects.add(hash(kept.record.subject))
            if walk.cursor is None or walk.looked_at >= _MOST:
                self._last = walk.count(self._manager.clock(), partial=walk.cursor is not None)
                self._next = perf_counter() + max(_FRESH, _PART * (perf_counter() - walk.began))
                self._walk = None
                return
            if perf_counter() >= until:
                return
