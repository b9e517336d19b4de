"""The records of one subject by pages: what a page costs, and how the index for it comes into older storage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
import statistics
import time
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as client_library

from limpet.contract import DONE, Pages, Record
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres.sql import MIGRATIONS, Table
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.stores.sqlite import store as of_sqlite
from tests.servers.proxies import tcp_proxy

NOW = 1_700_000_000_000
HOUR = 3_600_000


def a_key() -> str:
    return secrets.token_hex(32)


def a_record(subject: str | None = "ada", life: int = HOUR) -> Record:
    return Record(secrets.randbits(63), b"payload", NOW, NOW + life, subject)


async def walk(store: Pages, limit: int) -> tuple[set[str], int, float]:
    """Return the keys of ada's records, how many pages there were, and the seconds that a page takes, as the median."""
    found: set[str] = set()
    cursor: str | None = None
    times: list[float] = []
    while True:
        begun = time.perf_counter()
        page, cursor = await store.find_page("ada", cursor, limit)
        times.append(time.perf_counter() - begun)
        found.update(key for key, _ in page)
        if cursor is None:
            return found, len(times), statistics.median(times)


async def test_memory_takes_a_page_out_of_many() -> None:
    """A page of 200,000 sessions costs what a page of 2,000 costs: the rest of them is not looked at."""
    seconds = []
    for count in (2_000, 200_000):
        store = MemoryStore(max_records=count)
        for number in range(count):
            await store.create(f"{number:064x}", a_record(), now=NOW)
        found, pages, each = await walk(store, 100)
        assert (len(found), pages) == (count, count // 100)
        seconds.append(each)
    assert seconds[1] < 10 * seconds[0] + 0.0002, "a page takes the longer, the more sessions there are"


async def test_memory_forgets_what_replace_shortened_first() -> None:
    """A full store makes room by what expires first, also where `replace` moved that; its queue stays bounded."""
    store = MemoryStore(max_records=50)
    records = {a_key(): a_record(life=HOUR * 2) for _ in range(50)}
    for key, record in records.items():
        await store.create(key, record, now=NOW)
    short = list(records)[20]
    ended = records[short]._replace(version=1, expires=NOW + 60_000)
    assert await store.replace(short, ended, records[short].version, now=NOW) is DONE
    assert await store.create(a_key(), a_record(life=HOUR), now=NOW) is DONE
    assert await store.load(short) is None
    assert len([key for key in records if await store.load(key)]) == 49
    for _ in range(5_000):
        key, record = a_key(), a_record(life=HOUR * 2)
        await store.create(key, record, now=NOW)
        await store.replace(key, record._replace(version=1, expires=NOW), record.version, now=NOW)
        await store.delete(key)
    assert len(store._queue) + len(store._former) < 3_000


async def test_a_folder_is_listed_once_for_all_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a subject is listed for the first page, and given up with the last one."""
    store = FileStore(tmp_path, durable=False)
    keys = {a_key() for _ in range(30)}
    await asyncio.gather(*(store.create(key, a_record(), now=NOW) for key in keys))
    listings = 0
    listed = store._subjects.keys

    def counted(subject: str) -> object:
        nonlocal listings
        listings += 1
        return listed(subject)

    monkeypatch.setattr(store._subjects, "keys", counted)
    found, pages, _ = await walk(store, 4)
    assert (found, pages, listings) == (keys, 8, 1)
    assert store._subjects._listed == ("", ())
    page, cursor = await store.find_page("ada", None, 4)
    await store.find_page("eve", None, 4)
    rest = {key for key, _ in page}
    while cursor is not None:  # another walk came between: the folder is listed again
        page, cursor = await store.find_page("ada", cursor, 4)
        rest.update(key for key, _ in page)
    assert rest == keys
    await store.close()


async def test_sqlite_reads_a_page_from_its_index(tmp_path: Path) -> None:
    """The statement for a page searches by subject and key, and sorts nothing."""
    store = SQLiteStore(tmp_path / "sessions.db")
    await store.open()
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        words = "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE subject = ? AND key > ? ORDER BY key LIMIT ?"
        plan = str(db.execute(words, ("ada", b"", 10)).fetchall())
    assert "sessions_by_subject (subject=? AND key>?)" in plan
    assert "TEMP B-TREE" not in plan
    await store.close()


@pytest.mark.parametrize("analyzed", ["before", "never", "after"])
async def test_postgres_reads_a_page_from_its_index(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection, analyzed: str
) -> None:
    """Of 20,000 sessions of one subject the server looks at those of the page, whatever its statistics say of it."""
    store = PostgresStore(postgres_url, schema=postgres_schema)
    await store.open()
    await sql.execute(f"ALTER TABLE {store._table.name} SET (autovacuum_enabled = off)")
    if analyzed == "before":
        await sql.execute(
            f"INSERT INTO {store._table.name} (key, version, payload, accessed, expires, subject)"  # noqa: S608
            " SELECT sha256(n::text::bytea), n, 'x', 1, 2, n::text::bytea FROM generate_series(100000, 120000) n"
        )
        await sql.execute(f"ANALYZE {store._table.name}")
    await sql.execute(
        f"INSERT INTO {store._table.name} (key, version, payload, accessed, expires, subject)"  # noqa: S608
        " SELECT sha256(n::text::bytea), n, 'x', 1, 2, CASE WHEN n % 2 = 0 THEN 'ada'::bytea ELSE n::text::bytea END"
        " FROM generate_series(1, 40000) n"
    )
    if analyzed == "after":
        await sql.execute(f"ANALYZE {store._table.name}")
    plan = await sql.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {store._sql.find_page}", b"ada", b"\x80" * 32, 10)
    text = "\n".join(row[0] for row in plan)
    assert "_of_subject" in text, text
    assert "Sort" not in text, text
    assert "rows=10" in text, text
    found, pages, _ = await walk(store, 1_000)
    assert (len(found), pages) == (20_000, 21)
    await store.close()


async def test_postgres_brings_an_older_table_up_to_date(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of the first version keeps its records and gets the index for pages."""
    store = PostgresStore(postgres_url, schema=postgres_schema)
    with monkeypatch.context() as then:
        then.setitem(Table.migrations_sql.__globals__, "MIGRATIONS", MIGRATIONS[:1])
        await sql.execute(store.migrations_sql())
    assert await sql.fetchval(store._sql.version) == 1
    key, record = a_key(), a_record()
    older = PostgresStore(postgres_url, schema=postgres_schema, create=False)
    assert await older.create(key, record, now=NOW) is DONE
    assert (await store.find_page("ada", None, 10)) == ([(key, record)], None)
    assert await sql.fetchval(store._sql.version) == len(MIGRATIONS) == 2
    assert await older.find("ada") == [(key, record)]
    await older.close()
    await store.close()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


async def test_several_are_one_round_trip(
    redis_url: str, redis_prefix: str, postgres_url: str, postgres_schema: str
) -> None:
    """Redis and PostgreSQL are asked once for several records, and once for a replacement."""
    async with tcp_proxy(port_of(redis_url)) as near, tcp_proxy(port_of(postgres_url)) as far:
        at = f"postgresql://postgres@127.0.0.1:{far.port}/postgres"
        stores = (
            (near, RedisStore(f"redis://127.0.0.1:{near.port}", prefix=redis_prefix)),
            (far, PostgresStore(at, schema=postgres_schema)),
        )
        for proxy, store in stores:
            made = {a_key(): a_record() for _ in range(100)}
            keys = [*made, a_key()]
            for key, record in made.items():
                await store.create(key, record, now=NOW)
            assert await store.load_many(keys) == [*made.values(), None]  # the first time the statement is prepared
            before = proxy.requests
            assert await store.load_many(keys) == [*made.values(), None]
            assert proxy.requests == before + 1
            for key in keys[:2]:
                before = proxy.requests
                ended = made[key]._replace(version=1, expires=NOW + 60_000)
                assert await store.replace(key, ended, made[key].version, now=NOW) is DONE
            assert proxy.requests == before + 1
            await store.close()


async def test_redis_forgets_after_the_shorter_life(redis_url: str, redis_prefix: str) -> None:
    """`replace` shortens the life at the server and in the index; a page drops entries whose record expired."""
    client = client_library.Redis.from_url(redis_url, protocol=2)
    store = RedisStore(redis_url, prefix=redis_prefix)
    key, record = a_key(), a_record(life=HOUR)
    await store.create(key, record, now=NOW)
    ended = record._replace(version=1, expires=NOW + 60_000)
    assert await store.replace(key, ended, record.version, now=NOW) is DONE
    assert 59_000 < await client.pttl(redis_prefix + key) <= 60_000
    index = store._index("ada")
    ends = await client.zscore(index, key)
    assert ends is not None
    life = ends - (await client.time())[0] * 1000
    assert 58_000 < life < 62_000
    short = ended._replace(version=2, expires=NOW + 30)
    assert await store.replace(key, short, 1, now=NOW) is DONE
    await asyncio.sleep(0.1)  # the server's clock, which cannot be turned
    assert await client.zcard(index) == 1
    assert await store.find_page("ada", None, 10) == ([], None)
    assert await client.zcard(index) == 0
    await store.close()
    await client.aclose()


async def test_a_walk_through_all_files_lists_the_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page of a walk would otherwise take longer, the more sessions there are. Two walks at once give all."""
    store = FileStore(tmp_path)
    made = sorted([a_key() for _ in range(20)])
    for key in made:
        await store.create(key, a_record(), now=NOW)
    listed: list[object] = []
    listdir = os.listdir

    def listing(path: Path) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", listing)

    async def step(cursor: str | None, limit: int, found: list[str]) -> str | None:
        page, following = await store.scan(cursor, limit)
        found += [key for key, _ in page]
        return following

    alone: list[str] = []
    cursor = await step(None, 3, alone)
    while cursor is not None:
        cursor = await step(cursor, 3, alone)
    assert alone == made
    assert len(listed) == 1
    fast: list[str] = []
    slow: list[str] = []
    behind, ahead = await step(None, 2, slow), await step(None, 7, fast)
    while ahead is not None:  # the list goes with the end of this walk
        ahead = await step(ahead, 7, fast)
    while behind is not None:
        behind = await step(behind, 2, slow)
    assert fast == slow == made
    assert len(listed) == 4
    await store.close()


async def test_sqlite_finds_by_its_index_whatever_it_has_counted(tmp_path: Path) -> None:
    """After an ANALYZE of a table in which one subject has nearly all sessions, the others are not searched there."""
    store = SQLiteStore(tmp_path / "sessions.db")
    await store.open()
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        rows = ((secrets.token_bytes(32), NOW + number) for number in range(5_000))
        db.executemany("INSERT INTO sessions VALUES (?, 1, x'00', 1, ?, 'crowd')", rows)
        db.execute("ANALYZE")
        db.commit()
        for words, values in ((of_sqlite._FIND, ("ada",)), (of_sqlite._FIND_PAGE, ("ada", b"", 10))):
            plan = str(db.execute(f"EXPLAIN QUERY PLAN {words}", values).fetchall())
            assert "SEARCH sessions USING INDEX sessions_by_subject" in plan
    assert await store.find("ada") == []
    await store.close()


async def test_redis_drops_old_entries_of_a_crowd_a_few_at_a_time(redis_url: str, redis_prefix: str) -> None:
    """The server serves nobody else while a script runs: what thousands of ended sessions have left goes bit by bit."""
    client = client_library.Redis.from_url(redis_url, protocol=2)
    store = RedisStore(redis_url, prefix=redis_prefix)
    index, now = store._index("ada"), (await client.time())[0] * 1000
    await client.zadd(index, {a_key(): now - 2 * HOUR for _ in range(1000)})
    left = []
    for _ in range(12):
        await store.create(a_key(), a_record(subject="ada"), now=NOW)
        left.append(await client.zcount(index, "-inf", now))
    assert left == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0, 0, 0]
    await store.close()
    await client.aclose()
