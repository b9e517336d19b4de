"""What becomes of sessions in PostgreSQL when the server, or the way to it, fails."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from limpet.contract import ABSENT, DONE, Record
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from tests.faults.records import NOW, a_key, a_record, bare_timers, every_call, fails_within, tries_again
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")


@pytest.fixture
async def store(own_postgres: PostgresServer, postgres_schema: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(own_postgres.url, schema=postgres_schema)
    await store.open()
    yield store
    await store.close()


def behind(port: int, schema: str, **settings: float) -> PostgresStore:
    return PostgresStore(f"postgresql://postgres@127.0.0.1:{port}/postgres", schema=schema, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def administrator(server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_f01_refused(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F01: nobody listens: every call says so in under 100 ms; when somebody does, the sessions are there."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy.port, postgres_schema)
        key, record = a_key(), a_record()
        assert await tries_again(lambda: store.create(key, record, now=NOW), 10) is DONE
        await proxy.refuse()
        for name, call in every_call(store, key, record).items():
            async with fails_within(0.1, name) as caught:
                await call()
            assert f"127.0.0.1:{proxy.port}" in str(caught[0])
        await proxy.start()
        assert await store.load(key) == record
        await store.close()


async def test_f01_down_at_start(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F01: the service is down when a worker starts: calls fail, and when it is up the first one creates the table."""
    async with tcp_proxy(own_postgres.port) as proxy:
        await proxy.refuse()
        store = behind(proxy.port, postgres_schema)
        async with fails_within(0.1):
            await store.load(a_key())
        await proxy.start()
        assert await tries_again(lambda: store.create(a_key(), a_record(), now=NOW), 10) is DONE
        await store.close()


