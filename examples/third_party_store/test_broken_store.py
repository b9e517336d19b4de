"""A store with the mistake that is made most often, and what the suite says about it. This one is meant to fail."""

from pathlib import Path

import pytest
from lmdb_store import LmdbStore

from limpet.stores import ABSENT, Outcome, Record
from limpet.testing import StoreSuite


class BrokenStore(LmdbStore):
    """Its update is an upsert: a request that was under way writes a session back to life that was logged out."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().update(key, record, expected, now=now)
        return await self.create(key, record, now=now) if outcome is ABSENT else outcome


class TestBrokenStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BrokenStore:
        return BrokenStore(tmp_path / "sessions")
