"""RedisStore with Sentinel and on a Cluster: the same promises, and a primary that is killed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster

from limpet.contract import ABSENT, DONE, NEVER, Record, Store
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from limpet.testing.suite_store import StoreSuite
from tests.servers.topologies import ClusterSetup, SentinelSetup

HOUR = 3_600_000

in_cluster = pytest.mark.xdist_group("redis-cluster")
in_sentinel = pytest.mark.xdist_group("redis-sentinel")


def a_key() -> str:
    return secrets.token_hex(32)


def a_prefix() -> str:
    return f"test-{secrets.token_hex(6)}:"


def a_record(payload: bytes = b"payload", *, subject: str | None = None) -> Record:
    now = time.time_ns() // 1_000_000
    return Record(secrets.randbits(63), payload, now, now + HOUR, subject)


@in_cluster
class TestCluster(StoreSuite):
    """The whole conformance suite on six nodes."""

    @pytest.fixture
    def store(self, cluster: ClusterSetup) -> Iterator[RedisStore]:
        self.place = cluster.url, a_prefix()
        yield RedisStore(self.place[0], prefix=self.place[1])
        for node in cluster.nodes:
            node.say("FLUSHALL")

    def reopen(self, store: Store) -> RedisStore:
        return RedisStore(self.place[0], prefix=self.place[1])


@in_sentinel
class TestSentinel(StoreSuite):
    """The whole conformance suite on a primary that Sentinels name."""

    @pytest.fixture
    def store(self, sentinel: SentinelSetup) -> Iterator[RedisStore]:
        self.place = sentinel.url, a_prefix()
        yield RedisStore(self.place[0], prefix=self.place[1])
        sentinel.current_master().say("FLUSHALL")

    def reopen(self, store: Store) -> RedisStore:
        return RedisStore(self.place[0], prefix=self.place[1])


@in_cluster
async def test_index_in_a_cluster_is_never_short(cluster: ClusterSetup) -> None:
    """Where record and index lie on different nodes every record is found, moved and touched ones too."""
    store = RedisStore(cluster.url, prefix=a_prefix())
    made = [(a_key(), a_record(b"%d" % number, subject="ada")) for number in range(30)]
    assert (
        await asyncio.gather(*(store.create(key, record, now=record.accessed) for key, record in made)) == [DONE] * 30
    )
    key, record = made[0]
    moved = record._replace(version=1, subject="eve")
    assert await store.update(key, moved, record.version, now=record.accessed) is DONE
    assert await store.touch(key, record.accessed, NEVER, now=record.accessed) is DONE
    assert {found for found, _ in await store.find("eve")} == {key}
    assert {found for found, _ in await store.find("ada")} == {key for key, _ in made[1:]}
    await asyncio.gather(*(store.delete(key) for key, _ in made[1:]))
    assert await store.find("ada") == []
    client = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", cluster.nodes[0].port)], protocol=2)
    indexes = {name: await client.zrange(name, 0, -1) async for name in client.scan_iter(f"{store._prefix}subject:*")}
    assert sorted(indexes.values()) == [[key.encode()]] * 2, "an index holds more than the record that it has or had"
    assert sorted([await client.pttl(name) == -1 for name in indexes]) == [False, True]
    await client.aclose()
    await store.close()


@in_cluster
async def test_own_cluster_client(cluster: ClusterSetup) -> None:
    """A cluster client that the application has is used as it is, and stays open."""
    client = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", cluster.nodes[0].port)])
    store = RedisStore(client=client, prefix=a_prefix())
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=record.accessed) is DONE
    await store.close()
    assert await client.ping(target_nodes="random")
    await client.aclose()


@in_cluster
async def test_check_looks_at_every_primary(cluster: ClusterSetup) -> None:
    """Each primary of a cluster is complained about by its own name."""
    store = RedisStore(cluster.url)
    text = "\n".join(await store.check())
    for master in cluster.masters:
        assert f"127.0.0.1:{master.port}: appendonly is off" in text
    await store.close()


async def settled(store: RedisStore, key: str, seconds: float = 20.0) -> Record | None:
    """Load as a client does that tries again after each 503, until there is an answer."""
    async with asyncio.timeout(seconds):
        while True:
            begun = time.monotonic()
            try:
                return await store.load(key)
            except StoreUnavailable:
                assert time.monotonic() - begun < 3.5, "an outage took longer than the budget"
                await asyncio.sleep(0.1)


@in_sentinel
async def test_sessions_survive_the_primary_with_sentinel(sentinel: SentinelSetup) -> None:
    """The primary is killed: what replicas confirmed is there on the next one, what was ended stays ended."""
    store = RedisStore(sentinel.url, prefix=a_prefix(), wait_replicas=1, timeout=3)
    made = [(a_key(), a_record(b"%d" % number, subject="ada")) for number in range(40)]
    assert (
        await asyncio.gather(*(store.create(key, record, now=record.accessed) for key, record in made)) == [DONE] * 40
    )
    ended = [key for key, _ in made[:10]]
    assert await asyncio.gather(*(store.delete(key) for key in ended)) == [DONE] * 10
    old = sentinel.current_master()
    old.kill()
    try:
        await asyncio.to_thread(sentinel.wait_for_new_master, old)
        for key, record in made:
            assert await settled(store, key) == (None if key in ended else record)
        key, record = made[-1]
        changed = record._replace(version=1)
        assert await store.update(key, changed, record.version, now=record.accessed) is DONE
        assert await store.update(ended[0], record, made[0][1].version, now=record.accessed) is ABSENT
        assert len(await store.find("ada")) == 30
    finally:
        await store.close()
        old.start()


@in_cluster
async def test_sessions_survive_a_primary_of_the_cluster(cluster: ClusterSetup) -> None:
    """A primary is killed: its replica serves its sessions, confirmed ones are all there, ended ones are not."""
    store = RedisStore(cluster.url, prefix=a_prefix(), wait_replicas=1, timeout=3)
    made = [(a_key(), a_record(b"%d" % number)) for number in range(60)]
    assert (
        await asyncio.gather(*(store.create(key, record, now=record.accessed) for key, record in made)) == [DONE] * 60
    )
    ended = [key for key, _ in made[:20]]
    assert await asyncio.gather(*(store.delete(key) for key in ended)) == [DONE] * 20
    dead = cluster.masters[0]
    try:
        await asyncio.to_thread(cluster.lose, dead)
        for key, record in made:
            assert await settled(store, key) == (None if key in ended else record)
        key, record = made[-1]
        assert await store.update(key, record._replace(version=1), record.version, now=record.accessed) is DONE
    finally:
        await store.close()
        dead.start()
