"""Limits, revocation and locks on stores that are servers, where other clients come in between."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from limpet import SessionLimitReached, SessionManager, SessionPolicy, events
from limpet.runtime import AsyncioRuntime
from limpet.stores import Store
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.servers.topologies import ClusterSetup
from tests.site import Site

RACES = [30, pytest.param(1_000, marks=pytest.mark.long)]


PARAMS = ["redis", pytest.param("cluster", marks=pytest.mark.xdist_group("redis-cluster")), "postgres"]


@pytest.fixture(params=PARAMS)
async def sites(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[SessionPolicy], Site]]:
    """Return what makes sites over one place, each with a client of its own, as processes have."""
    stores: list[Store] = []

    def make(policy: SessionPolicy) -> Site:
        store: Store
        if request.param == "postgres":
            store = PostgresStore(url, schema=name, timeout=10)
        else:
            store = RedisStore(url, prefix=name, timeout=10)
        stores.append(store)
        manager = SessionManager(store, policy=policy, dev=False)
        manager.runtime = AsyncioRuntime()
        return Site(manager)

    if request.param == "postgres":
        url, name = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    elif request.param == "cluster":
        setup: ClusterSetup = request.getfixturevalue("cluster")
        url, name = setup.url, f"test-{secrets.token_hex(6)}:"
    else:
        url, name = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    yield make
    for store in stores:
        await store.close()


PATIENT = SessionPolicy(store_timeout=10)


@pytest.mark.parametrize("races", RACES)
async def test_login_under_way_does_not_survive(sites: Callable[[SessionPolicy], Site], races: int) -> None:
    """Whatever the order, a login that was noted before all sessions of its subject were revoked is dead after."""
    site, random = sites(PATIENT), Random(11)
    operator = sites(PATIENT)

    async def login(subject: str) -> None:
        session = site.begin()
        session.login(subject)
        await asyncio.sleep(random.random() * 0.004)
        await site.manager.commit(session)

    survivors = 0
    for race in range(races):
        under_way = asyncio.create_task(login(f"user{race}"))
        await asyncio.sleep(random.random() * 0.004)
        await operator.manager.revoke_all(f"user{race}")
        await under_way
        survivors += len(await operator.manager.sessions_of(f"user{race}"))
    assert survivors == 0


@pytest.mark.parametrize("when_full", ["oldest_out", "refuse"])
async def test_exactly_so_many(sites: Callable[[SessionPolicy], Site], when_full: str) -> None:
    """Fifty logins at once by two clients leave exactly as many sessions as allowed."""
    policy = SessionPolicy(max_sessions=3, when_full=when_full, store_timeout=10, merge_timeout=60)  # type: ignore[arg-type]
    both = sites(policy), sites(policy)
    logins = (both[number % 2].login("ann") for number in range(50))
    outcomes = await asyncio.gather(*logins, return_exceptions=True)
    assert len(await both[0].manager.sessions_of("ann")) == 3
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(outcome, SessionLimitReached) for outcome in refused), refused
    assert len(refused) == (47 if when_full == "refuse" else 0)


async def test_a_token_is_refreshed_once(sites: Callable[[SessionPolicy], Site]) -> None:
    """Twenty requests in two processes refresh a token once."""
    both = sites(PATIENT), sites(PATIENT)
    cookie = await both[0].run(lambda session: session.update(token="old"))
    refreshed = 0

    async def request(site: Site) -> str:
        nonlocal refreshed
        session = site.begin(cookie)
        await site.manager.load(session)
        async with session.exclusive("oauth", wait=60):
            if session["token"] == "old":
                refreshed += 1
                session["token"] = "new"
        token: str = session["token"]
        return token

    tokens = await asyncio.gather(*(request(both[number % 2]) for number in range(20)))
    assert (refreshed, set(tokens)) == (1, {"new"})


async def test_tags_and_everyone(sites: Callable[[SessionPolicy], Site]) -> None:
    """Sessions end by a tag of their login, and everybody's at once."""
    site = sites(PATIENT)
    tagged = [await site.login(name, tags={"sid": "s1"}) for name in ("ann", "bob")]
    other = await site.login("ann")
    assert await site.manager.revoke(tag=("sid", "s1")) == 2
    assert [await site.whose(cookie) for cookie in (*tagged, other)] == [None, None, "ann"]
    assert await site.manager.revoke_everyone() == 1
    assert await site.whose(other) is None


async def test_erased(sites: Callable[[SessionPolicy], Site]) -> None:
    """Nothing in the store names somebody who was erased, though a session with a shared tag had ended before."""
    site, name = sites(PATIENT), "ann of the seventh floor"
    cookie = await site.login(name, tags={"team": "x"})
    await site.login("bob", tags={"team": "x"})
    await site.run(lambda session: session.logout(), cookie)
    await site.login(name)
    with events.acting("the admin"):
        assert await site.manager.erase(name) == 1
    assert await site.manager.revoke(tag=("team", "x")) == 1
    page, _ = await site.manager.store.scan(None, 1_000)  # type: ignore[union-attr]
    assert [record for _, record in page if record.subject == name or name.encode() in record.payload] == []
