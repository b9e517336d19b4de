"""PostgresStore."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from limpet.contract import ABSENT, DONE, NEVER, Checks, Finds, Record, Scans, Store, Sweeps
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres.sql import Table
from limpet.testing.suite_store import StoreSuite
from tests.servers.proxies import pooler_proxy, tcp_proxy

NOW = 1_700_000_000_000
HOUR = 3_600_000


def a_key() -> str:
    return secrets.token_hex(32)


def a_record(payload: bytes = b"payload", *, subject: str | None = None, life: int = HOUR) -> Record:
    return Record(secrets.randbits(63), payload, NOW, NOW + life, subject)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def through(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


class TestPostgresStore(StoreSuite):
    """The whole conformance suite."""

    @pytest.fixture
    def store(self, postgres_url: str, postgres_schema: str) -> PostgresStore:
        self.place = postgres_url, postgres_schema
        return PostgresStore(postgres_url, schema=postgres_schema)

    def reopen(self, store: Store) -> PostgresStore:
        return PostgresStore(self.place[0], schema=self.place[1])


class TestBehindPooler(StoreSuite):
    """The whole conformance suite where every transaction runs in another database session."""

    @pytest.fixture
    async def store(self, postgres_url: str, postgres_schema: str) -> AsyncIterator[PostgresStore]:
        async with pooler_proxy(port_of(postgres_url)) as proxy:
            store = PostgresStore(through(proxy.port), schema=postgres_schema, pgbouncer=True)
            yield store
            await store.close()


@pytest.fixture
async def store(postgres_url: str, postgres_schema: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_url, schema=postgres_schema)
    await store.open()
    yield store
    await store.close()


def test_powers(store: PostgresStore) -> None:
    """It finds, scans, sweeps and checks."""
    assert isinstance(store, Store)
    assert isinstance(store, Finds)
    assert isinstance(store, Scans)
    assert isinstance(store, Sweeps)
    assert isinstance(store, Checks)


async def test_a_pooler_breaks_named_statements(postgres_url: str, postgres_schema: str) -> None:
    """Without ``pgbouncer=True`` a pooler in transaction mode is an outage: the option is what makes it work."""
    async with pooler_proxy(port_of(postgres_url)) as proxy:
        store = PostgresStore(through(proxy.port), schema=postgres_schema)
        await store.delete(a_key())
        with pytest.raises(StoreUnavailable, match="prepared statement"):
            await store.delete(a_key())
        await store.close()
        store = PostgresStore.from_url(through(proxy.port) + "?pgbouncer=1&schema=pooled")
        assert await store.create(key := a_key(), a_record(), now=NOW) is DONE
        assert await store.delete(key) is DONE
        await store.close()


async def test_round_trips(postgres_url: str, postgres_schema: str) -> None:
    """A load is one round trip, and so is every write, also one that meets a conflict."""
    async with tcp_proxy(port_of(postgres_url)) as proxy:
        store = PostgresStore(through(proxy.port), schema=postgres_schema)
        await store.open()
        for counted in (False, True):  # the first time each statement is prepared
            key, record = a_key(), a_record(subject="ada")
            for call in (
                lambda: store.create(key, record, now=NOW),  # noqa: B023
                lambda: store.create(key, record, now=NOW),  # noqa: B023
                lambda: store.load(key),  # noqa: B023
                lambda: store.update(key, record._replace(version=5), record.version, now=NOW),  # noqa: B023
                lambda: store.update(key, record, record.version, now=NOW),  # noqa: B023
                lambda: store.touch(key, NOW + 1, NOW + HOUR + 1, now=NOW),  # noqa: B023
                lambda: store.delete(key, 4),  # noqa: B023
                lambda: store.delete(key, 5),  # noqa: B023
            ):
                before = proxy.requests
                await call()
                assert proxy.requests == before + 1 or not counted
        await store.close()


async def test_concurrent_commands_travel_together(postgres_url: str, postgres_schema: str) -> None:
    """A hundred commands of one loop turn are one statement, and each caller gets its own answer."""
    async with tcp_proxy(port_of(postgres_url)) as proxy:
        store = PostgresStore(through(proxy.port), schema=postgres_schema)
        await store.open()
        for counted in (False, True):
            keys = [a_key() for _ in range(100)]
            made = {key: a_record(key.encode()) for key in keys}
            before = proxy.requests
            assert await asyncio.gather(*(store.create(key, made[key], now=NOW) for key in keys)) == [DONE] * 100
            assert await asyncio.gather(*(store.load(key) for key in keys)) == list(made.values())
            changes = [
                store.update(key, record._replace(version=1), record.version, now=NOW) for key, record in made.items()
            ]
            assert await asyncio.gather(*changes) == [DONE] * 100
            assert proxy.requests - before == 3 or not counted
        await store.close()


async def test_one_statement_is_exact_for_each_row(store: PostgresStore) -> None:
    """Concurrent writes that end differently, some on the same key, each get the answer of their own."""
    keys = [a_key() for _ in range(6)]
    record = a_record()
    for key in keys[:4]:
        await store.create(key, record, now=NOW)
    changed = record._replace(version=2, payload=b"changed")
    outcomes = await asyncio.gather(
        store.update(keys[0], changed, record.version, now=NOW),
        store.update(keys[1], changed, 12345, now=NOW),
        store.update(keys[4], changed, record.version, now=NOW),
        store.update(keys[0], record._replace(version=3), record.version, now=NOW),
        store.update(keys[0], record._replace(version=4), 2, now=NOW),
        store.create(keys[2], changed, now=NOW),
        store.create(keys[5], changed, now=NOW),
        store.create(keys[5], record, now=NOW),
        store.delete(keys[3], 1),
        store.delete(keys[3]),
        store.delete(keys[3]),
        store.touch(keys[2], NOW + 1, NEVER, now=NOW),
        store.touch(keys[3], NOW + 1, NEVER, now=NOW),
    )
    assert outcomes[:5] == [DONE, record, ABSENT, changed, DONE]
    assert isinstance(outcomes[5], Record)
    assert outcomes[5].version == record.version
    assert outcomes[6:11] == [DONE, changed, record, DONE, ABSENT]
    assert outcomes[11] is DONE
    assert outcomes[12] in (DONE, ABSENT)  # kinds of commands are free to overtake each other


async def test_conflict_shows_what_is_committed(store: PostgresStore, sql: asyncpg.Connection) -> None:
    """An update that waited for another transaction returns that transaction's record, not the one before it."""
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    async with sql.transaction():
        change = f"UPDATE {store._table.name} SET version = 77, payload = 'fresh' WHERE key = $1"  # noqa: S608
        await sql.execute(change, bytes.fromhex(key))
        waiting = [
            asyncio.create_task(store.update(key, a_record(), record.version, now=NOW)),
            asyncio.create_task(store.delete(key, record.version)),
        ]
        await asyncio.sleep(0.05)  # they wait for the lock by now
    for outcome in await asyncio.gather(*waiting):
        assert isinstance(outcome, Record)
        assert (outcome.version, outcome.payload) == (77, b"fresh")


