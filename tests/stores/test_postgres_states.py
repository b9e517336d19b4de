"""What PostgresStore says of a database in a wrong state, and what it makes of a table of an older version."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres import sql as statements
from limpet.stores.postgres.sql import MIGRATIONS, Table
from limpet.testing.driven import driven
from tests.faults.records import NOW, a_key, a_record
from tests.races.counted import CountedSite
from tests.servers.postgres import PostgresServer

Opens = Callable[..., PostgresStore]


@pytest.fixture
def schema() -> str:
    """Return a schema whose name needs no quotes."""
    return f"state_{secrets.token_hex(6)}"


@pytest_asyncio.fixture(params=["loop", "threads"])
async def open_store(
    request: pytest.FixtureRequest, postgres_url: str, schema: str, sql: asyncpg.Connection
) -> AsyncIterator[Opens]:
    """Make stores of that schema, for an application on an event loop and for one that blocks."""
    made: list[Any] = []

    def make(**settings: Any) -> Any:
        user = settings.pop("user", "postgres")
        store: Any = PostgresStore(postgres_url.replace("postgres@", f"{user}@"), schema=schema, **settings)
        made.append(driven(store) if request.param == "threads" else store)
        return made[-1]

    yield make
    for store in made:
        await store.close()
    await sql.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


async def role(sql: asyncpg.Connection, schema: str, *grants: str) -> str:
    """Make a user with these rights in the schema."""
    name = f"role_{secrets.token_hex(4)}"
    await sql.execute(f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {name}")
    for grant in grants:
        await sql.execute(f"GRANT {grant.format(schema=schema)} TO {name}")
    return name


async def drop(sql: asyncpg.Connection, name: str) -> None:
    """Take a user away."""
    await sql.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def reason(call: Awaitable[Any]) -> str:
    """Return why a store cannot be used."""
    with pytest.raises(StoreUnavailable) as raised:
        await call
    return str(raised.value)


def script(schema: str, version: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what an older version of limpet made the table with."""
    with monkeypatch.context() as patch:
        patch.setattr(statements, "MIGRATIONS", MIGRATIONS[:version])
        return Table(schema=schema, table="sessions").migrations_sql()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_an_older_table_serves_and_is_migrated_with_all_that_it_holds(
    version: int, open_store: Opens, schema: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the application may not change it, it is used as it is, and the check says what to run; a store that may
    brings it up to date at first use. No session is lost on the way."""
    await sql.execute(script(schema, version, monkeypatch))
    bound = open_store(create=False)
    key, record = a_key(), a_record(subject="ada")
    assert await bound.create(key, record, now=NOW) is DONE
    assert await bound.find("ada") == [(key, record)]
    assert any("run `limpet migrate`" in said for said in await bound.check())
    assert await open_store().load(key) == record
    assert await bound.find("ada") == [(key, record)]
    assert not any("migrate" in said for said in await bound.check())


async def test_an_older_table_that_the_user_may_not_migrate(
    open_store: Opens, schema: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says who has to run what; after that the same workers go on, and migrating again takes no right."""
    await sql.execute(script(schema, 1, monkeypatch))
    user = await role(sql, schema, "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}")
    store = open_store(user=user)
    assert "let an administrator run what `limpet migrate --sql` prints" in await reason(store.load(a_key()))
    await sql.execute(store.migrations_sql())
    assert await store.create(a_key(), a_record(), now=NOW) is DONE
    await store.migrate()
    await drop(sql, user)


async def test_the_table_that_is_missing_is_named(open_store: Opens, schema: str, sql: asyncpg.Connection) -> None:
    """Where only the table of migrations is gone, the sessions are not said to be."""
    bound = open_store(create=False)
    assert f'no table "{schema}"."sessions": run `limpet migrate`' in await reason(bound.check())
    await sql.execute(bound.migrations_sql())
    key, record = a_key(), a_record()
    assert await bound.create(key, record, now=NOW) is DONE
    await sql.execute(f"DROP TABLE {schema}.sessions_migrations")
    assert f'no table "{schema}"."sessions_migrations": run `limpet migrate`' in await reason(bound.check())
    await bound.migrate()
    await bound.check()
    assert await bound.load(key) == record


async def test_a_table_that_somebody_dropped_is_made_again(
    open_store: Opens, schema: str, sql: asyncpg.Connection
) -> None:
    """Though the table of migrations still says that it is there."""
    await open_store().open()
    await sql.execute(f"DROP TABLE {schema}.sessions")
    bound = open_store(create=False)
    for call in (bound.load(a_key()), bound.check()):
        assert f'no table "{schema}"."sessions": run `limpet migrate`' in await reason(call)
    assert await open_store().create(a_key(), a_record(), now=NOW) is DONE


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        "TABLE {schema}.sessions (id integer, data text)",
        "VIEW {schema}.sessions AS SELECT 1 AS id",
        "TABLE {schema}.sessions (key text PRIMARY KEY, version bigint, payload bytea, expires bigint, subject bytea)",
    ],
    ids=["columns", "view", "types"],
)
async def test_a_table_of_another_application_is_left_alone(
    create: bool, other: str, open_store: Opens, schema: str, sql: asyncpg.Connection
) -> None:
    """Nothing of it is changed, and the error says to use another name."""
    await sql.execute(f"CREATE SCHEMA {schema}; CREATE {other.format(schema=schema)}")
    everything = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) ORDER BY 1"
    before = await sql.fetch(everything, schema)
    store = open_store(create=create)
    for call in (store.load, store.delete):
        assert "another schema or table" in await reason(call(a_key()))
    assert "another schema or table" in await reason(store.migrate())
    assert await sql.fetch(everything, schema) == before


