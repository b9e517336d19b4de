"""The table of sessions in PostgreSQL is made once, by whoever comes first; a deadlock on the way is outlived."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

import asyncpg
import pytest

from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres.clients import _again_after_deadlock
from limpet.stores.postgres.sql import Table
from tests.faults.records import NOW, a_key, a_record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "running-on-postgresql.md"


async def test_many_workers_create_the_table_at_once(postgres_url: str, postgres_schema: str) -> None:
    """Eight workers that start on an empty database create schema and table once, without an error."""
    stores = [PostgresStore(postgres_url, schema=postgres_schema, max_connections=1) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    key, record = a_key(), a_record()
    assert await stores[0].create(key, record, now=NOW) is DONE
    assert await asyncio.gather(*(store.load(key) for store in stores)) == [record] * 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_without_create_nothing_is_created(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection
) -> None:
    """``create=False`` leaves the database alone and says what to run; that script may be run twice."""
    store = PostgresStore(postgres_url, schema=postgres_schema, create=False)
    with pytest.raises(StoreUnavailable, match="limpet migrate"):
        await store.load(a_key())
    assert await sql.fetchval("SELECT to_regnamespace(quote_ident($1))", postgres_schema) is None
    await sql.execute(store.migrations_sql())
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=NOW) is DONE
    await sql.execute(store.migrations_sql())
    await store.migrate()
    assert await store.load(key) == record
    await store.close()


async def test_a_second_migration_waits_for_nobody(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection
) -> None:
    """A worker that starts while others serve finds all done, and takes no lock that their writes would wait for; a
    table that somebody has dropped is made again."""
    store = PostgresStore(postgres_url, schema=postgres_schema)
    await store.open()
    table, script = Table(schema=postgres_schema, table="sessions").name, store.migrations_sql()
    async with sql.transaction():
        await sql.execute(f"LOCK {table} IN ROW EXCLUSIVE MODE")  # as every write does
        await asyncio.wait_for(store.migrate(), 5)
    await sql.execute(f"DROP TABLE {table}")
    await store.migrate()
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=NOW) is DONE
    assert await sql.fetchval("SELECT count(*) FROM pg_indexes WHERE schemaname = $1", postgres_schema) == 4
    assert script == store.migrations_sql()
    await store.close()


@pytest.mark.parametrize("name", ["a$do$b", "a'b", "$do_$do$", 'a"b'])
async def test_names_that_end_no_quotes(postgres_url: str, sql: asyncpg.Connection, name: str) -> None:
    """The script quotes blocks and names; no name ends the quotes."""
    store = PostgresStore(postgres_url, schema=f"{name}{secrets.token_hex(4)}", table=name)
    try:
        assert await store.create(a_key(), a_record(), now=NOW) is DONE
        await store.migrate()
    finally:
        await sql.execute(f"DROP SCHEMA {store._table.name.partition('.')[0]} CASCADE")
        await store.close()


async def test_a_user_who_may_not_create_schemas(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection
) -> None:
    """An administrator made the schema; a user who may only create tables in it needs no more."""
    quoted = '"' + postgres_schema.replace('"', '""') + '"'
    role = f"role_{secrets.token_hex(4)}"
    await sql.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA {quoted}; GRANT ALL ON SCHEMA {quoted} TO {role}")
    store = PostgresStore(postgres_url.replace("postgres@", f"{role}@"), schema=postgres_schema)
    assert await store.create(a_key(), a_record(), now=NOW) is DONE
    await store.close()
    await sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_user_who_may_only_use_the_table(postgres_url: str, sql: asyncpg.Connection) -> None:
    """An administrator migrated; what the page says to grant is enough, and without it the error says what to grant."""
    role, schema = f"role_{secrets.token_hex(4)}", f"schema_{secrets.token_hex(4)}"
    url = postgres_url.replace("postgres@", f"{role}@")
    store = PostgresStore(url, schema=schema, create=False)
    await sql.execute(f"CREATE ROLE {role} LOGIN; {store.migrations_sql()}")
    with pytest.raises(StoreUnavailable, match="USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on its"):
        await store.load(a_key())
    (grants,) = re.findall(r"```sql\n(GRANT .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    await sql.execute(grants.replace("limpet", schema).replace("shop", role))
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=NOW) is DONE
    assert await store.update(key, record._replace(version=2), record.version, now=NOW) is DONE
    assert await store.touch(key, NOW + 1, NOW + 2, now=NOW + 1) is DONE
    assert await store.delete(key) is DONE
    assert await store.sweep(NOW, 10) == 0
    assert [said for said in await store.check() if "fsync" not in said] == []
    await store.close()
    await sql.execute(f"DROP SCHEMA {schema} CASCADE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_partitioned_table(postgres_url: str, sql: asyncpg.Connection) -> None:
    """A table that was made as the page says gets its indexes, and everything works on it."""
    (made,) = re.findall(r"```sql\n(CREATE SCHEMA .*?)  -- and so on", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    schema = f"schema_{secrets.token_hex(4)}"
    table, first = made.replace("limpet", schema).rsplit("CREATE TABLE", 1)
    for number in range(8):
        table += "CREATE TABLE" + first.replace("sessions_0", f"sessions_{number}").replace("ER 0)", f"ER {number})")
    await sql.execute(table)
    store = PostgresStore(postgres_url, schema=schema)
    await store.open()
    keys, record = [a_key() for _ in range(50)], a_record()._replace(expires=NOW + 9, subject="ada")
    assert await asyncio.gather(*(store.create(key, record, now=NOW) for key in keys)) == [DONE] * 50
    assert await asyncio.gather(*(store.touch(key, NOW + 1, record.expires, now=NOW) for key in keys)) == [DONE] * 50
    assert await store.update(keys[0], record._replace(version=2), record.version, now=NOW) is DONE
    assert await store.create(keys[1], record._replace(version=2), now=NOW) == record._replace(accessed=NOW + 1)
    assert await store.delete(keys[1]) is DONE
    assert {key for key, _ in await store.find("ada")} == {*keys[:1], *keys[2:]}
    assert [key for key, _ in (await store.find_page("ada", None, 10))[0]] == sorted([*keys[:1], *keys[2:]])[:10]
    assert await store.count() == 49
    assert await store.sweep(record.expires, 40) == 40
    assert await store.sweep(record.expires, 40) == 9
    used = "SELECT count(*) FROM pg_index WHERE indrelid = to_regclass($1)"
    assert await sql.fetchval(used, f"{schema}.sessions_7") == 3
    await store.close()
    await sql.execute(f"DROP SCHEMA {schema} CASCADE")


class Deadlock(Exception):
    """As the drivers raise it."""

    sqlstate = "40P01"


@pytest.mark.parametrize(("deadlocks", "tries"), [(0, 1), (1, 2), (2, 3)])
async def test_a_migration_that_met_a_deadlock_is_tried_again(deadlocks: int, tries: int) -> None:
    """Others have ended by then."""
    calls: list[int] = []

    async def migrate() -> None:
        calls.append(1)
        if len(calls) <= deadlocks:
            raise Deadlock

    await _again_after_deadlock(migrate)
    assert len(calls) == tries


async def test_it_is_not_tried_for_ever_nor_after_another_failure() -> None:
    """Three times at most, and once where it failed for another reason."""
    calls: list[int] = []

    async def migrate(error: Exception) -> None:
        calls.append(1)
        raise error

    with pytest.raises(Deadlock):
        await _again_after_deadlock(lambda: migrate(Deadlock()))
    assert len(calls) == 3
    with pytest.raises(ValueError, match="no"):
        await _again_after_deadlock(lambda: migrate(ValueError("no")))
    assert len(calls) == 4