async def test_create_that_waited_returns_the_winner(store: PostgresStore, sql: asyncpg.Connection) -> None:
    """A create that waited for another one returns its record, and takes the key if that one is rolled back."""
    for commits in (True, False):
        key, record = a_key(), a_record()
        transaction = sql.transaction()
        await transaction.start()
        fields = "(key, version, payload, accessed, expires)"
        insert = f"INSERT INTO {store._table.name} {fields} VALUES ($1, 77, 'winner', 1, 2)"  # noqa: S608
        await sql.execute(insert, bytes.fromhex(key))
        waiting = asyncio.create_task(store.create(key, record, now=NOW))
        await asyncio.sleep(0.05)  # it waits for the other one by now
        await (transaction.commit() if commits else transaction.rollback())
        outcome = await waiting
        assert outcome == (Record(77, b"winner", 1, 2) if commits else DONE)


async def test_overlapping_batches_do_not_deadlock(
    store: PostgresStore, postgres_url: str, postgres_schema: str
) -> None:
    """Two workers that write the same sessions in opposite orders wait for each other in one direction only."""
    other = PostgresStore(postgres_url, schema=postgres_schema)
    keys = [a_key() for _ in range(40)]
    await asyncio.gather(*(store.create(key, a_record()._replace(version=0), now=NOW) for key in keys))
    for turn in range(1, 15):
        forward = [store.touch(key, NOW + turn, NOW, now=NOW) for key in keys]
        backward = [other.touch(key, NOW + turn, NOW, now=NOW) for key in reversed(keys)]
        assert set(await asyncio.gather(*forward, *backward)) == {DONE}
    await other.close()


