"""PostgresStore through psycopg."""

from __future__ import annotations

import asyncio
import time
import traceback
from urllib.parse import urlsplit

import psycopg_pool
import pytest
from psycopg.pq import TransactionStatus

from limpet import SessionManager
from limpet._blocking import drive
from limpet.contract import Store
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres.blocking import BlockingConnector
from limpet.stores.postgres.dsn import read
from limpet.testing.driven import driven
from limpet.testing.suite_store import StoreSuite
from tests.servers.postgres import PostgresServer
from tests.wsgi.client import site


class TestBlockingPostgresStore(StoreSuite):
    """The whole conformance suite, each call on a thread."""

    @pytest.fixture
    def store(self, postgres_url: str, postgres_schema: str) -> Store:
        self.place = postgres_url, postgres_schema
        return driven(PostgresStore(postgres_url, schema=postgres_schema))

    def reopen(self, store: Store) -> Store:
        return driven(PostgresStore(self.place[0], schema=self.place[1]))


def test_a_pool_of_ones_own(postgres_url: str, postgres_schema: str) -> None:
    """A pool of psycopg is used, left as it was, and never closed."""
    with psycopg_pool.ConnectionPool(postgres_url, min_size=1, max_size=2, open=True) as pool:
        manager = SessionManager(PostgresStore(pool=pool, schema=postgres_schema))
        browser = site(lambda session: session.increment("n"), manager)
        assert [browser.get().text for _ in range(2)] == ["1", "2"]
        manager.blocking.shutdown()
        with pool.connection() as connection:
            assert not connection.autocommit


def test_a_pool_of_the_wrong_side_gets_a_sentence(postgres_url: str, postgres_schema: str) -> None:
    """A pool that was given belongs to one side, and the other one says which is needed."""

    async def on_a_loop() -> None:
        with psycopg_pool.ConnectionPool(postgres_url, min_size=0, max_size=1, open=True) as pool:
            await PostgresStore(pool=pool, schema=postgres_schema).load("0" * 64)

    with pytest.raises(ConfigurationError, match="was given a pool of psycopg"):
        asyncio.run(on_a_loop())
    waiting = PostgresStore(pool=object(), schema=postgres_schema)
    with pytest.raises(ConfigurationError, match="was given a pool of asyncpg"):
        drive(waiting.load("0" * 64))


def test_what_is_wrong_is_said_without_the_password(postgres_url: str) -> None:
    """An error names the place, what the server said and the cure; no password, and no row."""
    port = urlsplit(postgres_url).port
    url = f"postgresql://postgres:hunter2@127.0.0.1:{port}/nowhere"
    with pytest.raises(StoreUnavailable, match="does not exist") as raised:
        drive(PostgresStore(url).load("0" * 64))
    assert f"127.0.0.1:{port}/nowhere" in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value, chain=True))
    assert "hunter2" not in shown.replace(url, "")
    with pytest.raises(StoreUnavailable, match="failed"):
        drive(PostgresStore("postgresql://postgres@127.0.0.1:9/nowhere").load("0" * 64))


def test_without_a_table_the_cure_is_named(postgres_url: str, postgres_schema: str) -> None:
    """A store that must not create its table says what does."""
    store = PostgresStore(postgres_url, schema=postgres_schema, create=False)
    with pytest.raises(StoreUnavailable, match="limpet migrate"):
        drive(store.load("0" * 64))
    drive(store.migrate())
    assert drive(store.load("0" * 64)) is None
    assert all("autovacuum" in each or "fsync" in each or "sync" in each for each in drive(store.check()))
    drive(store.close())


@pytest.mark.parametrize("attributes", ["", "&target_session_attrs=any", "&target_session_attrs=prefer-standby"])
def test_of_several_hosts_one_hangs(own_postgres: PostgresServer, postgres_url: str, attributes: str) -> None:
    """All hosts have one time limit together, and who served last is asked first; libpq chooses by itself a standby."""
    port = urlsplit(postgres_url).port
    place = f"postgresql://postgres@localhost:{own_postgres.port},localhost:{port}/postgres"
    dsn = f"{place}?application_name=shop{attributes}"
    connect = BlockingConnector(dsn, read(dsn), timeout=1, connect_timeout=0.6, pgbouncer=False)
    own_postgres.freeze()
    took = []
    try:
        for _ in range(2):
            begun = time.monotonic()
            if "standby" in attributes:
                with pytest.raises(StoreUnavailable, match="cannot be reached in time"):
                    connect()
            else:
                connection = connect()
                assert connection.info.port == port
                connection.close()
            took.append(time.monotonic() - begun)
    finally:
        own_postgres.thaw()
    assert took[0] < 0.9
    assert took[1] < (0.9 if "standby" in attributes else 0.25)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_connection_is_as_it_was_asked_for(own_postgres: PostgresServer, host: str) -> None:
    """Wherever it leads: the settings of the URL hold, and each statement is a transaction of its own."""
    dsn = f"postgresql://postgres@{host}:{own_postgres.port}/postgres?application_name=shop"
    connection = BlockingConnector(dsn, read(dsn), timeout=1, connect_timeout=1, pgbouncer=False)()
    found = connection.execute("SELECT current_setting('application_name'), current_setting('statement_timeout')")
    assert found.fetchone() == ("shop", "1s")
    assert connection.autocommit
    assert connection.prepare_threshold == 5
    assert connection.info.transaction_status == TransactionStatus.IDLE
    connection.close()
