"""A PostgreSQL store behind a proxy, and what an administrator tells its server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from limpet.contract import DONE, Record
from limpet.stores.postgres import PostgresStore
from tests.faults.records import NOW, a_key, a_record, tries_again
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import TcpProxy

__all__ = ["READ_ONLY", "WRITABLE", "administrator", "behind", "ready", "say"]

READ_ONLY = ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
WRITABLE = ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


@contextlib.asynccontextmanager
async def administrator(server: PostgresServer, user: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.url.replace("postgres@", f"{user}@"))
    try:
        yield connection
    finally:
        await connection.close()


async def say(server: PostgresServer, *statements: str) -> None:
    async with administrator(server) as connection:
        for statement in statements:
            await connection.execute(statement)


def behind(proxy: TcpProxy, schema: str, options: str = "", **settings: float) -> PostgresStore:
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres{options}"
    return PostgresStore(url, schema=schema, **settings)  # type: ignore[arg-type]


async def ready(store: PostgresStore, *others: PostgresStore) -> tuple[str, Record]:
    """Create a record; others have their tables too."""
    for other in others:
        await tries_again(other.open, 10)
        await other.close()
    key, record = a_key(), a_record()
    assert await tries_again(lambda: store.create(key, record, now=NOW), 10) is DONE
    return key, record