async def test_a_create_that_meets_its_own_first_attempt(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection
) -> None:
    """An attempt whose reply was lost is committed after the second one has begun, which so sees only that the key is
    taken: what is there then was written by this call."""
    store = PostgresStore(postgres_url, schema=postgres_schema)
    await store.open()
    table = Table(schema=postgres_schema, table="sessions").name
    key, record = a_key(), a_record()
    other = await asyncpg.connect(postgres_url)
    for there, wanted in ((record, DONE), (a_record(), None)):
        await store.delete(key)
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            f"INSERT INTO {table} (key, version, payload, accessed, expires) VALUES ($1, $2, $3, $4, $5)",  # noqa: S608
            *(bytes.fromhex(key), *there[:4]),
        )
        second = asyncio.ensure_future(store.create(key, record, now=NOW))
        while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await transaction.commit()
        assert await second == (wanted or there)
    await other.close()
    await store.close()


async def test_own_pool(postgres_url: str, postgres_schema: str) -> None:
    """A pool that the application has is used as it is, and stays open."""
    async with asyncpg.create_pool(postgres_url, min_size=1, max_size=2) as pool:
        store = PostgresStore(pool=pool, schema=postgres_schema)
        key, record = a_key(), a_record()
        assert await store.create(key, record, now=NOW) is DONE
        assert await asyncio.gather(*(store.load(key) for _ in range(20))) == [record] * 20
        await store.close()
        assert await pool.fetchval("SELECT 1") == 1
        assert pool.get_idle_size() == pool.get_size()


async def test_writes_stay_on_their_page(store: PostgresStore, sql: asyncpg.Connection) -> None:
    """A touch and an update of the data change no index (HOT) as long as there is room on the page."""
    keys = [a_key() for _ in range(50)]
    await asyncio.gather(*(store.create(key, a_record(subject="ada")._replace(version=1), now=NOW) for key in keys))
    for turn in range(1, 4):
        await asyncio.gather(*(store.touch(key, NOW + turn, NOW + HOUR + turn, now=NOW) for key in keys[:25]))
        record = a_record(subject="ada")._replace(version=turn + 1)
        await asyncio.gather(*(store.update(key, record, turn, now=NOW) for key in keys[25:]))
    await store.close()  # a backend reports its numbers when it ends
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = to_regclass($1)"
    async with asyncio.timeout(10):
        while (row := await sql.fetchrow(query, store._table.name)) is None or row[0] < 150:
            await asyncio.sleep(0.05)
    updated, hot = row
    assert updated == 150
    assert hot >= 120


async def test_sweep_passes_over_what_is_being_written(store: PostgresStore, sql: asyncpg.Connection) -> None:
    """A sweep waits for nobody: a row that a transaction holds is left for the next time."""
    keys = [a_key() for _ in range(5)]
    await asyncio.gather(*(store.create(key, a_record(life=-1), now=NOW) for key in keys))
    async with sql.transaction():
        await sql.execute(f"SELECT 1 FROM {store._table.name} WHERE key = $1 FOR UPDATE", bytes.fromhex(keys[0]))  # noqa: S608
        assert await store.sweep(NOW, 100) == 4
    assert await store.sweep(NOW, 100) == 1


