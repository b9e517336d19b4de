"""The whole suite of adapters once more, over stores on real servers and in files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limpet.stores import Store
from limpet.stores.file import FileStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.testing._adapter_site import WatchedStore
from limpet.testing.suite_adapter import Opener
from tests.adapters.test_starlette import TestStarlette as OverStarlette


def store_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    """Return a new store of a kind; the same storage each time that one test asks."""
    if kind == "redis":
        return RedisStore(request.getfixturevalue("redis_url"), prefix=request.getfixturevalue("redis_prefix"))
    if kind == "postgres":
        schema = request.getfixturevalue("postgres_schema")
        return PostgresStore(request.getfixturevalue("postgres_url"), schema=schema)
    return FileStore(folder / "sessions", durable=False)


class TestOnServers(OverStarlette):
    """Rule by rule, as `TestStarlette` does it over memory, SQLite and the cookie."""

    @pytest.fixture(params=["redis", "postgres", "file"])
    async def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
        """Return a coroutine function that starts an application over each kind of store."""
        kind = request.param
        async for opener in self.openers(kind, lambda: WatchedStore(store_of(kind, request, tmp_path))):
            yield opener

    @pytest.fixture
    async def anywhere(self, server: Opener) -> Opener:
        """Return the same."""
        return server
