"""How a store behaves when it holds many sessions: ``make scale SIZE=100000``.

For each server it fills a fresh store with so many sessions, measures loads, touches and creations beside them, lets a
simulated week of touches, logouts and sweeps go by, and says what became of the space. It starts its own servers, one
after the other, keeps everything in a temporary folder, and stops before it takes more memory or disk than there is.

Single calls are measured through the store. Millions of them would take hours, so what only has to happen goes a
shorter way (`benchmarks.bulk`); what is stored is the same, and a sample of it is read back through the store.

A simulated day is 1,440 minutes. In each, those who are on a visit click once, a part of the day's sessions end and
begin, and what has expired is swept. A day passes in minutes, so the server has far less time between two clicks than
it would have: only the order of what happens to a row is that of a day.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.bulk import PostgresBulk, RedisBulk, groups
from limpet.contract import Record
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["Minute", "Scale", "main", "minutes"]

PAYLOAD: Final = 150  # bytes
ROUGHLY: Final = {"postgres": 1_200, "redis": 800}  # bytes on disk or in memory for each session, at the worst
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
LIFE: Final = 14 * DAY
BATCH: Final = 1_000
THROUGH: Final = 20_000  # sessions that are created one by one, through the store
SAMPLES: Final = 3_000
CLICKS: Final = 5  # touches of a visit, a minute apart; one in ten people visits a day
SEED: Final = secrets.token_bytes(16)
# As a server for millions of sessions would be set up (docs/running-on-postgresql.md), within a fifth of the memory.
# Of a day in minutes most of the work would be whole pages in the log. They guard against a crash of the machine, and
# the server that is started here (`tests.servers.postgres`) waits for no disk anyway.
LOG: Final = {"checkpoint_timeout": "15min", "max_wal_size": "8GB", "full_page_writes": "off"}
# Autovacuum looks for work once a minute. A simulated day takes minutes, so it is to look as often as it can.
NAP: Final = {"autovacuum_naptime": "1s"}


class Minute(NamedTuple):
    """What happens in one minute of a simulated day.

    Attributes:
        at: When it ends, in milliseconds since the day began.
        visits: The visits whose people click in it.
        changed: Which of the day's sessions end, and which begin.
    """

    at: int
    visits: range
    changed: range


def minutes(visits: int, changes: int) -> Iterator[Minute]:
    """Return a day of so many visits, each of some clicks a minute apart, and of so many ends and beginnings."""
    whole = DAY // MINUTE
    last = whole - CLICKS + 1  # by then every visit has begun

    def begun(minute: int) -> int:
        return visits * min(max(minute, 0), last) // last

    for minute in range(whole):
        yield Minute(
            (minute + 1) * MINUTE,
            range(begun(minute - CLICKS + 1), begun(minute + 1)),
            range(changes * minute // whole, changes * (minute + 1) // whole),
        )


def main() -> None:
    """Run the measurement and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="sessions in each store (default: 100000)")
    parser.add_argument("--stores", default="redis,postgres", help="which (default: redis,postgres)")
    parser.add_argument("--days", type=int, default=7, help="simulated days of touches and sweeps (default: 7)")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no further day after so many for each store")
    parser.add_argument("--fillfactor", type=int, help="of the table in PostgreSQL (default: the store's own)")
    given = parser.parse_args()
    for name in given.stores.split(","):
        needed = ROUGHLY[name] * given.size
        there = _memory() if name == "redis" else shutil.disk_usage(tempfile.gettempdir()).free
        if needed > 0.6 * there:
            sys.exit(f"{name}: {given.size:,} sessions take up to {needed:,} bytes and {there:,} are free: too many")
    print(f"{os.cpu_count()} processors, {_memory():,} bytes of memory available; load {os.getloadavg()[0]:.1f}\n")
    for name in given.stores.split(","):
        with ValkeyServer() if name == "redis" else _postgres() as server:
            scale = Scale(name, server.url, given.size, given.days, given.fillfactor)
            asyncio.run(scale.run(60 * given.minutes))


