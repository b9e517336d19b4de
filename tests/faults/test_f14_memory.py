"""F14: the server's memory is full, or it throws records away."""

from __future__ import annotations

from limpet import Session
from limpet.stores import RedisStore
from tests.faults.service import add, read, refused
from tests.races.counted import CountedSite
from tests.servers.valkey import ValkeyServer


async def test_f14_out_of_memory(own_valkey: ValkeyServer) -> None:
    """With ``noeviction`` a save is a 503 that leaves the old session; reading and logging out go on."""
    store = RedisStore(own_valkey.url)
    site = CountedSite(store)
    token = await site.session(n=1)
    own_valkey.say("CONFIG", "SET", "maxmemory", "1")
    for handler in (add, Session.regenerate, lambda session: session.login("ada")):
        assert refused(await site.ask(handler, token))
    assert refused(await site.ask(add))
    assert (await site.ask(read, token)).result == {"n": 1}
    assert (await site.ask(Session.logout, token)).token == ""
    assert await site.read(token) is None
    assert own_valkey.say("DBSIZE") == ":1\r\n", "what says for a minute that it has ended"
    await store.close()


async def test_f14_eviction(own_valkey: ValkeyServer) -> None:
    """With ``allkeys-lru`` whose session was evicted is anonymous, never somebody else and never an error."""
    store = RedisStore(own_valkey.url)
    assert not any("allkeys" in sentence for sentence in await store.check())
    site = CountedSite(store)
    own_valkey.say("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert any("allkeys-lru: when memory is short, people are logged out" in each for each in await store.check())
    used = next(line for line in own_valkey.say("INFO", "memory").splitlines() if line.startswith("used_memory:"))
    own_valkey.say("CONFIG", "SET", "maxmemory", int(used.partition(":")[2]) + 1_000_000)
    tokens = [await site.session(me=number, filler="x" * 10_000) for number in range(300)]
    found = [await site.ask(lambda session: session.get("me"), token) for token in tokens]
    assert {reply.status for reply in found} == {200}
    assert {reply.token for reply in found} == {None}
    evicted = sum(reply.result is None for reply in found)
    assert 50 < evicted < 300, "some were evicted, or this shows nothing"
    assert all(reply.result in (None, number) for number, reply in enumerate(found))
    await store.close()
