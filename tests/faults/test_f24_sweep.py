"""F24: expired sessions are swept while requests come in."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from limpet.stores import DONE, FileStore, MemoryStore, PostgresStore, SQLiteStore
from tests.faults.records import a_key, a_record
from tests.faults.service import add, answered, count
from tests.races.counted import CountedSite
from tests.site import Site


@pytest.fixture(params=["memory", "file", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    made: Any
    if request.param == "postgres":
        url, schema = (request.getfixturevalue(name) for name in ("postgres_url", "postgres_schema"))
        made = PostgresStore(url, schema=schema)
    elif request.param == "sqlite":
        made = SQLiteStore(tmp_path / "sessions.db", synchronous="OFF")
    elif request.param == "file":
        made = FileStore(tmp_path / "sessions", durable=False)
    else:
        made = MemoryStore(max_records=1_000_000)
    yield made
    await made.close()


async def stall(seconds: float) -> float:
    """Return the 99th percentile of how long the loop's thread computes in one go, looked at each 2 ms for so long.

    Its own processor time is what counts: how late the loop is depends on what else the machine has to do.
    """
    busy = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.thread_time()
        await asyncio.sleep(0.002)
        busy.append(time.thread_time() - begun)
    return sorted(busy)[int(len(busy) * 0.99)]


async def test_f24_no_live_session_is_lost(store: Any) -> None:
    """Thousands of rows, half of them expired, under traffic: the half that lives stays, the loop is not held up."""
    site = CountedSite(store)
    await answered(lambda: site.ask(add))
    now = site.clock()
    rows = count(2_000, 100_000)
    live = [a_key() for _ in range(rows // 2)]
    for start in range(0, rows // 2, 500):
        part = live[start : start + 500]
        made = [store.create(key, a_record()._replace(expires=now + 10**9), now=now) for key in part]
        made += [store.create(a_key(), a_record()._replace(expires=now - 300_001), now=now - 300_010) for _ in part]
        assert set(await asyncio.gather(*made)) == {DONE}
    tokens = [await site.session(n=0) for _ in range(20)]
    counted = dict.fromkeys(tokens, 0)
    gc.collect()
    gc.freeze()  # what hundreds of other tests left behind is not looked through on this loop's time
    sweeping = True

    async def traffic(token: str) -> None:
        while sweeping or not counted[token]:
            assert (await site.ask(add, token)).status == 200
            counted[token] += 1
            await asyncio.sleep(0.04)

    visitors = [asyncio.create_task(traffic(token)) for token in tokens]
    watch = asyncio.create_task(stall(0.3))
    manager = SessionManager(store, clock=site.clock, dev=False)
    manager.runtime = site.manager.runtime
    assert await manager.sweep() == rows // 2
    longest = await watch
    sweeping = False
    await asyncio.gather(*visitors)
    assert longest < 0.02, f"the event loop was held up for {longest * 1000:.0f} ms"
    assert None not in await asyncio.gather(*(store.load(key) for key in live[:: max(1, rows // 2000)]))
    for token in tokens:
        assert await site.read(token) == {"n": counted[token]}


async def test_f24_the_middleware_sweeps_by_itself(store: Any) -> None:
    """Without lifespan and without a job: requests set a sweep off when its time has come, and do not wait for it."""
    site = Site(store, idle_timeout=60, anonymous_timeout=60, sweep_interval=30)
    await answered(lambda: site.ask(add))
    for _ in range(10):
        assert (await site.ask(add)).status == 200
    site.clock.advance(3600)
    fresh = await site.ask(add)
    async with asyncio.timeout(5):
        while len((await store.scan(None, 100))[0]) > 1:
            await asyncio.sleep(0.01)
    assert await site.read(fresh.token) == {"n": 1}


async def test_f24_a_clock_that_was_ahead_for_a_while_stops_no_sweep(store: Any) -> None:
    """What a request has put off by a clock that was a year ahead is done soon after that was set right."""
    site = Site(store, idle_timeout=60, anonymous_timeout=60, sweep_interval=30)
    await answered(lambda: site.ask(add))
    site.clock.advance(365 * 86_400)
    await answered(lambda: site.ask(add))
    site.clock.advance(-365 * 86_400)
    for _ in range(4):
        await site.ask(add)
        site.clock.advance(3600)
    async with asyncio.timeout(5):
        while len((await store.scan(None, 100))[0]) > 2:
            await site.ask(lambda session: None)
            await asyncio.sleep(0.01)
