"""A server whose memory is full, with ``maxmemory-policy noeviction``, as users of an application meet it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from limpet import Session, SessionManager
from limpet._wire.marks import is_mark
from limpet.keyring import generate_secret
from limpet.stores.cookie import CookieStore
from limpet.stores.redis import RedisStore
from tests.faults.records import a_key
from tests.faults.service import add, read, refused
from tests.races.counted import CountedSite
from tests.servers.topologies import ClusterSetup
from tests.servers.valkey import ValkeyServer


@contextmanager
def full(*servers: ValkeyServer) -> Iterator[None]:
    """Let no server take more than it has."""
    for server in servers:
        server.say("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        for server in servers:
            server.say("CONFIG", "SET", "maxmemory", "0")


async def signed_in(site: CountedSite, *names: str, **tags: str) -> list[str]:
    """Return the cookies of people who have just logged in."""
    replies = [await site.ask(partial(Session.login, subject=name, tags=tags)) for name in names]
    assert all(reply.token for reply in replies)
    return [reply.token or "" for reply in replies]


async def who(site: CountedSite, *tokens: str) -> list[str | None]:
    """Return whose sessions these are now."""
    return [(await site.ask(lambda session: session.subject, token)).result for token in tokens]


async def test_what_ends_sessions_works(own_valkey: ValkeyServer) -> None:
    """Logging out, revoke_all, revoke_everyone, a tag and erase work; what would grow is a 503; reading goes on."""
    store = RedisStore(own_valkey.url)
    site = CountedSite(store, counted=False, touch_interval=60)
    manager: SessionManager = site.manager
    ada, eve, bob, tim, ann = await signed_in(site, "ada", "eve", "bob", "tim", "ann")
    also_ada, tagged = *await signed_in(site, "ada"), *await signed_in(site, "joe", org="acme")
    nobody = await site.session(n=1)
    copies = {key: record for key, record in (await store.scan(None, 1000))[0] if not is_mark(record.payload)}
    with full(own_valkey):
        assert refused(await site.ask(add, nobody))
        assert refused(await site.ask(lambda session: session.login("mal")))
        assert (await site.ask(read, nobody)).result == {"n": 1}
        site.clock.advance(2 * 60)
        assert (await site.ask(read, bob)).status == 200
        (kept,) = await manager.sessions_of("bob")
        assert kept.last_seen.timestamp() * 1000 == site.clock(), "a use was not noted"
        assert (await site.ask(lambda session: session.logout(), eve)).status == 200

        async def everywhere_else(session: object) -> int:
            return await manager.revoke_all("ada", except_=session)  # type: ignore[arg-type]

        reply = await site.ask(everywhere_else, ada)
        assert (reply.status, reply.result) == (200, 1)
        assert await manager.revoke_all("tim") == 1
        assert await manager.revoke(tag=("org", "acme")) == 1
        assert await manager.erase("ann") == 1
        assert await who(site, ada, eve, bob, tim, ann, also_ada, tagged) == [
            "ada",
            None,
            "bob",
            None,
            None,
            None,
            None,
        ]
    assert await who(site, ada, bob) == ["ada", "bob"]
    for key, record in copies.items():  # as a backup brings them back, or a delete that did not get through
        await store.delete(key)
        await store.create(key, record, now=site.clock())
    assert await who(site, tim, ann, also_ada, tagged) == [None] * 4, "a revocation was not noted"
    assert await who(site, bob) == ["bob"]
    with full(own_valkey):
        assert await manager.revoke_everyone() > 1
    assert await who(site, ada, bob, nobody) == [None] * 3
    await store.close()


@pytest.mark.xdist_group("cluster")
async def test_in_a_cluster(cluster: ClusterSetup) -> None:
    """The same where the journal, the marks and the sessions lie on different nodes."""
    store = RedisStore(cluster.url, prefix=f"{a_key()}:")
    site = CountedSite(store, counted=False)
    tokens = await signed_in(site, *(f"user {at}" for at in range(12)))
    with full(*cluster.nodes):
        assert refused(await site.ask(lambda session: session.login("mal")))
        for at in range(0, 12, 3):
            assert await site.manager.revoke_all(f"user {at}") == 1
            assert await site.manager.erase(f"user {at + 1}") == 1
            assert (await site.ask(lambda session: session.logout(), tokens[at + 2])).status == 200
        assert await who(site, *tokens) == [None] * 12
    await store.close()


@pytest.mark.parametrize("mode", ["denylist", "epoch"])
async def test_sessions_in_cookies(own_valkey: ValkeyServer, mode: str) -> None:
    """A cookie session can be ended although the server that notes the end is full."""
    notes = RedisStore(own_valkey.url)
    kept = CookieStore(revocation=mode, revocation_store=notes)  # type: ignore[arg-type]
    site = CountedSite(kept, secret=generate_secret())
    ada, bob = await signed_in(site, "ada", "bob")
    ends: list[Callable[[], Awaitable[object]]] = [lambda: site.ask(lambda session: session.logout(), ada)]
    if mode == "epoch":
        ends = [lambda: site.manager.revoke_all("ada")]
    with full(own_valkey):
        for end in ends:
            await end()
        assert await who(site, ada, bob) == [None, "bob"]
    await notes.close()
