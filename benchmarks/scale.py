"""How a store behaves when it holds many sessions: ``make scale SIZE=100000``.

For each server it fills a fresh store with so many sessions, measures loads, touches and creations beside them, lets a
simulated week of touches, logouts and sweeps go by, and says what became of the space. It starts its own servers, one
after the other, keeps everything in a temporary folder, and stops before it takes more memory or disk than there is.

Single calls are measured through the store. Millions of them would take hours, so what only has to happen goes a
shorter way (`benchmarks.bulk`); what is stored is the same, and a sample of it is read back through the store.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

import asyncpg

from benchmarks.bulk import Bulk, PostgresBulk, RedisBulk, groups
from limpet.contract import Record
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["main"]

PAYLOAD: Final = 150  # bytes
ROUGHLY: Final = {"postgres": 1_200, "redis": 800}  # bytes on disk or in memory for each session, at the worst
DAY: Final = 24 * 3_600_000
LIFE: Final = 14 * DAY
BATCH: Final = 1_000
THROUGH: Final = 20_000  # sessions that are created one by one, through the store
SAMPLES: Final = 3_000
CLICKS: Final = 5  # touches of a visit, a minute apart; one in ten people visits a day
SEED: Final = secrets.token_bytes(16)
# As a server for millions of sessions would be set up (docs/running-on-postgresql.md), within a fifth of the memory.
# With short checkpoints most of the work would be whole pages in the log.
LOG: Final = {"checkpoint_timeout": "15min", "max_wal_size": "8GB", "wal_compression": "on"}


def main() -> None:
    """Run the measurement and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="sessions in each store (default: 100000)")
    parser.add_argument("--stores", default="redis,postgres", help="which (default: redis,postgres)")
    parser.add_argument("--days", type=int, default=7, help="simulated days of touches and sweeps (default: 7)")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no further day after so many for each store")
    given = parser.parse_args()
    for name in given.stores.split(","):
        needed = ROUGHLY[name] * given.size
        there = _memory() if name == "redis" else shutil.disk_usage(tempfile.gettempdir()).free
        if needed > 0.6 * there:
            sys.exit(f"{name}: {given.size:,} sessions take up to {needed:,} bytes and {there:,} are free: too many")
    print(f"{os.cpu_count()} processors, {_memory():,} bytes of memory free; load {os.getloadavg()[0]:.1f}\n")
    for name in given.stores.split(","):
        with ValkeyServer() if name == "redis" else _postgres() as server:
            asyncio.run(_Scale(name, server, given.size, given.days).run(60 * given.minutes))


