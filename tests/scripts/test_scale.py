"""What `make scale` writes past the stores is what the stores write themselves."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bulk import Bulk, PostgresBulk, RedisBulk
from limpet.contract import Record
from limpet.stores import PostgresStore, RedisStore
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tests.stores.blocking import key

NOW = 1_750_000_000_000
HOUR = 3_600_000


def record(number: int) -> Record:
    return Record(number + 1, bytes([number % 256]) * 150, NOW, NOW + HOUR, f"user {number}")


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_bulk(kind: str, own_valkey: ValkeyServer, own_postgres: PostgresServer) -> None:
    """Records made, touched and deleted in bulk are found, moved and gone for the store, and the other way round."""
    store: Any = RedisStore(own_valkey.url) if kind == "redis" else PostgresStore(own_postgres.url)
    await store.open()
    bulk: Bulk
    if kind == "redis":
        bulk = RedisBulk(own_valkey.url)
    else:
        bulk = await PostgresBulk.open(own_postgres.url, "limpet", "sessions")
    number = 2_500  # several groups, the last one smaller
    try:
        await bulk.create(((key(at), record(at)) for at in range(number)), NOW)
        for at in (0, 999, 1_000, number - 1):
            assert await store.load(key(at)) == record(at)
            assert await store.find(f"user {at}") == [(key(at), record(at))]
        await store.create(key(number), record(number), now=NOW)
        await bulk.touch([key(0), key(number)], NOW + 5, NOW + 2 * HOUR, NOW + 5)
        for at in (0, number):
            assert await store.load(key(at)) == record(at)._replace(accessed=NOW + 5, expires=NOW + 2 * HOUR)
        await bulk.delete(key(at) for at in range(1, number + 1))
        assert [at for at in range(number + 1) if await store.load(key(at)) is not None] == [0]
        assert await store.find(f"user {number}") == []
        with pytest.raises((RuntimeError, AssertionError)):
            await bulk.delete([key(1)])
    finally:
        await bulk.close()
        await store.close()
