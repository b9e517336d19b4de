"""Stores with one fault each, for the tests of the store suite."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from limpet.errors import StoreUnavailable
from limpet.stores import ABSENT, DONE, MemoryStore, Outcome, Record


class Upserts(MemoryStore):
    """Writes in `update` also where there is nothing."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().update(key, record, expected, now=now)
        return await self.create(key, record, now=now) if outcome is ABSENT else outcome


class IgnoresVersion(MemoryStore):
    """Writes whatever version is there: the last writer wins."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = await self.load(key)
        return await super().update(key, record, current.version if current else expected, now=now)


class ChecksThenWrites(MemoryStore):
    """Checks the version in one step and writes in another, and lets others in between."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = await self.load(key)
        if current is None or current.version != expected:
            return ABSENT if current is None else current
        await asyncio.sleep(0)
        latest = await self.load(key)
        return ABSENT if latest is None else await super().update(key, record, latest.version, now=now)


class HidesTheConflict(MemoryStore):
    """Says on a conflict that there is nothing, instead of what is there."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().update(key, record, expected, now=now)
        return ABSENT if isinstance(outcome, Record) else outcome


class AnswersFromASnapshot(MemoryStore):
    """Returns on a conflict the record as it was before the last write."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, Record] = {}

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = await self.load(key)
        outcome = await super().update(key, record, expected, now=now)
        if outcome is DONE and current is not None:
            self._before[key] = current
        return self._before.get(key, outcome) if isinstance(outcome, Record) else outcome


class Overwrites(MemoryStore):
    """Writes in `create` over what is there."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        await self.delete(key)
        return await super().create(key, record, now=now)


class MovesBack(MemoryStore):
    """Stores the times of an update as they come."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().update(key, record, expected, now=now)
        if outcome is DONE:
            self._records[key] = record
        return outcome


class TouchMovesBack(MemoryStore):
    """Stores the times of a touch as they come."""

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        current = await self.load(key)
        if current is None:
            return ABSENT
        self._records[key] = current._replace(accessed=accessed, expires=expires)
        return DONE


class TouchRevives(MemoryStore):
    """Remembers what was deleted, and a touch brings it back."""

    def __init__(self) -> None:
        super().__init__()
        self._deleted: dict[str, Record] = {}

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        current = await self.load(key)
        outcome = await super().delete(key, version)
        if outcome is DONE and current is not None:
            self._deleted[key] = current
        return outcome

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        if key in self._deleted:
            await self.create(key, self._deleted.pop(key), now=now)
        return await super().touch(key, accessed, expires, now=now)


class TouchCreates(MemoryStore):
    """Writes an empty record where a touch finds none."""

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        await self.create(key, Record(0, b"", accessed, expires), now=now)
        return await super().touch(key, accessed, expires, now=now)


class TouchCountsAsAWrite(MemoryStore):
    """Gives the record a new version when it is touched."""

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        outcome = await super().touch(key, accessed, expires, now=now)
        if outcome is DONE:
            self._records[key] = self._records[key]._replace(version=self._records[key].version ^ 1)
        return outcome


class DeletesAnyVersion(MemoryStore):
    """Takes no notice of the version that a delete names."""

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        return await super().delete(key)


class DeletesNothing(MemoryStore):
    """Says that it has deleted, and has not."""

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        current = await self.load(key)
        return await super().delete(key, version) if current and version not in (None, current.version) else DONE


class RaisesOnAbsence(MemoryStore):
    """Takes absence for an error."""

    async def load(self, key: str) -> Record | None:
        return self._records[key]


class KeepsText(MemoryStore):
    """Takes payloads for UTF-8."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        payload = record.payload.decode("utf-8", "replace").encode()
        return await super().create(key, record._replace(payload=payload), now=now)


class KeepsFloats(MemoryStore):
    """Keeps numbers as JSON in a browser or a sorted set in Redis would."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        return await super().create(key, record._replace(version=int(float(record.version))), now=now)


class ForgetsNobody(MemoryStore):
    """Takes the empty subject for none."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        return await super().create(key, record._replace(subject=record.subject or None), now=now)


class StaysClosed(MemoryStore):
    """Cannot be used any more once it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True

    async def load(self, key: str) -> Record | None:
        if self.closed:
            raise StoreUnavailable("the store is closed")
        return await super().load(key)


class SwallowsFailures(MemoryStore):
    """Says DONE and None while the service is down."""

    down = False

    async def load(self, key: str) -> Record | None:
        return None if self.down else await super().load(key)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return DONE if self.down else await super().update(key, record, expected, now=now)


class LeaksDriverErrors(MemoryStore):
    """Lets the errors of its driver through."""

    down = False

    async def load(self, key: str) -> Record | None:
        if self.down:
            raise ConnectionResetError("connection lost")
        return await super().load(key)


class SweepsTheLiving(MemoryStore):
    """Sweeps by the deadline that a record was created with."""

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        return DONE if key in self._records else ABSENT


class SweepsEverything(MemoryStore):
    """Takes no notice of the limit of a sweep."""

    async def sweep(self, now: int, limit: int) -> int:
        return await super().sweep(now, 1_000_000)


class LosesTheIndex(MemoryStore):
    """Keeps the index by subject on create only."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = await self.load(key)
        outcome = await super().update(key, record._replace(subject=current and current.subject), expected, now=now)
        if outcome is DONE:
            self._records[key] = self._records[key]._replace(subject=record.subject)
        return outcome

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        return await super().find(subject)


class ScansTwice(MemoryStore):
    """Begins each page with the last record of the one before."""

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        page, following = await super().scan(cursor, limit)
        return ([(cursor, self._records[cursor]), *page] if cursor else page), following


class CountsNothing(MemoryStore):
    """Has no idea how many records there are."""

    async def count(self) -> int:
        return 0


class UrgentlyOverwrites(MemoryStore):
    """Takes no notice in `create_urgently` of what is there."""

    async def create_urgently(self, key: str, record: Record, *, now: int) -> Outcome:
        await self.delete(key)
        return await self.create(key, record, now=now)


class ReplacesLikeUpdate(MemoryStore):
    """Keeps the later times in `replace` too."""

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return await self.update(key, record, expected, now=now)


class ReplacesAnything(MemoryStore):
    """Takes no notice of the version that `replace` names, nor of absence."""

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        await self.delete(key)
        return await self.create(key, record, now=now)


class ReplacesBehindTheIndex(MemoryStore):
    """Forgets in `replace` that there is an index by subject."""

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = self._records.get(key)
        if current is None or current.version != expected:
            return ABSENT if current is None else current
        self._records[key] = record
        return DONE


class LoadsWhatIsThere(MemoryStore):
    """Leaves absent records out of what it loads together."""

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return [record for record in await super().load_many(keys) if record is not None]


class LoadsAFew(MemoryStore):
    """Loads a hundred records together and no more."""

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return await super().load_many(keys[:100])


class OnePageForAll(MemoryStore):
    """Gives all sessions of a subject at once."""

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        return await self.find(subject), None


class PagesByNumber(MemoryStore):
    """Counts its way to the next page, whatever was deleted meanwhile."""

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        found, start = await self.find(subject), int(cursor or 0)
        return found[start : start + limit], str(start + limit) if start + limit < len(found) else None


class PagesForEver(MemoryStore):
    """Has a next page always."""

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        page, following = await super().find_page(subject, cursor, limit)
        return page, following or ""
