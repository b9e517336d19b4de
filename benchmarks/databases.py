"""Redis and PostgreSQL, real servers: read + write with 1 and with 50 requests at a time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
from redis.asyncio import Redis
from starsessions.stores.redis import RedisStore as StarRedis

from benchmarks.drive import Call, asgi_call, seeded
from benchmarks.plain import limpet_app, starsessions_app
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["Served", "measure"]

SESSIONS = 50


class Served(NamedTuple):
    """One row: microseconds of CPU (of this process) and requests a second."""

    name: str
    concurrent: int
    cpu: float
    per_second: float


async def _run(call: Call, cookies: list[bytes], concurrent: int, requests: int) -> tuple[float, float]:
    left = iter(range(requests))

    async def client(number: int) -> None:
        for _ in left:
            await call("/write", cookies[number])

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(concurrent)))
    return (time.process_time() - cpu) / requests * 1e6, requests / (time.perf_counter() - wall)


async def _statements(url: str) -> Call:
    """Return the two bare statements that a read + write takes, through the same client and a pool of the same size."""
    pool = await asyncpg.create_pool(url, min_size=1, max_size=10)
    await pool.execute("create table if not exists bare (key text primary key, version bigint, payload bytea)")
    await pool.execute("insert into bare select 'k' || n, 1, '\\x00' from generate_series(0, 49) n")
    keys = {b"%d" % number: f"k{number}" for number in range(SESSIONS)}

    async def call(path: str, cookie: bytes) -> list[bytes]:
        key = keys[cookie]
        async with pool.acquire() as connection:
            row = await connection.fetchrow("select version, payload from bare where key = $1", key)
        async with pool.acquire() as connection:
            await connection.execute(
                "update bare set version = version + 1, payload = $2 where key = $1 and version = $3",
                key,
                b"x" * 120,
                row["version"],
            )
        return []

    return call


@asynccontextmanager
async def _subjects(redis: str, postgres: str) -> AsyncIterator[list[tuple[str, Call, list[bytes]]]]:
    apps: list[tuple[str, Any]] = [
        ("starsessions, Redis", starsessions_app(StarRedis(connection=Redis.from_url(redis)))),
        ("limpet, Redis", limpet_app(redis)),
        ("limpet, PostgreSQL", limpet_app(postgres)),
    ]
    subjects: list[tuple[str, Call, list[bytes]]] = []
    for name, app in apps:
        call = asgi_call(app)
        subjects.append((name, call, [await seeded(call) for _ in range(SESSIONS)]))
    bare = await _statements(postgres)
    subjects.append(("two bare statements, asyncpg", bare, [b"%d" % number for number in range(SESSIONS)]))
    yield subjects
    for _, app in apps[1:]:
        await app.manager.shutdown()


async def _measure(redis: str, postgres: str, *, quick: bool) -> list[Served]:
    rounds, requests = (3, 400) if quick else (9, 1500)
    rows: list[Served] = []
    async with _subjects(redis, postgres) as subjects:
        for concurrent in (1, 50):
            seen: dict[str, list[tuple[float, float]]] = {}
            for _ in range(rounds):
                for name, call, cookies in subjects:
                    seen.setdefault(name, []).append(await _run(call, cookies, concurrent, requests))
            for name, runs in seen.items():
                cpu, rate = (statistics.median(run[part] for run in runs) for part in (0, 1))
                rows.append(Served(name, concurrent, cpu, rate))
    return rows


def measure(*, quick: bool) -> list[Served]:
    """Start the servers and return a row for each subject and number of clients."""
    with ValkeyServer() as valkey, PostgresServer() as postgres:
        return asyncio.run(_measure(valkey.url, postgres.url, quick=quick))
