"""F13: the primary becomes a replica, or dies and a replica takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from limpet import Session
from limpet.stores import RedisStore
from tests.faults.records import a_key
from tests.faults.service import Service, add, answered, read, refused
from tests.races.counted import CountedSite
from tests.servers.topologies import ClusterSetup, SentinelSetup
from tests.servers.valkey import ValkeyServer


async def test_f13_a_read_only_replica(own_valkey: ValkeyServer) -> None:
    """Writes are a 503 that changes nothing, reads go on; when it is primary again, so do writes."""
    store = RedisStore(own_valkey.url)
    site = CountedSite(store)
    token = await site.session(n=1)
    own_valkey.say("REPLICAOF", "127.0.0.1", "1")
    for handler in (add, Session.logout, Session.regenerate, lambda session: session.login("ada")):
        assert refused(await site.ask(handler, token))
    assert (await site.ask(read, token)).result == {"n": 1}
    own_valkey.say("REPLICAOF", "NO", "ONE")
    assert (await site.ask(add, token)).status == 200
    assert await site.read(token) == {"n": 2}
    await store.close()


@pytest.mark.parametrize("service", ["postgres"], indirect=True)
async def test_f13_a_read_only_postgresql(service: Service) -> None:
    """The same behind ``default_transaction_read_only``, which a failover leaves for a while."""
    site = await service.site()
    token = await site.session(n=1)
    await service.administer("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        await service.until(lambda: site.ask(add, token), 503)
        assert (await site.ask(read, token)).result["n"] >= 1
        assert refused(await site.ask(Session.logout, token))
    finally:
        await service.administer("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    assert (await answered(lambda: site.ask(Session.logout, token))).token == ""


async def outlives(site: CountedSite, kill: Callable[[], object]) -> None:
    """Log sixty people in and twenty of these out; the primary dies: forty are who they were, twenty are nobody."""
    tokens: dict[str, str] = {}
    for number in range(60):
        reply = await site.ask(lambda session, name=f"user{number}": session.login(name))  # type: ignore[misc]
        assert reply.token
        tokens[f"user{number}"] = reply.token
    out = list(tokens)[:20]
    for name in out:
        assert (await site.ask(Session.logout, tokens[name])).token == ""
    await asyncio.to_thread(kill)
    for name, token in tokens.items():
        reply = await answered(lambda: site.ask(lambda session: session.subject, token), 20)  # noqa: B023
        assert reply.result == (None if name in out else name), "nobody is logged in by accident, or as another"
        assert reply.token is None
    last = list(tokens.values())[-1]
    assert (await answered(lambda: site.ask(add, last))).status == 200
    assert await site.read(last) == {"n": 1}


@pytest.mark.xdist_group("sentinel")
async def test_f13_sentinel(sentinel: SentinelSetup) -> None:
    """The primary is killed, and Sentinels name another."""
    store = RedisStore(sentinel.url, prefix=f"{a_key()}:", wait_replicas=1)
    site = CountedSite(store)
    old = sentinel.current_master()

    def kill() -> None:
        old.kill()
        sentinel.wait_for_new_master(old)

    try:
        await outlives(site, kill)
    finally:
        await store.close()
        old.start()


@pytest.mark.xdist_group("cluster")
async def test_f13_cluster(cluster: ClusterSetup) -> None:
    """A primary of a cluster is killed, and its replica takes its slots."""
    store = RedisStore(cluster.url, prefix=f"{a_key()}:", wait_replicas=1)
    site = CountedSite(store)
    dead = cluster.masters[0]

    def kill() -> None:
        cluster.lose(dead)

    try:
        await outlives(site, kill)
    finally:
        await store.close()
        dead.start()
