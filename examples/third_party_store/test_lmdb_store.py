"""Run with ``pytest``: everything that a store has to promise, in five lines."""

from pathlib import Path

import pytest
from lmdb_store import LmdbStore

from limpet.testing import StoreSuite


class TestLmdbStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LmdbStore:
        return LmdbStore(tmp_path / "sessions")
