"""Stores with one thing wrong each. What proves that a store is right has to refute them."""

from __future__ import annotations

from typing import Final

from limpet.contract import ABSENT, DONE, Outcome, Record, Store
from limpet.stores.memory import MemoryStore

__all__ = ["BROKEN", "EndedLives", "LateExpiry", "LostCheck", "SwallowedFailure", "TouchRevives", "Upsert"]


class Upsert(MemoryStore):
    """Its update creates what is absent or was replaced: a request under way writes a session back to life."""

    def __init__(self) -> None:
        super().__init__()
        self._replaced: set[str] = set()

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        if key in self._replaced:
            self._replaced.remove(key)
            await super().delete(key)
        outcome = await super().update(key, record, expected, now=now)
        return await self.create(key, record, now=now) if outcome is ABSENT else outcome

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().replace(key, record, expected, now=now)
        if outcome is DONE:
            self._replaced.add(key)
        return outcome


class LostCheck(MemoryStore):
    """Its update does not look at the version: the later of two writes erases the earlier."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        current = await self.load(key)
        return await super().update(key, record, current.version if current else expected, now=now)


class SwallowedFailure(MemoryStore):
    """Every third update is acknowledged and not made."""

    def __init__(self) -> None:
        super().__init__()
        self._updates = 0

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._updates += 1
        return DONE if self._updates % 3 == 0 else await super().update(key, record, expected, now=now)


class LateExpiry(MemoryStore):
    """Says of every record that it was used twelve hours later than it was, so that dead sessions are served."""

    async def load(self, key: str) -> Record | None:
        record = await super().load(key)
        return record and record._replace(accessed=record.accessed + 43_200_000)


class TouchRevives(MemoryStore):
    """Its touch brings back what was deleted or replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._ended: dict[str, Record] = {}

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        return self._note(key, await self.load(key), await super().delete(key, version))

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return self._note(key, await self.load(key), await super().replace(key, record, expected, now=now))

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        ended = self._ended.pop(key, None)
        if ended is not None:
            await super().delete(key)
            await self.create(key, ended, now=now)
        return await super().touch(key, accessed, expires, now=now)

    def _note(self, key: str, before: Record | None, outcome: Outcome) -> Outcome:
        if outcome is DONE and before is not None:
            self._ended[key] = before
        return outcome


class EndedLives(MemoryStore):
    """Acknowledges a delete by version and a replacement, and keeps the record."""

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        return await super().delete(key) if version is None else DONE

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return DONE


BROKEN: Final[tuple[type[Store], ...]] = (Upsert, LostCheck, SwallowedFailure, LateExpiry, TouchRevives, EndedLives)
