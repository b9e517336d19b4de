"""Expired records go while traffic runs, in small steps, by one process at a time."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager, events
from limpet._core import locks
from limpet._wire import marks
from limpet._wire.record import Contents, pack
from limpet._wire.tokens import new_id, new_version
from limpet.contract import Record
from limpet.runtime import AsyncioRuntime
from limpet.testing import FakeClock
from tests.site import Site, opened

HOUR = 3_600_000
REQUESTS = 500  # a second


async def fill(site: Site, count: int) -> list[str]:
    """Create so many records, every second one expired; return the cookies of some live ones."""
    manager, store = site.manager, site.manager.engine.storage.server
    now, cookies = manager.clock(), []
    payload = pack(Contents(now, {"n": 0, "blob": os.urandom(200)}), manager.engine.serializer)
    raws = [new_id() for _ in range(count)]
    for start in range(0, count, 1_000):
        chunk = list(enumerate(raws[start : start + 1_000], start))
        records = [
            Record(new_version(), payload, now, now - HOUR if number % 2 else now + HOUR, None) for number, _ in chunk
        ]
        await asyncio.gather(
            *(
                store.create(manager.engine.ids.key_of(raw), record, now=now)
                for (_, raw), record in zip(chunk, records, strict=True)
            )
        )
        cookies += [manager.engine.ids.present(raw) for number, raw in chunk if number % 100 == 0]
    return cookies


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_sweeping_under_traffic(count: int, tmp_path: Path) -> None:
    """Half of the records go under 500 requests a second: no live one is lost, no write, and p99 of the loop's lag
    is under 20 ms."""
    from limpet.manager import system_clock

    async with opened("sqlite", tmp_path, clock=system_clock) as site:
        manager = site.manager
        manager.runtime = AsyncioRuntime()
        cookies = await fill(site, count)
        lags: list[float] = []
        written: dict[str, int] = dict.fromkeys(cookies, 0)
        over = False

        async def look() -> None:
            while not over:
                before = time.perf_counter()
                await asyncio.sleep(0.002)
                lags.append(time.perf_counter() - before - 0.002)

        async def request(cookie: str) -> None:
            await site.run(lambda session: session.increment("n"), cookie)
            written[cookie] += 1

        async def traffic() -> None:
            began, number = time.perf_counter(), 0
            running: set[asyncio.Task[None]] = set()
            while not over or number < REQUESTS:
                due = min(int((time.perf_counter() - began) * REQUESTS) + 1, number + 50)
                for _ in range(number, due):
                    task = asyncio.create_task(request(cookies[number % len(cookies)]))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    number += 1
                await asyncio.sleep(0.002)
            await asyncio.gather(*running)

        looking, busy = asyncio.create_task(look()), asyncio.create_task(traffic())
        await asyncio.sleep(0.1)
        lags.clear()
        await asyncio.sleep(1)
        without = p99(lags)
        lags.clear()
        swept = await manager.sweep(once=True)
        late = p99(lags)
        over = True
        await asyncio.gather(looking, busy)

        assert swept == count // 2
        assert [event.so_far for event in site.heard if isinstance(event, events.SessionsSwept)][-1] == count // 2
        left: dict[str, int] = {}
        for cookie in cookies:
            session = site.begin(cookie)
            await manager.load(session)
            left[cookie] = session.get("n", -1)
        assert left == written
        assert await count_of(manager) == count // 2
        # A machine that others keep busy is late without any sweep.
        assert late < max(0.020, 2 * without), f"p99 {late:.4f} s, and {without:.4f} s without the sweep"


def p99(lags: list[float]) -> float:
    """Return what 99 of 100 do not exceed."""
    return sorted(lags)[int(len(lags) * 0.99)]


async def count_of(manager: SessionManager) -> int:
    """Return how many records there are that are no marks."""
    store: Any = manager.store
    counted, cursor = 0, None
    while True:
        page, cursor = await store.scan(cursor, 5_000)
        counted += sum(not marks.is_mark(record.payload) for _, record in page)
        if cursor is None:
            return counted


async def test_one_sweeper_at_a_time(tmp_path: Path) -> None:
    """While one process sweeps, others leave it to that one; when it has died, another takes over after a while."""
    async with opened("sqlite", tmp_path) as site:
        manager, clock = site.manager, site.manager.clock
        assert isinstance(clock, FakeClock)
        await site.login("ann")
        clock.advance(40 * 86_400)
        assert await locks.acquire(manager.engine, marks.mark_key("lock", "sweep"), 300, 0) is not None  # and dies
        assert await manager.sweep(once=True) == 0
        clock.advance(601)
        assert await manager.sweep(once=True) >= 1
        assert await manager.sweep(once=True) == 0
        assert await manager.sessions_of("ann") == []


async def test_a_sweep_that_fails_gives_its_turn_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error the next sweep finds the turn free."""
    async with opened("sqlite", tmp_path) as site:
        manager = site.manager

        async def fails(now: int, limit: int) -> int:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(manager.store, "sweep", fails)
            with pytest.raises(ZeroDivisionError):
                await manager.sweep(once=True)
        await site.login("ann")
        manager.clock.advance(40 * 86_400)  # type: ignore[attr-defined]
        assert await manager.sweep(once=True) >= 1
