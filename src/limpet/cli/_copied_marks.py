"""What ``limpet copy`` takes along beside the sessions: revocations in their order, tags, counted logins; no lock.

Revocations are numbered by the journal of their store, and a session holds the number that it has seen. As long as the
destination has taken no revocation of its own, its journal becomes a copy of the source's, so that all numbers mean
what they meant. Once both stores have numbered for themselves, numbers of the one say nothing about sessions of the
other: then each revocation that the source has taken since the last run is taken again at the destination, with the
next number there. It ends every session of that name that is there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from limpet._core.positions import number_of
from limpet._core.storage import Storage
from limpet._wire import marks
from limpet._wire.journal import JOURNAL
from limpet._wire.marks import Facts
from limpet._wire.tokens import new_version
from limpet.cli._copied import State
from limpet.cli._records import PAGE, milliseconds, progress
from limpet.contract import NEVER, Record, Scans, Store, supports

__all__ = ["Marks", "is_placeholder", "is_tombstone", "placeholder"]

_REVOCATION: Final = ("at", "was", "host", "mono", "wall")  # of a mark: what a revocation wrote
_LATER: Final = ("n", "generation", "until", "ended")  # of these the larger one holds


def is_tombstone(record: Record) -> bool:
    """Tell what an id leaves behind that the application replaced or ended."""
    facts = marks.read(record.payload)
    return facts is not None and bool(facts.get("gone")) and facts.get("how") != "import"


def placeholder(record: Record) -> Record:
    """Return what takes the place of a session that is about to be copied: to a request there is no such session."""
    facts: Facts = {"gone": 1, "how": "copy"}  # a tombstone of 1970
    return Record(new_version(), marks.write(facts), record.accessed, record.expires)


def is_placeholder(record: Record) -> bool:
    """Tell what `placeholder` returned."""
    facts = marks.read(record.payload)
    return facts is not None and facts.get("how") == "copy"


class Numbered(NamedTuple):
    """What is known of a journal: nothing was revoked where there is none."""

    record: Record | None
    facts: Facts

    @property
    def last(self) -> int:
        """The number of the last revocation."""
        return int(self.facts.get("seq", 0))

    @property
    def reserved(self) -> int:
        """The last number that a session can have seen: of a revocation that is under way, or that broke off."""
        held: dict[str, int] = self.facts.get("held", {})
        return max([self.last, *held.values()])


class Marks:
    """Copies the marks of one store into another.

    Args:
        source: Where they are from, ...
        reader: ... and what calls that store.
        writer: Calls the destination.
        place: Knows which journal the destination was given.

    Attributes:
        written: How many were written.
    """

    def __init__(self, source: Store, reader: Storage, writer: Storage, place: State) -> None:
        self.written = 0
        self._source = source
        self._reader = reader
        self._writer = writer
        self._place = place
        self._same_numbers = True
        self._since = 0  # the last revocation of the source that the destination has taken
        self._reached = 0  # the last one that any session can have seen that is copied

    async def begin(self, *, show: bool) -> None:
        """Bring the destination's revocations up to date, before any session is copied.

        The marks of names come first and the journal last: whoever reads the journal relies on the marks.

        Raises:
            StoreUnavailable: A store does not answer.
        """
        ours, theirs = await _journal(self._reader), await _journal(self._writer)
        versions, self._since = self._place.journal()
        given = [*versions, *([] if ours.record is None else [ours.record.version])]
        self._same_numbers = theirs.record is None or (theirs.record.version in given and ours.last >= theirs.last)
        if ours.last < self._since:  # the source was restored, or emptied
            self._since = 0
        if ours.record is None:
            return
        if theirs.record is None or ours.record.version != theirs.record.version:
            await self._take(ours.record, ours, theirs, show=show)
        self._since, self._reached = ours.last, ours.reserved

    async def keep_up(self) -> None:
        """Look whether the source has taken revocations since, before sessions that have seen them are copied.

        They come with the next run. What the destination revokes from now on gets a later number than theirs, so that
        it holds for the sessions that are copied now.

        Raises:
            StoreUnavailable: A store does not answer.
        """
        ours = await _journal(self._reader)
        if ours.reserved > self._reached:
            await self._raise_number(ours.reserved)
            self._reached = ours.reserved

    async def _take(self, journal: Record, ours: Numbered, theirs: Numbered, *, show: bool) -> None:
        if self._same_numbers:
            await self._walk(ours.last, show=show)
            before = None if theirs.record is None else theirs.record.version
            self._place.note_journal((journal.version, before), self._since)
            if await self._give(journal, before):
                self._place.note_journal((journal.version, before), ours.last)
                self.written += 1
                return
            self._same_numbers = False  # the destination has taken a revocation meanwhile
        await self._raise_number(ours.reserved)
        if ours.last == self._since:
            return
        for name in await self._walk(ours.last, show=show):
            await self._writer.positions.advance(name)
            self.written += 1
        if ours.facts.get("everyone", 0) > self._since:
            await self._writer.positions.advance(None)
            self.written += 1
        self._place.note_journal((None, None), ours.last)

    async def _raise_number(self, to: int) -> None:
        """Let the destination's next revocation be a later one than any that a copied session has seen."""
        while True:
            there = await self._writer.load(JOURNAL)
            facts = {} if there is None else marks.read(there.payload)
            if facts is None or facts.get("seq", 0) >= to:
                return
            raised = Record(new_version(), marks.write({**facts, "seq": to}), milliseconds(), NEVER)
            before = None if there is None else there.version
            if self._same_numbers:
                self._place.note_journal((raised.version, before), self._since)
            if await self._give(raised, before):
                return
            self._same_numbers = False

    async def _give(self, journal: Record, before: int | None) -> bool:
        if before is None:
            return await self._writer.create(JOURNAL, journal) is None
        return await self._writer.update(JOURNAL, journal, before) is None

    async def _walk(self, last: int, *, show: bool) -> list[str]:
        """Copy the marks; return those of names that were revoked since the last run."""
        names: list[str] = []
        assert supports(self._source, Scans)
        cursor = None
        with progress("reading revocations", show=show) as bar:
            while True:
                page, cursor = await self._reader.call("scan", self._source.scan(cursor, PAGE))
                for key, record in page:
                    if not marks.is_mark(record.payload):
                        continue
                    await self.put(key, record)
                    if key != JOURNAL and number_of(record, last) > self._since:
                        names.append(key)
                bar.update(len(page))
                if cursor is None:
                    return names

    async def put(self, key: str, record: Record) -> None:
        """Copy one mark: what either store knows of it holds afterwards. Locks and tombstones stay where they are.

        Raises:
            StoreUnavailable: A store does not answer.
        """
        facts = marks.read(record.payload)
        if key == JOURNAL or record.expires <= milliseconds():
            return
        if facts is None:  # damaged: it ends what it is about, there too
            self.written += await self._writer.create(key, record) is None
            return
        if is_tombstone(record) or "life" in facts:
            return
        if not self._same_numbers:
            facts = {name: value for name, value in facts.items() if name not in _REVOCATION}
            if not facts:
                return
        there = await self._writer.load(key)
        if there is None and self._same_numbers and await self._writer.create(key, record) is None:
            self.written += 1
            return
        known = {} if there is None else marks.read(there.payload)
        if known is None or (there is not None and _merged(known, facts) == known):
            return
        await marks.amend(self._writer, key, lambda now: (_merged(now, facts), record.expires))
        self.written += 1


def _merged(there: Facts, ours: Facts) -> Facts:
    """Return what both say, the later of two numbers, and all subjects of a tag."""
    merged: Facts = {**ours, **there}
    for name in _LATER:
        if name in merged:
            merged[name] = max(there.get(name, 0), ours.get(name, 0))
    if "subjects" in merged:
        subjects: dict[str, int] = dict(there.get("subjects", {}))
        for subject, until in ours.get("subjects", {}).items():
            subjects[subject] = max(until, subjects.get(subject, 0))
        merged["subjects"] = subjects
    at, other = there.get("at", 0), ours.get("at", 0)
    if other > at:
        merged.update({name: ours[name] for name in _REVOCATION if name in ours})
    if at and other:
        earlier = min(at, other) if at != other else 0
        merged["was"] = max(there.get("was", 0), ours.get("was", 0), earlier)
    return merged


async def _journal(storage: Storage) -> Numbered:
    record = await storage.load(JOURNAL)
    return Numbered(record, {} if record is None else marks.read(record.payload) or {})
