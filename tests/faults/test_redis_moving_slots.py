"""Slots of a Redis Cluster move from node to node while sessions are read and written."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from redis.crc import key_slot

from limpet import Session
from limpet._wire.journal import JOURNAL
from limpet.contract import ABSENT, DONE, Record
from limpet.stores.redis import RedisStore
from limpet.testing.driven import driven
from tests.faults.records import NOW, a_key, a_record
from tests.races.counted import CountedSite
from tests.servers.topologies import ClusterSetup
from tests.servers.valkey import ValkeyServer
from tests.site import Answer, Handler

pytestmark = pytest.mark.xdist_group("cluster")

SECONDS = 4


def identity(node: ValkeyServer) -> str:
    return node.say("CLUSTER", "MYID").split("\r\n")[1]


def owner(cluster: ClusterSetup, slot: int) -> ValkeyServer:
    """Return the master that has a slot, as the cluster's first node knows it."""
    for line in cluster.nodes[0].say("CLUSTER", "NODES").splitlines():
        parts = line.split()
        for part in parts[8:]:
            first, _, last = part.partition("-")
            if first.isdecimal() and int(first) <= slot <= int(last or first):
                port = int(parts[1].partition("@")[0].rpartition(":")[2])
                return next(node for node in cluster.nodes if node.port == port)
    raise AssertionError(f"no node has slot {slot}")


def move(cluster: ClusterSetup, slot: int, prefix: str) -> None:
    """Move a slot to the next master, a few keys at a time, as ``redis-cli --cluster reshard`` does."""
    old = owner(cluster, slot)
    new = cluster.masters[(cluster.masters.index(old) + 1) % 3]
    new.say("CLUSTER", "SETSLOT", slot, "IMPORTING", identity(old))
    old.say("CLUSTER", "SETSLOT", slot, "MIGRATING", identity(new))
    time.sleep(0.02)
    while names := [word for word in old.say("CLUSTER", "GETKEYSINSLOT", slot, 2).split("\r\n") if prefix in word]:
        for name in names:
            old.say("MIGRATE", "127.0.0.1", new.port, name, 0, 1000)
        time.sleep(0.01)
    for node in (new, *(master for master in cluster.masters if master is not new)):
        node.say("CLUSTER", "SETSLOT", slot, "NODE", identity(new))
    time.sleep(0.01)


async def under_way(store: Any, kept: dict[str, Record], keys: list[str], done: Counter[str]) -> None:
    """Call everything that a store can do, for each of these keys."""
    for key in keys:
        await asyncio.sleep(0.002)
        found = await store.load(key)
        assert found is not None
        assert found.version == kept[key].version, "a write was lost"
        new = a_record(subject="ada")
        assert await store.update(key, new, kept[key].version, now=NOW) is DONE
        assert await store.touch(key, NOW + 1, new.expires + 1, now=NOW) is DONE
        following = a_record(subject="ada")
        assert await store.replace(key, following, new.version, now=NOW) is DONE
        kept[key] = following
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "find": lambda: store.find_page("ada", None, 20),
            "many": lambda: store.load_many(keys[:20]),
        }
        for call in calls.values():
            await call()
        gone = a_key()
        assert await store.create(gone, a_record(), now=NOW) is DONE
        assert await store.delete(gone) is DONE
        assert await store.delete(gone) is ABSENT
        done["all"] += 1


@pytest.mark.parametrize("threads", [False, True], ids=["", "threads"])
@pytest.mark.parametrize("wait", [0, 1])
async def test_slots_move(cluster: ClusterSetup, wait: int, threads: bool) -> None:
    """No call fails, none is lost or carried out twice, and what replicas have to confirm is confirmed."""
    prefix = f"{a_key()}:"
    behind = RedisStore(cluster.url, prefix=prefix, wait_replicas=wait, timeout=5)
    store: Any = driven(behind) if threads else behind
    kept = {a_key(): a_record(subject="ada") for _ in range(120)}
    for key, record in kept.items():
        assert await store.create(key, record, now=NOW) is DONE
    slots = [key_slot(behind._index("ada").encode()), *(key_slot(f"{prefix}{key}".encode()) for key in kept)]
    moved, done, going = 0, Counter[str](), True

    async def visit(keys: list[str]) -> None:
        while going:
            await under_way(store, kept, keys, done)

    def reshard() -> int:
        until = time.monotonic() + SECONDS
        count = 0
        for slot in dict.fromkeys(slots):
            if time.monotonic() > until:
                break
            move(cluster, slot, prefix)
            count += 1
        return count

    everything = list(kept)
    visitors = [asyncio.create_task(visit(everything[number::6])) for number in range(6)]
    try:
        moved = await asyncio.to_thread(reshard)
    finally:
        going = False
        await asyncio.gather(*visitors)
    assert moved > 5
    assert done["all"] > 50
    assert {key for key, _ in await store.find("ada")} == set(kept)
    for key, record in kept.items():
        found = await store.load(key)
        assert found is not None
        assert found.version == record.version
    await store.close()


async def test_no_visitor_notices(cluster: ClusterSetup) -> None:
    """Through the middleware, with the settings that applications have: no 503, every count counts, logins and logouts
    go through and hold, while the slots of the sessions, their indexes and the journal move."""
    prefix = f"{a_key()}:"
    store = RedisStore(cluster.url, prefix=prefix)
    site = CountedSite(store, counted=False)
    names = [f"user {at}" for at in range(24)]
    tokens = [(await site.ask(partial(Session.login, subject=name))).token for name in names]
    keys = [info.public_id for name in names for info in await site.manager.sessions_of(name)]
    slots = [key_slot(f"{prefix}{JOURNAL}".encode()), *(key_slot(store._index(name).encode()) for name in names)]
    slots += [key_slot(f"{prefix}{key}".encode()) for key in keys]
    statuses, counts, slowest, going = Counter[int](), Counter[str](), [0.0], True

    async def ask(handler: Handler, token: str | None) -> Answer:
        begun = time.monotonic()
        reply = await site.ask(handler, token)
        slowest[0] = max(slowest[0], time.monotonic() - begun)
        statuses[reply.status] += 1
        return reply

    async def visit(name: str, token: str | None) -> None:
        while going:
            await ask(lambda session: session.increment("n"), token)
            counts[name] += 1
            other = (await ask(partial(Session.login, subject=name), None)).token
            await ask(lambda session: session.logout(), other)
            assert (await ask(lambda session: session.subject, other)).result is None, "a logout did not hold"
            await asyncio.sleep(0.005)
        assert (await ask(lambda session: session["n"], token)).result == counts[name], "a count was lost"

    def reshard() -> int:
        until = time.monotonic() + SECONDS
        count = 0
        for slot in dict.fromkeys(slots):
            if time.monotonic() > until:
                break
            move(cluster, slot, prefix)
            count += 1
        return count

    visitors = [asyncio.create_task(visit(name, token)) for name, token in zip(names, tokens, strict=True)]
    try:
        moved = await asyncio.to_thread(reshard)
    finally:
        going = False
        await asyncio.gather(*visitors)
    assert moved > 5
    assert list(statuses) == [200], statuses
    assert statuses[200] > 200
    assert slowest[0] < 1
    await store.close()
