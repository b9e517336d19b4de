"""RedisStore on a Cluster of which one primary hangs: the sessions on the others are served."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from limpet.contract import DONE, Record
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from limpet.testing.driven import driven
from tests.servers.topologies import ClusterSetup

pytestmark = pytest.mark.xdist_group("redis-cluster")

PREFIX = f"test-{secrets.token_hex(6)}:"


@pytest.fixture(params=[0, 2], ids=["first", "last"])
def hanging(request: pytest.FixtureRequest, cluster: ClusterSetup) -> Iterator[int]:
    """Return the number of a primary that can be let hang, and goes on at the end."""
    yield request.param
    cluster.masters[request.param].thaw()


def a_key(primary: int) -> str:
    """Return the key of a record on that primary: each has a third of the slots."""
    while True:
        key = secrets.token_hex(32)
        if key_slot(f"{PREFIX}{key}".encode()) * 3 // 16384 == primary:
            return key


def a_record() -> Record:
    now = time.time_ns() // 1_000_000
    return Record(secrets.randbits(63), b"payload", now, now + 3_600_000)


async def answered(store: Any, key: str, record: Record) -> float:
    """Return how many seconds it took until a record was written and read back; a first call or two may fail, until the
    client has found a node that tells it of the others."""
    begun = time.monotonic()
    for _ in range(4):
        try:
            assert await store.create(key, record, now=record.accessed) is DONE
            assert await store.load(key) == record
        except StoreUnavailable:
            continue
        return time.monotonic() - begun
    raise AssertionError("a session on a primary that is well was never served")


@pytest.mark.parametrize("threads", [False, True], ids=["loop", "threads"])
async def test_workers_serve_what_the_other_primaries_have(hanging: int, threads: bool, cluster: ClusterSetup) -> None:
    """Those that start while it hangs, and those that ran before and look for the nodes anew when their time is up."""
    running: Any = RedisStore(cluster.url, prefix=PREFIX)
    if threads:
        running = driven(running)
    others = [number for number in range(3) if number != hanging]
    known = [(a_key(number), a_record()) for number in others]
    for key, record in known:
        assert await running.create(key, record, now=record.accessed) is DONE
    cluster.masters[hanging].freeze()
    fresh: Any = RedisStore(cluster.url, prefix=PREFIX)
    if threads:
        fresh = driven(fresh)
    for number in others:
        assert await answered(fresh, a_key(number), a_record()) < 4
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as raised:
            await running.load(a_key(hanging))
        assert raised.value.waited, "its time limit is used up: the same request is not to wait for it again"
        for key, record in known:
            assert await asyncio.wait_for(answered(running, a_key(others[0]), a_record()), 8) < 4
            assert await running.load(key) == record
    cluster.masters[hanging].thaw()
    for store in (running, fresh):
        await store.close()
