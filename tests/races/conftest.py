"""The stores that every race is run on. One more store: one more line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast._core.protocols import Store
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SQLiteStore
from holdfast.testing.machine import FailingStore

Open = Callable[[pytest.FixtureRequest], Store]


def _file(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("tmp_path")
    return folder / "sessions.db"


STORES: Final[dict[str, Open]] = {
    "memory": lambda request: MemoryStore(),
    # A store whose calls wait, so that the engine sets time limits and grants turns.
    "waiting": lambda request: FailingStore(MemoryStore()),
    "sqlite": lambda request: SQLiteStore(_file(request), synchronous="OFF"),
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An empty store of each kind."""
    opened = STORES[request.param](request)
    yield opened
    await opened.close()
