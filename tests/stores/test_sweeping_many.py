"""Very many sessions are swept in parts: no call takes long, the event loop goes on, and all that expired goes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from limpet import SessionManager
from limpet._wire.marks import SKEW
from limpet._wire.record import Contents, pack
from limpet.contract import DONE, Record, SweepsInParts, supports
from limpet.stores import FileStore, MemoryStore, PostgresStore, WrappingStore
from limpet.stores.file import store as of_files
from limpet.stores.file.envelope import deadline, encode
from limpet.testing import FakeClock
from tests.counts import count
from tests.faults.records import NOW
from tests.stores.blocking import key
from tests.subjects.test_sweep import p99
from tests.turns import turns_of_others

LIVE = count(6_000, 200_000)


def fill(folder: Path, clock: FakeClock, live: int, expired: int) -> None:
    """Write the files that the store would write, without waiting for the disk."""
    folder.mkdir(mode=0o700)
    now = clock()
    payload = pack(Contents(now), SessionManager("memory:", dev=False).engine.serializer)
    for number in range(live + expired):
        left = number * expired % (live + expired) < expired
        one = Record(number, payload, now, now - SKEW - 1 if left else now + 10**9, f"user {number}")
        path = folder / f"{key(number)}.json"
        path.write_bytes(encode(one))
        os.utime(path, ns=(deadline(one), deadline(one)))


async def test_sweeping_a_large_folder(tmp_path: Path) -> None:
    """With the defaults, among many live sessions: each call is short, the event loop goes on, memory stays small."""
    clock, expired = FakeClock(), LIVE // 100
    fill(tmp_path / "s", clock, LIVE, expired)
    store = FileStore(tmp_path / "s")
    manager = SessionManager(store, clock=clock, dev=False)
    manager.use_running_loop()
    await manager.startup()
    calls: list[float] = []
    lags: list[float] = []
    swept, going = store.sweep, True

    async def timed(now: int, limit: int) -> int:
        before = time.perf_counter()
        try:
            return await swept(now, limit)
        finally:
            calls.append(time.perf_counter() - before)

    async def watch() -> None:
        while going:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append(time.perf_counter() - before - 0.002)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.5)
    without = p99(lags)
    lags.clear()
    store.sweep = timed  # type: ignore[method-assign]
    for wanted in (expired, 0):
        began = time.perf_counter()
        assert await manager.sweep(once=True) == wanted
        print(
            f"{LIVE:,} live: {wanted:,} swept in {time.perf_counter() - began:.2f} s, {len(calls)} calls, "
            f"the longest {max(calls) * 1000:.0f} ms; late {p99(lags) * 1000:.1f} ms, at most {max(lags) * 1000:.0f} ms"
        )
        assert max(calls) < 1.0, "the time that a manager waits for a call"
    going = False
    await watching
    assert p99(lags) < max(0.050, 3 * without)
    await manager.shutdown()
    left = FileStore(tmp_path / "s")
    assert await left.count() == LIVE
    await left.close()


async def test_a_sweep_in_many_parts_deletes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If each call looks at one file alone, the sweep of a manager still goes on to the end of the folder, and ends."""
    monkeypatch.setattr(of_files, "_PART", 0.0)
    clock = FakeClock()
    fill(tmp_path / "s", clock, 90, 10)
    store = FileStore(tmp_path / "s")
    assert supports(store, SweepsInParts)
    manager = SessionManager(store, clock=clock, dev=False)
    manager.use_running_loop()
    assert await manager.sweep() == 10
    assert await manager.sweep() == 0
    assert await store.count() == 90
    clock.advance(10**7)
    assert await manager.sweep(limit=7) == 7
    assert await manager.sweep() == 83
    await manager.shutdown()


