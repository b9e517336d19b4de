"""PostgresStore behind a real PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from limpet import Session, SessionManager
from limpet.contract import Store
from limpet.stores.postgres import PostgresStore
from limpet.testing.suite_store import StoreSuite
from tests.races.counted import CountedSite
from tests.servers.pgbouncer import PgBouncer

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("pgbouncer")]


@pytest.fixture(scope="module")
def pgbouncer(postgres_url: str) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_url) as running:
        yield running


class TestBehindPgBouncer(StoreSuite):
    """The whole conformance suite."""

    @pytest.fixture
    def store(self, pgbouncer: PgBouncer, postgres_schema: str) -> PostgresStore:
        self.place = pgbouncer.url, postgres_schema
        return PostgresStore(pgbouncer.url, schema=postgres_schema, pgbouncer=True)

    def reopen(self, store: Store) -> PostgresStore:
        return PostgresStore(self.place[0], schema=self.place[1], pgbouncer=True)


async def test_more_workers_than_the_pool_has_connections(pgbouncer: PgBouncer, postgres_schema: str) -> None:
    """Twenty stores with four connections each share ten of the server's: ten requests each, all counted."""
    stores = [PostgresStore(pgbouncer.url, schema=postgres_schema, pgbouncer=True, timeout=10) for _ in range(20)]
    sites = [CountedSite(store, store_timeout=10, merge_timeout=30, merge_attempts=10_000) for store in stores]
    tokens = [await site.session(n=0) for site in sites]

    def add(session: Session) -> None:
        session.increment("n")

    visits = [(site, token) for site, token in zip(sites, tokens, strict=True) for _ in range(10)]
    replies = await asyncio.gather(*(site.ask(add, token) for site, token in visits))
    assert [reply.status for reply in replies] == [200] * 200
    other = CountedSite(stores[0])
    assert [await other.read(token) for token in tokens] == [{"n": 10}] * 20
    for store in stores:
        await store.close()


async def test_nothing_is_left_in_a_database_session(pgbouncer: PgBouncer, postgres_schema: str) -> None:
    """No named statement and no setting stays behind on the server's connections for whoever has them next."""
    store = PostgresStore(pgbouncer.url, schema=postgres_schema, pgbouncer=True)
    site = CountedSite(store)
    token = await site.session(n=0)
    assert await site.read(token) == {"n": 0}
    assert not any("PgBouncer" in sentence for sentence in await SessionManager(store).check())
    connection = await asyncpg.connect(pgbouncer.url, statement_cache_size=0)
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    await connection.close()
    await store.close()
