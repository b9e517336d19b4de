"""Tables of PostgreSQL are locked, or half migrated: what callers give up ends at the server too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from limpet.contract import DONE
from limpet.stores.postgres import PostgresStore
from tests.faults.postgres import administrator, ready, say
from tests.faults.records import NOW, a_key, a_record, fails_within, tries_again
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import pooler_proxy, tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")


COUNT = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited' AND backend_type = 'client backend'"
ACTIVE = f"{COUNT} AND state = 'active'"


@contextlib.asynccontextmanager
async def locked(server: PostgresServer, store: PostgresStore) -> AsyncIterator[None]:
    """Hold the lock that ``ALTER TABLE`` or ``VACUUM FULL`` would."""
    async with administrator(server) as connection:
        await connection.execute(f"BEGIN; LOCK TABLE {store._table.name} IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
async def limited(own_postgres: PostgresServer) -> str:
    """Return the URL of a user whose backends nobody else has."""
    await say(
        own_postgres,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'limited') "
        "THEN CREATE ROLE limited LOGIN SUPERUSER; END IF; END $$",
    )
    return own_postgres.url.replace("postgres@", "limited@")


@pytest.mark.parametrize("options", ["", "?statement_timeout=0&lock_timeout=0"], ids=["limits", "no limits"])
async def test_a_locked_table(own_postgres: PostgresServer, limited: str, postgres_schema: str, options: str) -> None:
    """Every caller is told in time, backends stay within the store's maximum, and when the lock is gone all is well.

    With the time limits of the server, and where the URL turns them off: then what was given up is cancelled there.
    """
    store = PostgresStore(limited + options, schema=postgres_schema, max_connections=3, timeout=0.4)
    key, record = await ready(store)
    said: set[str] = set()
    async with administrator(own_postgres) as watcher:
        async with locked(own_postgres, store):
            most = 0

            async def ask() -> None:
                async with fails_within(0.5) as caught:
                    await store.load(key)
                said.add(str(caught[0]))

            asking = []
            for _ in range(100):
                asking.append(asyncio.create_task(ask()))
                await asyncio.sleep(0.02)
                most = max(most, int(await watcher.fetchval(COUNT) or 0))
            await asyncio.gather(*asking)
            assert most <= 3, f"one worker had {most} backends, and 3 are its maximum"
            async with asyncio.timeout(1):
                while await watcher.fetchval(ACTIVE):
                    await asyncio.sleep(0.02)
        begun = time.monotonic()
        assert await store.load(key) == record
        assert time.monotonic() - begun < 0.4
        assert any("another session holds a lock" in one for one in said) is not bool(options)
    await store.close()


async def test_a_locked_row_costs_no_connection(
    own_postgres: PostgresServer, limited: str, postgres_schema: str
) -> None:
    """A write that waits for a row is refused by the server before its caller gives up: the connection stays."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = PostgresStore(
            limited.replace(str(own_postgres.port), str(proxy.port)), schema=postgres_schema, max_connections=1
        )
        key, record = await ready(store)
        async with administrator(own_postgres) as connection, connection.transaction():
            await connection.execute(f"SELECT 1 FROM {store._table.name} WHERE key = $1 FOR UPDATE", bytes.fromhex(key))  # noqa: S608
            async with fails_within(1):
                await store.update(key, a_record(), record.version, now=NOW)
        pid = f"SELECT min(pid) FROM pg_stat_activity WHERE usename = 'limited'"  # noqa: F541
        async with administrator(own_postgres) as connection:
            before = await connection.fetchval(pid)
            assert await store.update(key, a_record(), record.version, now=NOW) is DONE
            assert await connection.fetchval(pid) == before
        await store.close()


async def test_a_pool_of_ones_own_under_a_lock(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Connections of a pool that was given come back to it, in order, when the lock is gone."""
    async with asyncpg.create_pool(own_postgres.url, min_size=2, max_size=2) as pool:
        store = PostgresStore(pool=pool, schema=postgres_schema, timeout=0.3)
        key, record = await ready(store)
        async with locked(own_postgres, store):
            for _ in range(5):
                async with fails_within(0.5):
                    await store.load(key)
        assert await tries_again(lambda: store.load(key), 2) == record
        await store.close()
        async with asyncio.timeout(2):
            while pool.get_idle_size() != pool.get_size():
                await asyncio.sleep(0.02)
        async with pool.acquire() as connection:
            assert not connection.is_in_transaction()


async def test_the_servers_own_limits(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """The server is given the store's time for each statement; a URL that says otherwise is followed."""
    show = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') AS said"
    for options, wanted in (
        ("", "2s 1500ms"),
        ("?statement_timeout=7s", "7s 1500ms"),
        ("?options=-c%20lock_timeout%3D9s", "2s 9s"),
    ):
        store = PostgresStore(own_postgres.url + options, schema=postgres_schema, timeout=2)
        assert (await store._ask("alone", "fetchval", show)) == wanted
        await store.close()


async def test_a_pooler_that_refuses_settings(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A pooler that does not know the time limits, as PgBouncer by default, is used without them."""
    async with pooler_proxy(own_postgres.port, refuses=b"statement_timeout") as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        store = PostgresStore(url, schema=postgres_schema, max_connections=1)
        assert (await store._ask("alone", "fetchval", "SELECT current_setting('statement_timeout')")) == "0"
        await store.close()


async def test_a_failed_migration(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A user who may not create the table says so; once an administrator has, the same store works."""
    role = f"role_{a_key()[:8]}"
    await say(own_postgres, f"CREATE ROLE {role} LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    store = PostgresStore(own_postgres.url.replace("postgres@", f"{role}@"), schema=postgres_schema, max_connections=1)
    for _ in range(3):
        async with fails_within(1) as caught:
            await store.load(a_key())
        assert "permission denied" in str(caught[0])
        assert "limpet migrate --sql" in str(caught[0])
    quoted = '"' + postgres_schema.replace('"', '""') + '"'
    grants = f"GRANT USAGE ON SCHEMA {quoted} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {quoted} TO {role}"
    await say(own_postgres, store.migrations_sql(), grants)
    for _ in range(3):
        assert await store.load(a_key()) is None
        assert await store.create(a_key(), a_record(), now=NOW) is DONE
    await store.close()
    await say(own_postgres, f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_migration_may_take_longer_than_a_request(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A migration waits for a lock for longer than the time limit of a statement, and its callers ask again."""
    store = PostgresStore(own_postgres.url, schema=postgres_schema, timeout=0.3)
    script = store.migrations_sql()
    lock = script[script.index("SELECT pg_advisory_xact_lock") :].partition(";")[0]
    async with administrator(own_postgres) as connection:
        await connection.execute(f"BEGIN; {lock}")
        for _ in range(3):
            async with fails_within(0.5):
                await store.load(a_key())
        await connection.execute("COMMIT")
    assert await tries_again(lambda: store.load(a_key()), 2) is None
    assert (await store._ask("alone", "fetchval", "SELECT current_setting('lock_timeout')")) == "225ms"
    await store.close()