async def test_names_are_read_one_by_one(tmp_path: Path) -> None:
    """A sweep that stops in the middle goes on there, and what was added meanwhile is met at the latest by the next."""
    clock = FakeClock()
    fill(tmp_path / "s", clock, 0, 300)
    store = FileStore(tmp_path / "s")
    walked: set[str] = set()
    for _ in range(100):
        assert await store.sweep(clock(), 3) == 3
        walked |= {path.name for path in (tmp_path / "s").iterdir()}
    assert await store.sweep(clock(), 3) == 0
    record = Record(1, b"", clock(), clock() - 1, None)
    assert await store.create(key(1_000), record, now=clock()) is DONE
    assert await store.sweep(clock(), 3) == 1
    assert len(walked) == 297
    await store.close()


async def test_memory_files_early_entries_in_parts() -> None:
    """Many that were used again stand before one that has expired: the sweep of a manager goes past all of them."""
    clock, store = FakeClock(), MemoryStore()
    now, number = clock(), 12_000
    for at in range(number):
        await store.create(key(at), Record(at, b"", now, now + 1_000, None), now=now)
        await store.touch(key(at), now, now + 10**9, now=now)
    await store.create(key(number), Record(number, b"", now, now + 2_000, None), now=now)
    clock.advance(310)
    manager = SessionManager(store, clock=clock, dev=False)
    assert await manager.sweep() == 1
    assert await store.count() == number


async def test_memory_lets_others_run() -> None:
    """Very many that expired at once are swept in steps, between which the event loop does something else."""
    clock, number = FakeClock(), count(20_000, 200_000)
    store = MemoryStore(max_records=number)
    now = clock()
    for at in range(number):
        await store.create(key(at), Record(at, b"", now, now + 1, None), now=now)
    clock.advance(310)
    manager = SessionManager(store, clock=clock, dev=False)
    manager.use_running_loop()

    async with turns_of_others() as turns:
        assert await manager.sweep(once=True) == number
    assert turns[0] >= number // 500 - 1  # one for each step but the last


def test_a_store_in_front_says_so_too() -> None:
    """A wrapping store goes on in parts as the one behind it does."""
    behind = MemoryStore()
    store: Any = WrappingStore(behind)
    assert supports(store, SweepsInParts)
    behind.sweep_goes_on = True
    assert store.sweep_goes_on


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("counted", ["never", "in time", "before the last sweep", "with much to sweep"])
async def test_postgres_sweeps_from_its_index(
    postgres_url: str, postgres_schema: str, sql: asyncpg.Connection, mode: str, counted: str
) -> None:
    """The server reads neither the table nor all that has expired, whatever its statistics say of the time.

    From the sixth time on that a connection sweeps, the server may plan without a look at the time.
    """
    store = PostgresStore(postgres_url, schema=postgres_schema)
    await store.open()
    table = store._table.name
    fill = (
        f"INSERT INTO {table} (key, version, payload, accessed, expires)"  # noqa: S608
        " SELECT sha256(n::text::bytea), n, 'x', 1, $3 + n * 360000::bigint FROM generate_series($1::int, $2::int) n"
    )
    await sql.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await sql.execute(fill, 1, 20_000, NOW)
    if counted == "before the last sweep":
        await sql.execute(fill, 20_001, 24_000, 0)
        await sql.execute(f"ANALYZE {table}")
        await sql.execute(f"DELETE FROM {table} WHERE expires < {NOW}")  # noqa: S608
    elif counted != "never":
        await sql.execute(f"ANALYZE {table}")
    expired = 4_000 if counted == "with much to sweep" else 10
    now = NOW + expired * 360_000
    await sql.execute(f"SET plan_cache_mode = {mode}")
    await sql.execute(f"PREPARE sweep (bigint, bigint) AS {store._sql.sweep}")
    plan = "\n".join(row[0] for row in await sql.fetch(f"EXPLAIN EXECUTE sweep ({now}, 500)"))
    assert "Index Scan using sessions_by_hour" in plan, plan
    assert "Sort" not in plan, plan
    assert await store.sweep(now, 500) == min(expired, 500)
    await store.close()
