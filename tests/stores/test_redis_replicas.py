"""``wait_replicas``: what begins or ends a session is done when replicas have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from limpet import Session
from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from tests.faults.records import NOW, a_key, a_record
from tests.faults.service import add, answered, read, refused
from tests.races.counted import CountedSite
from tests.servers.valkey import ValkeyServer


@pytest.fixture
async def replica(own_valkey: ValkeyServer) -> AsyncIterator[ValkeyServer]:
    own_valkey.say("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    with ValkeyServer("--replicaof", f"127.0.0.1 {own_valkey.port}") as replica:
        async with asyncio.timeout(10):
            while "master_link_status:up" not in replica.say("INFO", "replication"):
                await asyncio.sleep(0.02)
        yield replica


async def test_no_replica(own_valkey: ValkeyServer) -> None:
    """Without a replica nothing begins, and the check says why."""
    store = RedisStore(own_valkey.url, wait_replicas=1, timeout=0.5)
    with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
        await store.create(a_key(), a_record(), now=NOW)
    assert "no login and no logout can succeed" in " ".join(await store.check())
    await store.close()


async def test_what_waits_and_what_does_not(own_valkey: ValkeyServer, replica: ValkeyServer) -> None:
    """Creating and deleting wait, together and at once; updates and loads do not."""
    store = RedisStore(own_valkey.url, wait_replicas=1, timeout=0.5)
    record = a_record()
    keys = [a_key() for _ in range(20)]
    assert await asyncio.gather(*(store.create(key, record, now=NOW) for key in keys)) == [DONE] * 20
    assert replica.say("DBSIZE") == ":20\r\n"
    assert await store.create(keys[0], a_record(), now=NOW) == record
    replica.freeze()
    changed = record._replace(version=1)
    assert await store.update(keys[0], changed, record.version, now=NOW) is DONE
    with pytest.raises(StoreUnavailable, match="failover"):
        await store.delete(keys[0])
    replica.thaw()
    assert await store.delete(keys[1]) is DONE
    await store.close()


async def test_trying_again_is_no_confirmation(own_valkey: ValkeyServer, replica: ValkeyServer) -> None:
    """A second attempt, on another connection, finds its work done, and still waits until the replica has it."""
    first, second = (RedisStore(own_valkey.url, wait_replicas=1, timeout=0.7) for _ in range(2))
    gone, made, record = a_key(), a_key(), a_record()
    assert await first.create(gone, record, now=NOW) is DONE
    replica.freeze()
    for store in (first, second, second):
        with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
            await store.delete(gone)
        with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
            await store.create(made, record, now=NOW)
    replica.thaw()
    assert await second.create(made, a_record(), now=NOW) == record
    assert replica.say("DBSIZE") == ":1\r\n"
    await first.close()
    await second.close()


async def test_a_logout_that_no_replica_confirmed_is_a_503(own_valkey: ValkeyServer, replica: ValkeyServer) -> None:
    """Through the middleware: no "logged out", no deleted cookie; nor is anybody logged in who could be forgotten."""
    store = RedisStore(own_valkey.url, wait_replicas=1, timeout=0.4)
    site = CountedSite(store)
    leaving, staying = await site.session(n=0), await site.session(n=0)
    replica.freeze()
    assert refused(await site.ask(Session.logout, leaving))
    assert refused(await site.ask(lambda session: session.login("ada"), staying))
    assert refused(await site.ask(Session.regenerate, staying))
    assert refused(await site.ask(add))
    assert (await site.ask(add, staying)).status == 200, "an ordinary save does not wait"
    assert (await site.ask(read, staying)).result == {"n": 1}
    replica.thaw()
    assert (await answered(lambda: site.ask(Session.logout, staying))).token == ""
    assert await site.read(leaving) is None
    assert (await site.ask(lambda session: session.login("ada"))).token
    await store.close()


async def test_a_failover_without_it_can_bring_a_session_back(own_valkey: ValkeyServer, replica: ValkeyServer) -> None:
    """What the documentation warns of: a replica that had not received the logout is promoted."""
    careless, careful = RedisStore(own_valkey.url), RedisStore(own_valkey.url, wait_replicas=1, timeout=0.4)
    site = CountedSite(careless)
    token = await site.session(n=0)
    async with asyncio.timeout(5):
        while replica.say("DBSIZE") != ":1\r\n":
            await asyncio.sleep(0.01)
    replica.say("REPLICAOF", "127.0.0.1", "1")  # it is cut off
    assert (await site.ask(Session.logout, token)).token == ""
    assert refused(await CountedSite(careful).ask(add))
    own_valkey.kill()
    replica.say("REPLICAOF", "NO", "ONE")
    promoted = RedisStore(replica.url)
    assert await CountedSite(promoted).read(token) == {"n": 0}
    for store in (careless, careful, promoted):
        await store.close()
