"""The stores that every race is run on. One more store: one more line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from limpet.contract import Store
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.testing.driven import driven
from limpet.testing.machine import FailingStore

Open = Callable[[pytest.FixtureRequest], Store]


def _place(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("tmp_path")
    return folder / "sessions"


def _fixture(request: pytest.FixtureRequest, name: str) -> str:
    value: str = request.getfixturevalue(name)
    return value


STORES: Final[dict[str, Open]] = {
    "memory": lambda request: MemoryStore(),
    # A store whose calls wait, so that the engine sets time limits and grants turns.
    "waiting": lambda request: FailingStore(MemoryStore()),
    "sqlite": lambda request: SQLiteStore(_place(request), synchronous="OFF"),
    "file": lambda request: FileStore(_place(request), durable=False),
    "redis": lambda request: RedisStore(_fixture(request, "redis_url"), prefix=_fixture(request, "redis_prefix")),
    "postgres": lambda request: PostgresStore(
        _fixture(request, "postgres_url"), schema=_fixture(request, "postgres_schema")
    ),
    # The clients that block, each call on a thread.
    "redis threads": lambda request: driven(STORES["redis"](request)),
    "postgres threads": lambda request: driven(STORES["postgres"](request)),
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """An empty store of each kind."""
    opened = STORES[request.param](request)
    yield opened
    await opened.close()
