"""F12: the server comes back having forgotten everything."""

from __future__ import annotations

from limpet import Session, SessionPolicy
from limpet.stores import RedisStore
from tests.faults.service import add, read
from tests.races.counted import CountedSite
from tests.servers.valkey import ValkeyServer


async def test_f12_everybody_is_anonymous_and_can_log_in(own_valkey: ValkeyServer) -> None:
    """No 5xx, no loop of errors, nothing comes back to life, and a login works at once with the old cookie."""
    store = RedisStore(own_valkey.url)
    site = CountedSite(store)
    tokens = [await site.session(n=number) for number in range(20)]
    async with site.held(add, tokens[0]) as held:
        own_valkey.restart()
    assert (held.status, held.token) == (200, None), "a save that finds its record gone stores nothing"
    for token in tokens:
        reply = await site.ask(read, token)
        assert (reply.status, reply.result, reply.token) == (200, {}, None)
    assert own_valkey.say("DBSIZE") == ":0\r\n"
    reply = await site.ask(lambda session: session.login("ada"), tokens[1])
    assert reply.token not in (None, *tokens)
    assert (await site.ask(lambda session: session.subject, reply.token)).result == "ada"
    assert (await site.ask(Session.logout, tokens[2])).status == 200
    await store.close()


async def test_f12_other_policies_than_the_default(own_valkey: ValkeyServer) -> None:
    """``on_ended="raise"`` makes the save that lost its record a 409, and still no row."""
    assert SessionPolicy().on_ended != "raise"
    store = RedisStore(own_valkey.url)
    site = CountedSite(store, on_ended="raise")
    token = await site.session(n=0)
    async with site.held(add, token) as held:
        own_valkey.restart()
    assert (held.status, held.token) == (409, None)
    assert own_valkey.say("DBSIZE") == ":0\r\n"
    await store.close()