async def test_f04_frozen(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F04: the server hangs: each of two hundred callers, one after another, is told within the budget."""
    store = PostgresStore(own_postgres.url, schema=postgres_schema, timeout=0.4)
    key, record = a_key(), a_record()
    await tries_again(lambda: store.create(key, record, now=NOW), 10)
    own_postgres.freeze()
    try:

        async def ask(number: int) -> float:
            await asyncio.sleep(number * 0.005)
            begun = time.monotonic()
            async with fails_within(10):
                await store.load(key)
            return time.monotonic() - begun

        timers = asyncio.create_task(bare_timers(0.4, 20, 0.05))
        waited = sorted(await asyncio.gather(*(ask(number) for number in range(200))))
        limit = await timers + 0.05
        assert waited[197] < limit, f"198 of 200 callers must be told within {limit:.3f} s, not {waited[197]:.3f}"
        begun = time.monotonic()
        await store.close()
        assert time.monotonic() - begun < 1, "a frozen server kept the store from closing"
    finally:
        own_postgres.thaw()
    assert await tries_again(lambda: store.load(key), 1) == record
    await store.close()


async def test_f10_locked_row(store: PostgresStore, own_postgres: PostgresServer) -> None:
    """F10: another transaction holds the row: writing it fails within the budget, other sessions are not held up."""
    key, record, other = a_key(), a_record(), a_key()
    await store.create(key, record, now=NOW)
    await store.create(other, record, now=NOW)
    async with administrator(own_postgres) as connection, connection.transaction():
        await connection.execute(f"SELECT 1 FROM {store._table.name} WHERE key = $1 FOR UPDATE", bytes.fromhex(key))  # noqa: S608
        held = asyncio.create_task(store.update(key, a_record(), record.version, now=NOW))
        await asyncio.sleep(0.05)
        assert await store.load(key) == record, "a lock kept a reader waiting"
        assert await store.update(other, a_record(), record.version, now=NOW) is DONE
        async with fails_within(1.1):
            await held


async def test_f15_lost_reply(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F15: the connection is cut after a write was forwarded: its version token tells that it landed."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy.port, postgres_schema)
        warm, record, changed = a_key(), a_record(), a_record(b"changed")
        await tries_again(lambda: store.create(warm, record, now=NOW), 10)
        await store.create(warm, record, now=NOW)
        await store.update(warm, changed, 1, now=NOW)  # the statements are prepared now
        key = a_key()
        proxy.cut = lambda data: data[:1] == b"B"  # Bind, and with it Execute and Sync
        async with fails_within(0.5):
            await store.create(key, record, now=NOW)
        proxy.cut = None
        assert await store.create(key, record, now=NOW) == record
        await store.update(key, changed, 1, now=NOW)
        proxy.cut = lambda data: data[:1] == b"B"
        async with fails_within(0.5):
            await store.update(key, changed, record.version, now=NOW)
        proxy.cut = None
        assert await store.update(key, changed, record.version, now=NOW) == changed
        await store.close()


@pytest.mark.parametrize("way", ["immediate", "kill"])
async def test_f16_crash(store: PostgresStore, own_postgres: PostgresServer, way: str) -> None:
    """F16: the server crashes under load: well again in a second, and all that was acknowledged is there."""
    acknowledged: dict[str, Record] = {}
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            key, record = a_key(), a_record()
            try:
                if await store.create(key, record, now=NOW) is DONE:
                    acknowledged[key] = record
            except StoreUnavailable:
                await asyncio.sleep(0.01)

    writers = [asyncio.create_task(write()) for _ in range(10)]
    await asyncio.sleep(0.2)
    if way == "immediate":
        await asyncio.to_thread(own_postgres.restart, "immediate")
    else:
        await asyncio.to_thread(own_postgres.kill)
        await asyncio.to_thread(own_postgres.start)
    before = len(acknowledged)
    assert await tries_again(lambda: store.load(a_key()), 1) is None
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*writers)
    assert before > 10
    assert len(acknowledged) > before
    found = await asyncio.gather(*(store.load(key) for key in acknowledged))
    assert list(found) == list(acknowledged.values())


async def test_f16_terminated_backends(store: PostgresStore, own_postgres: PostgresServer) -> None:
    """F16: an administrator terminates every backend again and again: outages only, and over at once."""
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    outages = 0
    async with administrator(own_postgres) as connection:
        for _ in range(20):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            for found in await asyncio.gather(*(store.load(key) for _ in range(5)), return_exceptions=True):
                if isinstance(found, StoreUnavailable):
                    outages += 1
                else:
                    assert found == record
            assert await tries_again(lambda: store.load(key), 1) == record
    assert outages < 100, "no call ever succeeded at once"


async def test_f16_read_only(store: PostgresStore, own_postgres: PostgresServer) -> None:
    """F16: the database is read-only: reading goes on, a write is an outage and never half done; then it is over."""
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    async with administrator(own_postgres) as connection:
        await connection.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
        await store.close()
        try:
            assert await store.load(key) == record
            assert any("read-only" in sentence for sentence in await store.check())
            for name, call in every_call(store, key, record).items():
                if name != "load":
                    async with fails_within(0.5, name) as caught:
                        await call()
                    assert "read-only" in str(caught[0])
        finally:
            await connection.execute(
                "BEGIN READ WRITE; ALTER ROLE postgres RESET default_transaction_read_only; COMMIT"
            )
    await store.close()
    assert await store.update(key, a_record(), record.version, now=NOW) is DONE


async def test_f17_more_callers_than_connections(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F17: three hundred callers on ten connections: no error, and never an eleventh connection."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy.port, postgres_schema, max_connections=10)
        await tries_again(store.open, 10)
        proxy.delay = 0.005

        async def visit(key: str) -> None:
            await asyncio.sleep(random.random() / 5)
            record = a_record(key.encode())
            assert await store.create(key, record, now=NOW) is DONE
            assert await store.load(key) == record
            assert await store.update(key, record._replace(version=1), record.version, now=NOW) is DONE

        await asyncio.gather(*(visit(a_key()) for _ in range(300)))
        assert proxy.most <= 10
        await store.close()


async def test_f18_cancelled_callers(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F18: five hundred callers give up at any moment: nobody ever gets a foreign record, no connection leaks."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy.port, postgres_schema, max_connections=3)
        await tries_again(store.open, 10)
        proxy.delay = 0.02
        keys = [a_key() for _ in range(100)]
        await asyncio.gather(*(store.create(key, a_record(key.encode()), now=NOW) for key in keys))

        async def spread(number: int) -> None:
            await asyncio.sleep(number * 0.002)
            key = random.choice(keys)
            task = asyncio.create_task(
                store.load(key) if random.random() < 0.7 else store.touch(key, NOW, NOW, now=NOW)
            )
            await asyncio.sleep(random.random() * 0.06)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                found = await task
                assert not isinstance(found, Record) or found.payload == key.encode()

        await asyncio.gather(*(spread(number) for number in range(500)))
        found = await asyncio.gather(*(store.load(key) for key in keys))
        assert [record.payload for record in found if record] == [key.encode() for key in keys]
        assert proxy.most <= 3
        await store.close()


async def test_f26_close_waits_for_what_is_under_way(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """F26: closing while six hundred writes are under way: each is answered, and what was answered is there."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy.port, postgres_schema, max_connections=1)
        await tries_again(store.open, 10)
        proxy.delay = 0.03
        keys = [a_key() for _ in range(600)]
        writes = [asyncio.create_task(store.create(key, a_record(), now=NOW)) for key in keys]
        await asyncio.sleep(0.01)
        await store.close()
        assert await asyncio.gather(*writes) == [DONE] * 600
        await proxy.all_closed()
        assert ABSENT not in [await store.delete(key) for key in keys[:5]]
        await store.close()