@pytest.mark.parametrize(("schema", "table"), [("", "t"), ("s", "t\0"), ("s" * 64, "t"), ("s", "t" * 60)])
def test_names_that_postgresql_would_not_keep(schema: str, table: str) -> None:
    """A name that PostgreSQL would refuse or cut is refused at once."""
    with pytest.raises(ConfigurationError, match="no name for PostgreSQL"):
        PostgresStore("postgresql://h/d", schema=schema, table=table)


def test_the_password_is_not_shown() -> None:
    """Neither repr nor a refused URL shows a password."""
    assert repr(PostgresStore("postgresql://user:hunter2@h:5/d")) == (
        "PostgresStore('PostgreSQL at h:5/d', table='\"limpet\".\"sessions\"')"
    )
    with pytest.raises(ConfigurationError) as caught:
        PostgresStore("postgresql://user:hunter2@h:port/d")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="not both"):
        PostgresStore()


async def test_check_names_what_is_dangerous(store: PostgresStore, postgres_url: str, postgres_schema: str) -> None:
    """A server or table that would forget acknowledged sessions is complained about."""
    store_of_own = PostgresStore(postgres_url, schema=postgres_schema, max_connections=1000)
    sql = await asyncpg.connect(postgres_url)
    role = f"role_{secrets.token_hex(4)}"
    await sql.execute(
        f"CREATE ROLE {role} LOGIN SUPERUSER; ALTER ROLE {role} SET synchronous_commit = off; "
        f"ALTER ROLE {role} SET default_transaction_isolation = 'serializable'"
    )
    await sql.execute(f"ALTER TABLE {store._table.name} SET UNLOGGED")
    assert any("unlogged" in sentence for sentence in await store.check())
    assert any("max_connections" in sentence for sentence in await store_of_own.check())
    await store_of_own.close()
    careless = PostgresStore(postgres_url.replace("postgres@", f"{role}@"), schema=postgres_schema)
    text = "\n".join(await careless.check())
    assert "synchronous_commit is off" in text
    assert "serializable" in text
    await careless.close()
    await sql.execute(f"DROP ROLE {role}")
    await sql.close()


async def test_a_server_that_is_set_up_well(store: PostgresStore) -> None:
    """PostgreSQL's own defaults are not complained about; the tests' server differs from them in fsync alone."""
    assert [sentence for sentence in await store.check() if not sentence.startswith("fsync is off")] == []


async def test_touches_of_one_session_are_one(postgres_url: str, postgres_schema: str) -> None:
    """Eighty requests of one browser that touch its session at once cost one statement; the latest times stand."""
    async with tcp_proxy(port_of(postgres_url)) as proxy:
        store = PostgresStore(through(proxy.port), schema=postgres_schema)
        key, record, other = a_key(), a_record(), a_key()
        assert await store.create(key, record, now=NOW) is DONE
        assert await store.create(other, record, now=NOW) is DONE
        for counted in (False, True):
            before = proxy.requests
            times = [*range(40), *range(39, -1, -1)]
            touches = [store.touch(key, NOW + at, record.expires + 100 - at, now=NOW) for at in times]
            found = await asyncio.gather(*touches, store.touch(other, NOW + 7, 0, now=NOW))
            assert found == [DONE] * 81
            assert proxy.requests - before == 1 or not counted
        assert await store.load(key) == record._replace(accessed=NOW + 39, expires=record.expires + 100)
        assert await store.load(other) == record._replace(accessed=NOW + 7)
        nobody = [store.touch("0" * 64, NOW, NOW, now=NOW) for _ in range(3)]
        assert await asyncio.gather(*nobody) == [ABSENT] * 3
        await proxy.refuse()
        failed = await asyncio.gather(*(store.touch(key, NOW, NOW, now=NOW) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in failed] == [StoreUnavailable] * 3
        assert len({id(error) for error in failed}) == 3
        await store.close()
