"""How a store behaves when it holds many sessions: ``make scale SIZE=100000``.

For each server it fills a fresh store with so many sessions, measures loads, touches and updates of random ones beside
that, lets a simulated week of touches and sweeps go by, and says what became of the space. It starts its own servers,
keeps everything in a temporary folder, and stops before it takes more memory or disk than there is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from limpet.contract import Record
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["main"]

PAYLOAD: Final = 150  # bytes
ROUGHLY: Final = {"postgres": 1_200, "redis": 800}  # bytes on disk or in memory for each session, at the worst
HOUR: Final = 3_600_000
BATCH: Final = 1_000
SAMPLES: Final = 3_000
CLICKS: Final = 5  # touches of a visit, a minute apart; one in ten people visits a day


def main() -> None:
    """Run the measurement and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="sessions in each store (default: 100000)")
    parser.add_argument("--stores", default="redis,postgres", help="which (default: redis,postgres)")
    parser.add_argument("--days", type=int, default=7, help="simulated days of touches and sweeps (default: 7)")
    given = parser.parse_args()
    for name in given.stores.split(","):
        needed = ROUGHLY[name] * given.size
        there = _memory() if name == "redis" else shutil.disk_usage(tempfile.gettempdir()).free
        if needed > 0.6 * there:
            sys.exit(f"{name}: {given.size:,} sessions take up to {needed:,} bytes and {there:,} are free: too many")
    print(f"{os.cpu_count()} processors, {_memory():,} bytes of memory free; load {os.getloadavg()[0]:.1f}\n")
    for name in given.stores.split(","):
        with ValkeyServer() if name == "redis" else PostgresServer() as server:
            asyncio.run(_measure(name, server, given.size, given.days))


async def _measure(name: str, server: Any, size: int, days: int) -> None:
    store: Any = RedisStore(server.url, timeout=30) if name == "redis" else PostgresStore(server.url, timeout=30)
    await store.open()
    now = time.time_ns() // 1_000_000
    keys: list[str] = []
    began = time.perf_counter()
    for at in range(0, size, BATCH):
        batch = [(secrets.token_hex(32), _record(now, f"user {at + place}")) for place in range(min(BATCH, size - at))]
        await asyncio.gather(*(store.create(key, record, now=now) for key, record in batch))
        keys += [key for key, _ in batch]
    took = time.perf_counter() - began
    print(f"{name}: {size:,} sessions, {size / took:,.0f} created a second")
    await _latencies(store, keys, now)
    await _say_space(name, server, store, size, "after filling")
    swept = 0
    alive = keys
    for day in range(days):
        now += 24 * HOUR
        visited = random.sample(alive, max(1, len(alive) // 10))
        for minute in range(CLICKS):
            used = now + minute * 60_000
            for at in range(0, len(visited), BATCH):
                calls = (store.touch(key, used, used + 14 * 24 * HOUR, now=used) for key in visited[at : at + BATCH])
                await asyncio.gather(*calls)
        gone, alive = alive[: len(alive) // 100], alive[len(alive) // 100 :]
        for at in range(0, len(gone), BATCH):
            await asyncio.gather(*(store.delete(key) for key in gone[at : at + BATCH]))
        made = [(secrets.token_hex(32), _record(now, f"day {day} {place}")) for place in range(len(gone))]
        for at in range(0, len(made), BATCH):
            await asyncio.gather(*(store.create(key, record, now=now) for key, record in made[at : at + BATCH]))
        alive = [*alive, *(key for key, _ in made)]
        if name == "postgres":
            while done := await store.sweep(now, 500):
                swept += done
    await _latencies(store, alive, now)
    await _say_space(name, server, store, len(alive), f"after {days} days, {swept:,} swept")
    await store.close()
    print()


def _record(now: int, subject: str) -> Record:
    return Record(secrets.randbits(62), secrets.token_bytes(PAYLOAD), now, now + 14 * 24 * HOUR, subject)


async def _latencies(store: Any, keys: list[str], now: int) -> None:
    kinds: dict[str, Callable[[str], Awaitable[Any]]] = {
        "load": store.load,
        "touch": lambda key: store.touch(key, now + 1, now + 14 * 24 * HOUR + 60_000, now=now),
        "create": lambda _: store.create(secrets.token_hex(32), _record(now, "new")._replace(expires=now + 1), now=now),
    }
    for kind, call in kinds.items():
        times = []
        for key in random.choices(keys, k=min(SAMPLES, len(keys))):
            began = time.perf_counter()
            await call(key)
            times.append(time.perf_counter() - began)
        cuts = statistics.quantiles(times, n=100)
        print(f"  {kind:<7} {cuts[49] * 1e6:7,.0f} us in the middle, {cuts[98] * 1e6:7,.0f} us for the slowest of 100")


async def _say_space(name: str, server: Any, store: Any, size: int, when: str) -> None:
    if name == "redis":
        info = server.say("INFO", "memory")
        used, resident = (
            int(line.partition(":")[2])
            for word in ("used_memory:", "used_memory_rss:")
            for line in info.splitlines()
            if line.startswith(word)
        )
        print(f"  {when}: {used / size:,.0f} bytes of memory for each session, {resident / size:,.0f} resident")
        return
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        row = await connection.fetchrow(
            "SELECT pg_total_relation_size(c.oid) AS total, pg_relation_size(c.oid) AS heap, s.n_dead_tup AS dead, "
            "s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot, s.autovacuum_count AS vacuums FROM pg_class c "
            "JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass($1)",
            store._table.name,
        )
    finally:
        await connection.close()
    hot = row["hot"] / row["updates"] if row["updates"] else 1
    print(
        f"  {when}: {row['total'] / size:,.0f} bytes for each session, {row['heap'] / size:,.0f} of them in the table; "
        f"{row['dead']:,} dead rows, {hot:.1%} of {row['updates']:,} updates were HOT, {row['vacuums']} vacuums"
    )


def _memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