async def test_a_table_without_its_primary_key(open_store: Opens, schema: str, sql: asyncpg.Connection) -> None:
    """A write says that somebody has changed the table."""
    store = open_store()
    await store.open()
    await sql.execute(f"ALTER TABLE {schema}.sessions DROP CONSTRAINT sessions_pkey")
    assert "somebody has changed it" in await reason(store.create(a_key(), a_record(), now=NOW))


async def test_row_level_security_is_said(open_store: Opens, schema: str, sql: asyncpg.Connection) -> None:
    """It hides every session, and no read fails: the check says so."""
    await sql.execute(Table(schema=schema, table="sessions").migrations_sql())
    user = await role(sql, schema, "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}")
    store = open_store(user=user, create=False)
    assert not any("row-level" in said for said in await store.check())
    await sql.execute(f"ALTER TABLE {schema}.sessions ENABLE ROW LEVEL SECURITY")
    assert any("row-level security hides sessions" in said for said in await store.check())
    await drop(sql, user)


async def test_a_database_that_the_user_may_not_enter(postgres_url: str, schema: str, sql: asyncpg.Connection) -> None:
    """The error says which right it takes."""
    await sql.execute(f"CREATE DATABASE {schema}")
    await sql.execute(f"REVOKE CONNECT ON DATABASE {schema} FROM PUBLIC; CREATE ROLE {schema} LOGIN")
    place = postgres_url.replace("postgres@", f"{schema}@").rpartition("/")[0]
    store = PostgresStore(f"{place}/{schema}")
    assert "CONNECT on the database" in await reason(store.open())
    await store.close()
    await sql.execute(f"DROP DATABASE {schema}")
    await sql.execute(f"DROP ROLE {schema}")


async def test_a_name_that_postgresql_keeps(postgres_url: str) -> None:
    """The error says which names it does not take."""
    store = PostgresStore(postgres_url, schema="pg_sessions")
    assert "names that begin with pg_" in await reason(store.open())
    await store.close()


async def test_requests_meet_a_table_that_is_made_later(
    postgres_url: str, schema: str, sql: asyncpg.Connection
) -> None:
    """Without the table a request that writes is a 503, and one that is anonymous and only reads is served; after the
    migration the same workers go on."""
    store = PostgresStore(postgres_url, schema=schema, create=False)
    site = CountedSite(store, counted=False)
    assert (await site.ask(lambda session: session.update(x=1))).status == 503
    assert (await site.ask(lambda session: dict(session))).status == 200
    await sql.execute(store.migrations_sql())
    assert (await site.ask(lambda session: session.update(x=1))).status == 200
    await store.close()
    await sql.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize("threads", [False, True], ids=["loop", "threads"])
async def test_a_lock_that_was_waited_for_is_the_reason(
    threads: bool, postgres_url: str, schema: str, sql: asyncpg.Connection
) -> None:
    """The error names the lock and says that its time is used up, so that the same request does not wait again."""
    store: Any = PostgresStore(postgres_url, schema=schema, timeout=0.4)
    store = driven(store) if threads else store
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=NOW) is DONE
    async with sql.transaction():
        await sql.execute(f"LOCK {schema}.sessions IN ACCESS EXCLUSIVE MODE")
        for call in (store.load(key), store.touch(key, NOW + 1, NOW + 2, now=NOW)):
            with pytest.raises(StoreUnavailable, match="another session holds a lock") as raised:
                await call
            assert raised.value.waited
    assert await store.load(key) == record
    await store.close()
    await sql.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize("threads", [False, True], ids=["loop", "threads"])
async def test_a_server_that_hangs_is_waited_for_once(threads: bool, own_postgres: PostgresServer, schema: str) -> None:
    """Over a connection that is open and over one that is to be opened, the error says that its time is used up."""
    store: Any = PostgresStore(own_postgres.url, schema=schema, timeout=0.4, connect_timeout=0.3)
    fresh: Any = PostgresStore(own_postgres.url, schema=schema, timeout=0.4, connect_timeout=0.3)
    if threads:
        store, fresh = driven(store), driven(fresh)
    await store.open()
    own_postgres.freeze()
    try:
        for each in (store, fresh):
            with pytest.raises(StoreUnavailable) as raised:
                await each.load(a_key())
            assert raised.value.waited, raised.value
    finally:
        own_postgres.thaw()
    for each in (store, fresh):
        await each.close()