def _postgres() -> PostgresServer:
    buffers = min(max(_memory() // 5 >> 20, 16), 4096)
    settings = {"shared_buffers": f"{buffers}MB", **LOG, **NAP}
    print(f"postgres: {', '.join(f'{name} = {value}' for name, value in settings.items())}")
    return PostgresServer(*(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))


def _key(number: int) -> str:
    """Return the key of the session with that number: ten million keys in a list would take a gigabyte."""
    return hashlib.blake2b(number.to_bytes(8, "big"), key=SEED, digest_size=32).hexdigest()


class Scale:
    """One store. Sessions are numbered; those from `first` on are alive.

    Args:
        name: ``redis`` or ``postgres``.
        url: Where an empty server is.
        size: Sessions.
        days: Simulated days.
        fillfactor: Of the table in PostgreSQL; None: the store's own.
    """

    def __init__(self, name: str, url: str, size: int, days: int, fillfactor: int | None = None) -> None:
        self.name = name
        self.url = url
        self.size = size
        self.days = days
        self.fillfactor = fillfactor
        self.ending = size // 100  # a day
        self.first = 0
        self.swept = 0
        self.store: Any
        self.bulk: PostgresBulk | RedisBulk
        if name == "redis":
            self.store = RedisStore(url, timeout=30)
        else:
            self.store = PostgresStore(url, timeout=30)

    async def run(self, seconds: float) -> None:
        """Fill, measure, let the days go by as long as there is time, and measure again."""
        end = time.monotonic() + seconds
        await self.store.open()
        if self.name == "redis":
            self.bulk = RedisBulk(self.url)
        else:
            self.bulk = await PostgresBulk.open(self.url, "limpet", "sessions", self.fillfactor)
        now = time.time_ns() // 1_000_000
        await self._fill(now)
        await self._latencies(now)
        await self._say_space("after filling")
        for day in range(self.days):
            if time.monotonic() > end:
                break
            began = time.perf_counter()
            touched = await self._a_day(now, day)
            now += DAY
            took = time.perf_counter() - began
            await self._say_space(
                f"after day {day + 1}, {self.swept:,} swept, {took:,.0f} s, {touched / took:,.0f} touches a second"
            )
        await self._latencies(now)
        await self.bulk.close()
        await self.store.close()
        print(flush=True)

    async def _fill(self, now: int) -> None:
        began = time.perf_counter()
        through = min(THROUGH, self.size)
        for group in groups(self._new(range(through), now), BATCH):
            await asyncio.gather(*(self.store.create(key, record, now=now) for key, record in group))
        each = time.perf_counter() - began
        await self.bulk.fill(self._new(range(through, self.size), now), now)
        for number in (0, self.size - 1):
            record = await self.store.load(_key(number))
            assert record == self._record(number, record.version, record.payload, now), "not what the store writes"
            assert await self.store.find(f"user {number}") == [(_key(number), record)]
        took = time.perf_counter() - began
        print(f"{self.name}: {through / each:,.0f} created a second, and {self.size:,} in {took:,.0f} s", flush=True)

    def _record(self, number: int, version: int, payload: bytes, began: int) -> Record:
        """Return a session. In PostgreSQL every second one of those that end this week is left to the sweep.

        The others that are there at first were last used at some hour of the days before; none expires this week.
        """
        if self.name == "postgres" and number % 2 and number < self.days * self.ending:
            return Record(version, payload, began, began + (number + 1) * DAY // self.ending - 1, f"user {number}")
        hours = max((LIFE - self.days * DAY) // HOUR - 24, 1)
        used = began - number % hours * HOUR if number < self.size else began
        return Record(version, payload, used, used + LIFE, f"user {number}")

    def _new(self, numbers: Iterable[int], now: int) -> Iterator[tuple[str, Record]]:
        return ((_key(at), self._record(at, random.getrandbits(62), os.urandom(PAYLOAD), now)) for at in numbers)

    async def _a_day(self, began: int, day: int) -> int:
        """Let a day go by; return how many touches it had."""
        newest = self.size + day * self.ending
        visitors = random.sample(range(self.days * self.ending, newest), max(1, self.size // 10))
        keys = [_key(number) for number in visitors]
        for minute in minutes(len(keys), self.ending):
            now = began + minute.at
            await self.bulk.touch(keys[minute.visits.start : minute.visits.stop], now, now + LIFE, now)
            gone = (self.first + at for at in minute.changed)
            await self.bulk.delete(_key(at) for at in gone if self.name == "redis" or at % 2 == 0)
            await self.bulk.create(self._new((newest + at for at in minute.changed), now), now)
            if self.name == "postgres":
                while done := await self.store.sweep(now, 500):
                    self.swept += done
        self.first += self.ending
        return CLICKS * len(keys)

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
        if isinstance(self.bulk, RedisBulk):
            used, resident = (said / self.size for said in self.bulk.memory())
            print(f"  {when}: {used:,.0f} bytes of memory a session, {resident:,.0f} resident", flush=True)
            return
        row = await self.bulk.statistics()
        hot = row["hot"] / row["updates"] if row["updates"] else 1
        indexes = ", ".join(
            f"{name.rpartition('sessions_')[2]} {size / self.size:,.1f}"
            for name, size in sorted(json.loads(row["indexes"]).items())
        )
        print(
            f"  {when}: {row['total'] / self.size:,.0f} bytes a session, {row['heap'] / self.size:,.0f} of them in the "
            f"table ({indexes}); {row['dead']:,} dead rows, {hot:.1%} of {row['updates']:,} updates were HOT, "
            f"{row['moved']:,} found no room on their page, {row['vacuums']} vacuums",
            flush=True,
        )


def _memory() -> int:
    """Return the bytes that programs can have; what Linux keeps of files in memory it gives away."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("the system does not say how much memory is available")


if __name__ == "__main__":
    main()
