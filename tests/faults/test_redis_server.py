"""What becomes of sessions in Redis or Valkey when the server, or the way to it, fails."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
import redis.asyncio as client_library

from limpet.contract import ABSENT, DONE, Record
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from tests.faults.records import NOW, a_key, a_record, bare_timers, every_call, fails_within, tries_again
from tests.servers.proxies import tcp_proxy
from tests.servers.topologies import ClusterSetup
from tests.servers.valkey import ValkeyServer


async def test_f01_refused(own_valkey: ValkeyServer) -> None:
    """F01: nobody listens: every call says so in under 100 ms; when somebody does, the sessions are there."""
    async with tcp_proxy(own_valkey.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        key, record = a_key(), a_record()
        assert await store.create(key, record, now=NOW) is DONE
        await proxy.refuse()
        for name, call in every_call(store, key, record).items():
            async with fails_within(0.1, name) as caught:
                await call()
            assert f"127.0.0.1:{proxy.port}" in str(caught[0])
        await proxy.start()
        assert await store.load(key) == record
        await store.close()


async def test_f01_killed(own_valkey: ValkeyServer) -> None:
    """F01: the server is killed with -9 and its port refuses."""
    store = RedisStore(own_valkey.url)
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    own_valkey.kill()
    for name, call in every_call(store, key, record).items():
        async with fails_within(0.1, name):
            await call()
    await store.close()


async def test_f04_frozen(own_valkey: ValkeyServer) -> None:
    """F04: the server hangs: each of two hundred callers, one after another, is told within the budget."""
    store = RedisStore(own_valkey.url, timeout=0.4)
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    own_valkey.freeze()

    async def ask(number: int) -> float:
        await asyncio.sleep(number * 0.005)
        begun = time.monotonic()
        async with fails_within(10):
            await store.load(key)
        return time.monotonic() - begun

    timers = asyncio.create_task(bare_timers(0.4, 20, 0.05))
    waited = sorted(await asyncio.gather(*(ask(number) for number in range(200))))
    limit = await timers + 0.05
    assert waited[197] < limit, f"198 of 200 callers must be told within {limit:.3f} s, not {waited[197]:.3f}"
    own_valkey.thaw()
    assert await tries_again(lambda: store.load(key), 1) == record
    await store.close()


async def test_f05_corrupt(own_valkey: ValkeyServer) -> None:
    """F05: a value cut at any byte, or with any bit turned, loads without an error and is deleted by its version."""
    store = RedisStore(own_valkey.url)
    client = client_library.Redis.from_url(own_valkey.url, protocol=2)
    key = a_key()
    await store.create(key, a_record(b"p" * 20, subject="adä"), now=NOW)
    good = await client.get(f"limpet:{key}")
    assert isinstance(good, bytes)
    broken = [good[:length] for length in range(len(good))]
    broken += [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in range(8)]
    for value in broken:
        await client.set(f"limpet:{key}", value)
        found = await store.load(key)
        assert isinstance(found, Record)
        kept = await store.delete(key, found.version ^ 1)
        assert isinstance(kept, Record)
        assert kept.version == found.version
        assert await store.delete(key, found.version) is DONE
    await client.aclose()
    await store.close()


async def test_f12_restarted_empty(own_valkey: ValkeyServer) -> None:
    """F12: the server forgot everything: sessions are absent, nothing brings them back, new ones work at once."""
    store = RedisStore(own_valkey.url)
    key, record = a_key(), a_record(subject="ada")
    await store.create(key, record, now=NOW)
    own_valkey.restart()
    assert await store.load(key) is None
    assert await store.update(key, a_record(), record.version, now=NOW) is ABSENT
    assert await store.touch(key, NOW, NOW, now=NOW) is ABSENT
    assert await store.delete(key) is ABSENT
    assert await store.find("ada") == []
    assert await store.create(a_key(), a_record(), now=NOW) is DONE
    await store.close()


async def test_f13_read_only_replica(own_valkey: ValkeyServer) -> None:
    """F13: the server became a replica: writes say so and change nothing, reads go on; afterwards writes do."""
    store = RedisStore(own_valkey.url)
    key, record = a_key(), a_record()
    await store.create(key, record, now=NOW)
    own_valkey.say("REPLICAOF", "127.0.0.1", "1")
    for name, call in every_call(store, key, record).items():
        if name != "load":
            async with fails_within(0.5, name) as caught:
                await call()
            assert "read-only replica" in str(caught[0])
    assert await store.load(key) == record
    own_valkey.say("REPLICAOF", "NO", "ONE")
    assert await store.update(key, a_record(), record.version, now=NOW) is DONE
    await store.close()


async def test_f13_new_primary_under_the_old_name(own_valkey: ValkeyServer) -> None:
    """F13: the address leads to a new primary by now: a refused write drops its connection and succeeds there."""
    with ValkeyServer() as new:
        async with tcp_proxy(own_valkey.port) as proxy:
            store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
            assert await store.create(a_key(), a_record(), now=NOW) is DONE
            own_valkey.say("REPLICAOF", "127.0.0.1", str(new.port))
            proxy.target = new.port
            key, record = a_key(), a_record()
            assert await store.create(key, record, now=NOW) is DONE
            assert await store.load(key) == record
            assert f"limpet:{key}" in new.say("KEYS", "*")
            await store.close()


async def test_f14_out_of_memory(own_valkey: ValkeyServer) -> None:
    """F14: memory is full: what writes fails whole and leaves the old record; reading, touching, ending go on."""
    store = RedisStore(own_valkey.url)
    key, record = a_key(), a_record(subject="ada")
    await store.create(key, record, now=NOW)
    own_valkey.say("CONFIG", "SET", "maxmemory", "1")
    for call in (
        store.create(other := a_key(), a_record(subject="ada"), now=NOW),
        store.update(key, a_record(), record.version, now=NOW),
    ):
        async with fails_within(0.5) as caught:
            await call
        assert "memory is full" in str(caught[0])
    assert await store.load(key) == record
    assert await store.load(other) is None
    assert [found for found, _ in await store.find("ada")] == [key]
    used = record._replace(accessed=NOW + 1, expires=record.expires + 60_000)
    assert await store.touch(key, used.accessed, used.expires, now=NOW) is DONE
    assert await store.load(key) == used
    ended = a_record(b"ended")._replace(expires=NOW + 60_000)
    assert await store.replace(key, ended, record.version, now=NOW) is DONE
    assert await store.load(key) == ended
    assert await store.find("ada") == []
    assert await store.delete(key, ended.version) is DONE
    assert own_valkey.say("DBSIZE") == ":0\r\n"
    await store.close()


@pytest.mark.xdist_group("cluster")
async def test_f14_out_of_memory_in_a_cluster(cluster: ClusterSetup) -> None:
    """F14: the same where record and index lie on different nodes."""
    store = RedisStore(cluster.url, prefix=f"{a_key()}:")
    made = {a_key(): a_record(subject="ada") for _ in range(20)}
    for key, record in made.items():
        assert await store.create(key, record, now=NOW) is DONE
    try:
        for node in cluster.nodes:
            node.say("CONFIG", "SET", "maxmemory", "1")
        async with fails_within(0.5):
            await store.create(a_key(), a_record(), now=NOW)
        for number, (key, record) in enumerate(made.items()):
            assert await store.touch(key, NOW + 1, record.expires + 60_000, now=NOW) is DONE
            ended = a_record(b"ended", subject="ada" if number % 2 else None)._replace(expires=NOW + 60_000)
            assert await store.replace(key, ended, record.version, now=NOW) is DONE
            assert await store.delete(key, ended.version) is DONE
        assert await store.find("ada") == []
    finally:
        for node in cluster.nodes:
            node.say("CONFIG", "SET", "maxmemory", "0")
    await store.close()


async def test_f15_lost_reply(own_valkey: ValkeyServer) -> None:
    """F15: the connection is cut after a write was forwarded: its version token tells that it landed."""
    async with tcp_proxy(own_valkey.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        await store.create(a_key(), a_record(), now=NOW)
        await store.update(a_key(), a_record(), 1, now=NOW)  # both scripts are known now
        key, record, changed = a_key(), a_record(), a_record(b"changed")
        proxy.cut = lambda data: b"EVALSHA" in data
        async with fails_within(0.5):
            await store.create(key, record, now=NOW)
        proxy.cut = None
        assert await store.create(key, record, now=NOW) == record
        proxy.cut = lambda data: b"EVALSHA" in data
        async with fails_within(0.5):
            await store.update(key, changed, record.version, now=NOW)
        proxy.cut = None
        assert await store.update(key, changed, record.version, now=NOW) == changed
        proxy.swallow = lambda data: b"EVALSHA" in data
        async with fails_within(0.5):
            await store.update(key, a_record(b"never arrived"), changed.version, now=NOW)
        proxy.swallow = None
        assert await store.load(key) == changed
        await store.close()


async def test_f17_more_callers_than_connections(own_valkey: ValkeyServer) -> None:
    """F17: three hundred callers on a pool of ten: no error, and never an eleventh connection."""
    async with tcp_proxy(own_valkey.port) as proxy:
        proxy.delay = 0.02
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", max_connections=10)
        keys = [a_key() for _ in range(300)]

        async def visit(key: str) -> None:
            await asyncio.sleep(random.random() / 10)
            record = a_record(key.encode())
            assert await store.create(key, record, now=NOW) is DONE
            assert await store.load(key) == record
            assert await store.update(key, record._replace(version=1), record.version, now=NOW) is DONE

        await asyncio.gather(*(visit(key) for key in keys))
        assert proxy.most <= 10
        await store.close()


async def test_f18_cancelled_callers(own_valkey: ValkeyServer) -> None:
    """F18: five hundred callers give up at any moment: nobody ever gets a foreign record, no connection leaks."""
    async with tcp_proxy(own_valkey.port) as proxy:
        proxy.delay = 0.02
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", max_connections=3)
        keys = [a_key() for _ in range(100)]
        await asyncio.gather(*(store.create(key, a_record(key.encode()), now=NOW) for key in keys))

        async def give_up(key: str) -> None:
            task = asyncio.create_task(
                store.load(key) if random.random() < 0.7 else store.touch(key, NOW, NOW, now=NOW)
            )
            await asyncio.sleep(random.random() * 0.06)
            task.cancel()
            try:
                found = await task
            except asyncio.CancelledError:
                return
            assert not isinstance(found, Record) or found.payload == key.encode()

        async def spread(number: int) -> None:
            await asyncio.sleep(number * 0.002)
            await give_up(random.choice(keys))

        await asyncio.gather(*(spread(number) for number in range(500)))
        found = await asyncio.gather(*(store.load(key) for key in keys))
        assert [record.payload for record in found if record] == [key.encode() for key in keys]
        assert proxy.most <= 3
        await store.close()
        await proxy.all_closed()


async def test_f26_close_waits_for_what_is_under_way(own_valkey: ValkeyServer) -> None:
    """F26: closing while six hundred writes are under way: each is answered, and what was answered is there."""
    async with tcp_proxy(own_valkey.port) as proxy:
        proxy.delay = 0.05
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", max_connections=1)
        keys = [a_key() for _ in range(600)]
        writes = [asyncio.create_task(store.create(key, a_record(), now=NOW)) for key in keys]
        await asyncio.sleep(0.01)
        await store.close()
        assert await asyncio.gather(*writes) == [DONE] * 600
        await proxy.all_closed()
    assert own_valkey.say("DBSIZE") == ":600\r\n"


async def test_a_call_that_fails_names_no_value(own_valkey: ValkeyServer) -> None:
    """An error never repeats what was sent, even where the server's own message does."""
    store = RedisStore(own_valkey.url)
    own_valkey.say("ACL", "SETUSER", "default", "-eval", "-evalsha")
    with pytest.raises(StoreUnavailable, match="access list") as caught:
        await store.create(a_key(), a_record(b"secretvalue"), now=NOW)
    assert "secretvalue" not in str(caught.value)
    await store.close()
