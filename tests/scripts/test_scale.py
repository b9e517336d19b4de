"""What `make scale` writes past the stores is what the stores write themselves, and its days are whole days."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from benchmarks.bulk import Bulk, PostgresBulk, RedisBulk
from benchmarks.scale import CLICKS, DAY, MINUTE, Scale, minutes
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
        await bulk.fill(((key(at), record(at)) for at in range(2_000)), NOW)
        await bulk.create(((key(at), record(at)) for at in range(2_000, number)), NOW)
        for at in (0, 999, 1_000, 1_999, 2_000, number - 1):
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


@pytest.mark.parametrize(("visits", "changes"), [(0, 0), (1, 3), (10_000, 1_000)])
def test_a_day(visits: int, changes: int) -> None:
    """Each visit clicks five times, a minute apart, within its day; what ends and begins does so once."""
    day = list(minutes(visits, changes))
    assert [minute.at for minute in day] == list(range(MINUTE, DAY + MINUTE, MINUTE))
    clicks: dict[int, list[int]] = {visit: [] for visit in range(visits)}
    for minute in day:
        for visit in minute.visits:
            clicks[visit].append(minute.at)
    for times in clicks.values():
        assert times == list(range(times[0], times[0] + CLICKS * MINUTE, MINUTE))
    assert [at for minute in day for at in minute.changed] == list(range(changes))


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_two_days(
    kind: str, own_valkey: ValkeyServer, own_postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many sessions begin as end, by a logout or by the sweep."""
    url = own_valkey.url if kind == "redis" else own_postgres.url
    if kind == "redis":
        own_valkey.say("FLUSHALL")
    else:
        sql = await asyncpg.connect(url)
        await sql.execute("DROP SCHEMA IF EXISTS limpet CASCADE")
        await sql.close()
    scale = Scale(kind, url, size=2_000, days=2, fillfactor=None if kind == "redis" else 90)
    await scale.run(60)
    said = capsys.readouterr().out
    assert said.count("after day") == 2
    store: Any = RedisStore(url) if kind == "redis" else PostgresStore(url)
    found, cursor = [], None
    while page := await store.scan(cursor, 500):
        found += [record for _, record in page[0] if record.subject != "user 0"]  # those are the samples of `create`
        if (cursor := page[1]) is None:
            break
    await store.close()
    assert len(found) == 2_000
    assert {record.subject for record in found} == {f"user {at}" for at in range(40, 2_040)}
    if kind == "postgres":
        assert scale.swept == 20 + 3_000