def _postgres() -> PostgresServer:
    buffers = min(max(_memory() // 5 >> 20, 16), 4096)
    settings = {"shared_buffers": f"{buffers}MB", **LOG}
    print(f"postgres: {', '.join(f'{name} = {value}' for name, value in settings.items())}")
    return PostgresServer(*(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))


def _key(number: int) -> str:
    """Return the key of the session with that number: ten million keys in a list would take a gigabyte."""
    return hashlib.blake2b(number.to_bytes(8, "big"), key=SEED, digest_size=32).hexdigest()


class _Scale:
    """One store. Sessions are numbered; those from `first` on are alive."""

    def __init__(self, name: str, server: Any, size: int, days: int) -> None:
        self.name = name
        self.server = server
        self.size = size
        self.days = days
        self.ending = size // 100  # a day
        self.first = 0
        self.swept = 0
        self.store: Any
        if name == "redis":
            self.store = RedisStore(server.url, timeout=30)
        else:
            self.store = PostgresStore(server.url, timeout=30)

    async def run(self, seconds: float) -> None:
        """Fill, measure, let the days go by as long as there is time, and measure again."""
        end = time.monotonic() + seconds
        await self.store.open()
        bulk: Bulk = (
            RedisBulk(self.server.url)
            if self.name == "redis"
            else await PostgresBulk.open(self.server.url, "limpet", "sessions")
        )
        now = time.time_ns() // 1_000_000
        await self._fill(bulk, now)
        await self._latencies(now)
        await self._say_space("after filling")
        for day in range(1, self.days + 1):
            if time.monotonic() > end:
                break
            began = time.perf_counter()
            now += DAY
            await self._a_day(bulk, now, day)
            await self._say_space(f"after day {day}, {self.swept:,} swept, {time.perf_counter() - began:,.0f} s")
        await self._latencies(now)
        await bulk.close()
        await self.store.close()
        print(flush=True)

    async def _fill(self, bulk: Bulk, now: int) -> None:
        began = time.perf_counter()
        through = min(THROUGH, self.size)
        for group in groups(self._new(range(through), now), BATCH):
            await asyncio.gather(*(self.store.create(key, record, now=now) for key, record in group))
        each = time.perf_counter() - began
        await bulk.create(self._new(range(through, self.size), now), now)
        for number in (0, self.size - 1):
            record = await self.store.load(_key(number))
            assert record == self._record(number, record.version, record.payload, now), "not what the store writes"
            assert await self.store.find(f"user {number}") == [(_key(number), record)]
        took = time.perf_counter() - began
        print(f"{self.name}: {through / each:,.0f} created a second, and {self.size:,} in {took:,.0f} s", flush=True)

    def _record(self, number: int, version: int, payload: bytes, now: int) -> Record:
        """Return a session. In PostgreSQL every second one of those that end this week is left to the sweep."""
        day = number // max(self.ending, 1)
        left = self.name == "postgres" and number % 2 and day < self.days
        return Record(version, payload, now, now + (day + 1) * DAY - 1 if left else now + LIFE, f"user {number}")

    def _new(self, numbers: Iterable[int], now: int) -> Iterator[tuple[str, Record]]:
        return ((_key(at), self._record(at, random.getrandbits(62), os.urandom(PAYLOAD), now)) for at in numbers)

    async def _a_day(self, bulk: Bulk, now: int, day: int) -> None:
        newest = self.size + (day - 1) * self.ending
        visited = random.sample(range(self.days * self.ending, newest), max(1, self.size // 10))
        for minute in range(CLICKS):
            used = now + minute * 60_000
            await bulk.touch(map(_key, visited), used, used + LIFE, used)
        gone = range(self.first, self.first + self.ending)
        self.first += self.ending
        await bulk.delete(_key(at) for at in gone if self.name == "redis" or at % 2 == 0)
        await bulk.create(self._new(range(newest, newest + self.ending), now), now)
        if self.name == "postgres":
            while done := await self.store.sweep(now, 500):
                self.swept += done

    async def _latencies(self, now: int) -> None:
        later = now + LIFE + 60_000
        kinds: dict[str, Callable[[str], Awaitable[Any]]] = {
            "load": self.store.load,
            "touch": lambda key: self.store.touch(key, now + 1, later, now=now),
            "create": lambda _: self.store.create(
                secrets.token_hex(32), self._record(0, 1, bytes(PAYLOAD), now)._replace(expires=now + 1), now=now
            ),
        }
        for kind, call in kinds.items():
            times = []
            for number in random.choices(range(self.days * self.ending, self.size), k=SAMPLES):
                key = _key(number)
                began = time.perf_counter()
                await call(key)
                times.append(time.perf_counter() - began)
            cuts = statistics.quantiles(times, n=100)
            print(
                f"  {kind:<7} {cuts[49] * 1e6:7,.0f} us in the middle, {cuts[98] * 1e6:7,.0f} us for the slowest of 100"
            )

    async def _say_space(self, when: str) -> None:
        if self.name == "redis":
            used, resident = (
                _said(self.server.say("INFO", "memory"), word) for word in ("used_memory", "used_memory_rss")
            )
            print(
                f"  {when}: {used / self.size:,.0f} bytes of memory a session, {resident / self.size:,.0f} resident",
                flush=True,
            )
            return
        row = await _statistics(self.server.url, self.store._table.name)
        hot = row["hot"] / row["updates"] if row["updates"] else 1
        print(
            f"  {when}: {row['total'] / self.size:,.0f} bytes a session, {row['heap'] / self.size:,.0f} of them in the "
            f"table; {row['dead']:,} dead rows, {hot:.1%} of {row['updates']:,} updates were HOT, "
            f"{row['vacuums']} vacuums",
            flush=True,
        )


def _said(info: str, word: str) -> int:
    (line,) = (line for line in info.splitlines() if line.startswith(f"{word}:"))
    return int(line.partition(":")[2])


async def _statistics(url: str, table: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return await connection.fetchrow(
            "SELECT pg_total_relation_size(c.oid) AS total, pg_relation_size(c.oid) AS heap, s.n_dead_tup AS dead, "
            "s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot, s.autovacuum_count AS vacuums FROM pg_class c "
            "JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass($1)",
            table,
        )
    finally:
        await connection.close()


def _memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
