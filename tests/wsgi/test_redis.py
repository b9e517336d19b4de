"""RedisStore through the client that blocks."""

from __future__ import annotations

import asyncio
import secrets
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
import redis
import redis.asyncio

from limpet import SessionManager
from limpet._blocking import drive
from limpet.contract import Store
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores.redis import RedisStore, blocking
from limpet.testing.driven import driven
from limpet.testing.suite_store import StoreSuite
from tests.servers.topologies import ClusterSetup, SentinelSetup
from tests.wsgi.client import site
from tests.wsgi.threads import at_once


class TestBlockingRedisStore(StoreSuite):
    """The whole conformance suite, each call on a thread."""

    @pytest.fixture
    def store(self, redis_url: str, redis_prefix: str) -> Store:
        self.place = redis_url, redis_prefix
        return driven(RedisStore(redis_url, prefix=redis_prefix))

    def reopen(self, store: Store) -> Store:
        return driven(RedisStore(self.place[0], prefix=self.place[1]))


@pytest.mark.xdist_group("redis-cluster")
class TestBlockingCluster(StoreSuite):
    """The whole conformance suite on six nodes."""

    @pytest.fixture
    def store(self, cluster: ClusterSetup) -> Iterator[Store]:
        self.place = cluster.url, f"test-{secrets.token_hex(6)}:"
        yield driven(RedisStore(self.place[0], prefix=self.place[1]))
        for node in cluster.nodes:
            node.say("FLUSHALL")

    def reopen(self, store: Store) -> Store:
        return driven(RedisStore(self.place[0], prefix=self.place[1]))


@pytest.mark.xdist_group("redis-sentinel")
class TestBlockingSentinel(StoreSuite):
    """The whole conformance suite on a primary that Sentinels name."""

    @pytest.fixture
    def store(self, sentinel: SentinelSetup) -> Iterator[Store]:
        self.place = sentinel.url, f"test-{secrets.token_hex(6)}:"
        yield driven(RedisStore(self.place[0], prefix=self.place[1]))
        sentinel.current_master().say("FLUSHALL")

    def reopen(self, store: Store) -> Store:
        return driven(RedisStore(self.place[0], prefix=self.place[1]))


def test_a_client_of_the_wrong_side_gets_a_sentence(redis_url: str) -> None:
    """A client that was given belongs to one side, and the other one says which is needed."""
    waiting = RedisStore(client=redis.asyncio.Redis.from_url(redis_url))
    with pytest.raises(ConfigurationError, match="was given a client of redis"):
        drive(waiting.load("0" * 64))

    async def on_a_loop() -> None:
        with redis.Redis.from_url(redis_url) as client:
            await RedisStore(client=client).load("0" * 64)

    with pytest.raises(ConfigurationError, match="was given a client that blocks"):
        asyncio.run(on_a_loop())


def test_a_client_of_ones_own(redis_url: str, redis_prefix: str) -> None:
    """A client of redis itself is used, and never closed."""
    with redis.Redis.from_url(redis_url) as client:
        manager = SessionManager(RedisStore(client=client, prefix=redis_prefix))
        browser = site(lambda session: session.increment("n"), manager)
        assert [browser.get().text for _ in range(2)] == ["1", "2"]
        manager.blocking.shutdown()
        assert client.ping()


def test_all_connections_in_use_is_a_sentence(redis_url: str, redis_prefix: str) -> None:
    """Who waits in vain for a connection is told which setting would give one."""
    store = RedisStore(f"{redis_url}", prefix=redis_prefix, max_connections=1, timeout=0.2)
    opened: Any = store._clients.here()
    with opened.connection._place(), pytest.raises(StoreUnavailable, match="raise max_connections"):
        drive(store.load("0" * 64))
    drive(store.close())


def test_one_store_serves_loops_and_threads(redis_url: str, redis_prefix: str) -> None:
    """The same URL is opened by each side with its own client."""
    manager = SessionManager(RedisStore(redis_url, prefix=redis_prefix))
    site(lambda session: session.login("ann"), manager).get()

    async def look() -> int:
        found = len(await manager.sessions_of("ann"))
        await manager.shutdown()
        return found

    assert asyncio.run(look()) == 1
    assert manager.blocking.revoke_all("ann") == 1
    manager.blocking.shutdown()


def connections(client: redis.Redis, name: str) -> list[dict[str, str]]:
    """Return the connections of that name that a server has."""
    found: Any = client.client_list()
    return [each for each in found if each["name"] == name]


