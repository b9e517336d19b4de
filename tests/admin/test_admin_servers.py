"""The page over stores that are servers: Valkey, a Cluster of it, and PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.admin.operator import Operator, Site
from tests.servers.topologies import ClusterSetup

PARAMS = ["redis", pytest.param("cluster", marks=pytest.mark.xdist_group("redis-cluster")), "postgres"]


@pytest.fixture(params=PARAMS)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An application over a place of its own on one of the servers."""
    store: RedisStore | PostgresStore
    if request.param == "postgres":
        schema = request.getfixturevalue("postgres_schema")
        store = PostgresStore(request.getfixturevalue("postgres_url"), schema=schema, timeout=10)
    elif request.param == "cluster":
        setup: ClusterSetup = request.getfixturevalue("cluster")
        store = RedisStore(setup.url, prefix=f"test-{secrets.token_hex(6)}:", timeout=10)
    else:
        prefix = request.getfixturevalue("redis_prefix")
        store = RedisStore(request.getfixturevalue("redis_url"), prefix=prefix, timeout=10)
    site = Site(store)
    yield site
    await site.manager.shutdown()


async def test_count_and_list(site: Site) -> None:
    """Sessions and people are counted, and listed with who they are; marks of revocations are neither."""
    operator = Operator(site)
    for name in ("ann", "ann", "bob", None):
        await site.visitor(name)
    await site.manager.revoke_all("eve")
    await operator.look()
    assert (operator.part("live-sessions"), operator.part("subjects")) == ("4", "2")
    assert sorted(row.split()[1] for row in operator.rows()) == ["ann", "ann", "bob", "nobody"]
    assert "Firefox 141" in operator.text


async def test_search_and_end_one(site: Site) -> None:
    """A session is found by its public id and by the digits that a log has, and ends for its next request."""
    operator = Operator(site)
    phone, desk = await site.visitor("ann"), await site.visitor("ann")
    public_id = (await phone.get("/public-id")).text
    await operator.look("/sessions/", q="ann")
    assert len(operator.rows()) == 2
    await operator.look("/sessions/", q=public_id[:8])
    assert [row.split()[:2] for row in operator.rows()] == [[public_id[:8], "ann"]]
    await operator.look("/sessions/", q=public_id)
    assert "End this session …" in operator.text
    await operator.look(f"/sessions/id/{public_id}/end")
    await operator.confirm()
    assert [(await browser.get("/whoami")).text for browser in (phone, desk)] == ["nobody", "ann"]
    await operator.look("/sessions/", q="ann")
    assert len(operator.rows()) == 1


async def test_end_all_of_somebody(site: Site) -> None:
    """All sessions of a subject end, and nobody else's."""
    operator = Operator(site)
    visitors = [await site.visitor(name) for name in ("ann", "ann", "bob")]
    await operator.look("/sessions/", q="ann")
    await operator.look(operator.end_all())
    await operator.confirm()
    assert [(await browser.get("/whoami")).text for browser in visitors] == ["nobody", "nobody", "bob"]
    site.clock.advance(10)
    await operator.look()
    assert operator.part("live-sessions") == "1"


async def test_pages_of_a_long_list(site: Site) -> None:
    """Whoever goes from page to page sees every session once."""
    operator = Operator(site)
    for number in range(60):
        await site.visitor(f"user{number}")
    await operator.look()
    rows = operator.rows()
    while "Next page" in operator.page:
        await operator.look(operator.link("Next page"))
        rows += operator.rows()
    assert len(rows) == len({row.split()[1] for row in rows}) == 60
