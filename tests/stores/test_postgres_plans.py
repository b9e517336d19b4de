"""What PostgreSQL reads for a statement that it has planned when the table was small."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import asyncpg
import pytest

from limpet.stores.postgres import PostgresStore
from limpet.testing.driven import driven
from tests.faults.records import NOW, a_key, a_record

_FEW = 5
_MANY = 20_000
_TIMES = 12  # a client prepares what it has asked five times, and a server keeps a plan from the sixth time on


def _calls(store: Any, keys: Sequence[str]) -> dict[str, Callable[[int], Coroutine[Any, Any, Any]]]:
    """Return what is asked of a store; the number is of the attempt."""
    record = a_record(subject="ada")

    async def several(number: int) -> None:
        ask: list[Callable[[str], Coroutine[Any, Any, Any]]] = [
            lambda key: store.create(key, record, now=NOW),
            lambda key: store.update(key, record, -1, now=NOW),
            lambda key: store.replace(key, record, -1, now=NOW),
            lambda key: store.touch(key, NOW + number, NOW + number, now=NOW),
            lambda key: store.delete(key, -1),
        ]
        for each in ask:
            await asyncio.gather(*(each(key) for key in keys))

    return {
        "load": lambda number: store.load(keys[0]),
        "load_many": lambda number: store.load_many(keys),
        "create": lambda number: store.create(keys[0], record, now=NOW),
        "update": lambda number: store.update(keys[0], record, -1, now=NOW),
        "replace": lambda number: store.replace(keys[0], record, -1, now=NOW),
        "touch": lambda number: store.touch(keys[0], NOW + number, NOW + number, now=NOW),
        "delete": lambda number: store.delete(keys[0], -1),
        "several": several,
        "find": lambda number: store.find("ada"),
        "find_page": lambda number: store.find_page("crowd", None, 10),
        "scan": lambda number: store.scan(None, 10),
        "sweep": lambda number: store.sweep(NOW - 1, 10),
    }


@pytest.mark.parametrize("where", ["loop", "threads"])
async def test_a_table_that_grows_is_not_read_as_a_whole(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection, where: str
) -> None:
    """A server that has planned a statement for a small table keeps the plan until it counts the rows anew."""
    made: Any = PostgresStore(postgres_url, schema=postgres_schema, max_connections=1)
    store = driven(made) if where == "threads" else made
    table = made._table.name
    keys = [a_key() for _ in range(_FEW)]
    for key in keys:
        await store.create(key, a_record(subject="ada"), now=NOW)
    await sql.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await sql.execute(f"ANALYZE {table}")
    calls = _calls(store, keys)
    for call in calls.values():
        for number in range(_TIMES):
            await call(number)
    await sql.execute(
        f"INSERT INTO {table} (key, version, payload, accessed, expires, subject)"  # noqa: S608
        f" SELECT sha256(n::text::bytea), n, 'x', 1, {NOW} + n * 3600000::bigint, 'crowd'"
        f" FROM generate_series(1, {_MANY}) n"
    )
    for call in calls.values():
        await call(_TIMES)
    await store.close()  # then its database session tells what it has read
    read = looked = 0
    for _ in range(100):
        told = await sql.fetchrow(
            "SELECT seq_tup_read + idx_tup_fetch, idx_scan FROM pg_stat_all_tables WHERE relid = to_regclass($1)", table
        )
        assert told is not None
        read, looked = told
        if looked:
            break
        await asyncio.sleep(0.05)
    assert looked, "the server has told nothing"
    assert read < _MANY / 2, f"{read} rows were read for {len(calls)} calls"