def test_connections_stay_at_hand(redis_url: str, redis_prefix: str) -> None:
    """One after the other uses one connection, threads at once have one each, and closing closes them."""
    name = redis_prefix.strip(":")
    store = RedisStore(f"{redis_url}?client_name={name}", prefix=redis_prefix)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(20):
            drive(store.load("0" * 64))
        assert len(connections(client, name)) == 1
        at_once([lambda: drive(store.load("0" * 64))] * 8)
        assert 1 <= len(connections(client, name)) <= 8
        assert drive(store.count()) >= 0
        drive(store.close())
        assert connections(client, name) == []


@pytest.mark.parametrize("fresh", [0.0, 3600.0], ids=["asked", "not asked"])
def test_a_connection_that_was_cut_while_it_idled_is_replaced(
    redis_url: str, redis_prefix: str, monkeypatch: pytest.MonkeyPatch, fresh: float
) -> None:
    """A server that closes what idles costs nobody an error, for a read and for a write."""
    name = redis_prefix.strip(":")
    store = RedisStore(f"{redis_url}?client_name={name}", prefix=redis_prefix)
    manager = SessionManager(store)
    browser = site(lambda session: session.increment("n"), manager)
    monkeypatch.setattr(blocking, "_FRESH", fresh)
    with redis.Redis.from_url(redis_url) as client:
        for expected in ("1", "2", "3"):
            assert browser.get().text == expected
            for each in connections(client, name):
                client.client_kill_filter(_id=each["id"])
    manager.blocking.shutdown()


def test_more_connections_than_redis_pys_pools_usually_have(redis_url: str, redis_prefix: str) -> None:
    """``max_connections`` is what it says, also over a hundred."""
    store = RedisStore(redis_url, prefix=redis_prefix, max_connections=120)
    opened: Any = store._clients.here()
    pool = opened.connection.client.connection_pool
    taken = [opened.connection._take(pool, []).connection for _ in range(120)]
    assert drive(store.count()) >= 0
    for each in taken:
        pool.release(each)
    drive(store.close())


def test_a_script_that_the_server_has_forgotten_goes_out_in_full(redis_url: str, redis_prefix: str) -> None:
    """Who empties the server's cache of scripts costs nobody an error, on a connection that is in use."""
    manager = SessionManager(RedisStore(redis_url, prefix=redis_prefix))
    browser = site(lambda session: session.increment("n"), manager)
    with redis.Redis.from_url(redis_url) as client:
        for expected in ("1", "2", "3"):
            assert browser.get().text == expected
            client.script_flush()
    manager.blocking.shutdown()


def test_of_several_loads_one_can_meet_another_kind_of_key(redis_url: str, redis_prefix: str) -> None:
    """A key of ours that holds a list is what it is to a single load, and the others are read."""
    store = RedisStore(redis_url, prefix=redis_prefix)
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(f"{redis_prefix}{'a' * 64}", "1")
        assert drive(store.load_many(["a" * 64, "b" * 64])) == [drive(store.load("a" * 64)), None]
        client.delete(f"{redis_prefix}{'a' * 64}")
    drive(store.close())


class Chatty(socketserver.BaseRequestHandler):
    """A server that answers the first question to it twice, and every one with how many connections there were."""

    def handle(self) -> None:
        server: Any = self.server
        server.connections += 1
        reader = hiredis.Reader()
        while piece := self.request.recv(4096):
            reader.feed(piece)
            while (words := reader.gets()) is not False:
                if words[0] != b"GET":
                    self.request.sendall(b"+OK\r\n")
                    continue
                replies, server.replies = server.replies, 1
                self.request.sendall(b"$-1\r\n" * replies)


@pytest.mark.parametrize("replies", [1, 2])
def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again(replies: int) -> None:
    """Else each caller would be given the reply to the one before."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Chatty) as server:
        server.daemon_threads = True
        server.replies, server.connections = replies, 0  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = RedisStore(f"redis://127.0.0.1:{server.server_address[1]}/0", timeout=10)
        if replies == 1:
            assert drive(store.load("0" * 64)) is None
        else:
            with pytest.raises(StoreUnavailable, match="more replies"):
                drive(store.load("0" * 64))
        assert drive(store.load("0" * 64)) is None
        assert server.connections == replies  # type: ignore[attr-defined]
        drive(store.close())
        server.shutdown()
