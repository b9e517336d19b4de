"""How the cost grows: with the size of a session, the number of keys, the number of live sessions; memory; imports."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import starsessions

from benchmarks.drive import Call, asgi_call, seeded
from benchmarks.plain import starsessions_around
from limpet import SessionManager
from limpet._wire.tokens import new_id, new_version, store_key
from limpet.asgi import SessionMiddleware
from limpet.contract import Record
from limpet.stores.memory import MemoryStore
from limpet.stores.sqlite import SQLiteStore

__all__ = ["idle_memory", "imports", "live_sessions", "session_keys", "session_sizes", "writers"]


async def _cost(apps: Mapping[str, Any], rounds: int = 7, times: int = 60) -> dict[str, float]:
    """Return the microseconds of CPU of a request that reads and writes, the application included; all take turns."""
    calls: dict[str, Call] = {name: asgi_call(app) for name, app in apps.items()}
    cookies = {name: await seeded(call) for name, call in calls.items()}
    runs: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            cookie = cookies[name]
            start = time.process_time_ns()
            for _ in range(times):
                await call("/write", cookie)
            runs[name].append((time.process_time_ns() - start) / times / 1000)
    return {name: statistics.median(found) for name, found in runs.items()}


def _handler(data: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        if scope["path"] == "/seed":
            session.update(data)
        else:
            session["n"] = session.get("n", 0) + 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def _limpet(data: dict[str, Any], store: Any) -> Any:
    return SessionMiddleware(_handler(data), SessionManager(store))


def _in_memory(data: dict[str, Any]) -> dict[str, Any]:
    peer = starsessions_around(_handler(data), starsessions.InMemoryStore())
    return {"limpet": _limpet(data, MemoryStore()), "starsessions": peer}


def session_sizes() -> dict[str, dict[str, float]]:
    """Return the cost by size, from 0.1 to 100 KB of nested values, in memory."""
    item = {"id": 1000, "name": "an article with a name", "tags": ["a", "b"], "price": 12.5}  # 50 bytes
    sizes = {"0.1 KB": 2, "1 KB": 18, "10 KB": 180, "30 KB": 540, "100 KB": 1800}
    return {
        name: asyncio.run(_cost(_in_memory({"items": [dict(item) for _ in range(count)]})))
        for name, count in sizes.items()
    }


def session_keys() -> dict[str, dict[str, float]]:
    """Return the cost by number of keys, in memory."""
    return {
        f"{count:,}": asyncio.run(_cost(_in_memory({f"key{i}": i for i in range(count)})))
        for count in (1, 10, 100, 1_000)
    }


def _records(count: int) -> Iterator[tuple[str, Record]]:
    now = int(time.time() * 1000)
    for number in range(count):
        yield store_key("bench", new_id()), Record(new_version(), b"M" + bytes(120), now, now + 86_400_000 + number)


async def _in_memory_among(count: int) -> float:
    store = MemoryStore(max_records=2 * count + 1_000)
    for key, record in _records(count):
        await store.create(key, record, now=record.accessed)
    return (await _cost({"": _limpet({"user": "ann"}, store)}))[""]


async def _in_sqlite_among(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as folder:
        path = Path(folder) / "many.db"
        store = SQLiteStore(path)
        await store.open()  # makes the table
        await store.close()
        _fill_sqlite(path, count)
        await store.open()
        cost = await _cost({"": _limpet({"user": "ann"}, store)})
        await store.close()
    return cost[""]


def _fill_sqlite(path: Path, count: int) -> None:
    """Write many rows past the store, which would wait for the disk a million times, in a few large transactions."""
    rows = (
        (bytes.fromhex(key), record.version, record.payload, record.accessed, record.expires)
        for key, record in _records(count)
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -262144")  # KiB
        while chunk := list(itertools.islice(rows, 50_000)):
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO sessions (key, version, payload, accessed, expires) VALUES (?, ?, ?, ?, ?)", chunk
            )
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def live_sessions(*, most: int) -> dict[str, dict[str, float]]:
    """Return the cost of a request among so many live sessions, by number and store; a million take 1 GB of memory."""
    counts = [10**power for power in range(3, 10) if 10**power <= most]
    return {
        f"{count:,}": {
            "memory": asyncio.run(_in_memory_among(count)),
            "SQLite": asyncio.run(_in_sqlite_among(count)),
        }
        for count in counts
    }


async def _writers(count: int, rounds: int = 9) -> float:
    """Return the microseconds of CPU of each of so many requests that all read one session before any writes."""
    waiting, gate, seen = 0, asyncio.Event(), 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal waiting, seen
        session = scope["session"]
        seen = session.get("n", 0)
        if scope["path"] == "/write":
            waiting += 1
            if waiting == count:
                gate.set()
            await gate.wait()
            session.increment("n")
        elif scope["path"] == "/seed":
            session.update({"user": "ann"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    costs: list[float] = []
    for _ in range(rounds):
        site = SessionMiddleware(app, SessionManager(MemoryStore()))
        cookie = await seeded(asgi_call(site))
        waiting, gate = 0, asyncio.Event()

        call = asgi_call(site)
        start = time.process_time_ns()
        await asyncio.gather(*(call("/write", cookie) for _ in range(count)))
        costs.append((time.process_time_ns() - start) / count / 1000)
        await call("/read", cookie)
        assert seen == count, f"{seen} of {count} requests have counted"
    return statistics.median(costs)


def writers() -> dict[str, dict[str, float]]:
    """Return the cost of each of n requests at once that add to one number of one session; all count."""
    return {f"{count}": {"limpet, memory": asyncio.run(_writers(count))} for count in (2, 5, 10, 20, 50, 100, 200)}


def idle_memory() -> dict[str, float]:
    """Return the bytes that an idle session takes in the memory store, beyond its payload."""

    async def grow(store: MemoryStore, count: int) -> None:
        now = int(time.time() * 1000)
        for number in range(count):
            payload = b"M" + bytes(119)
            record = Record(new_version(), bytes(payload), now, now + number, "user" if number < 0 else f"u{number}")
            await store.create(store_key("bench", new_id()), record, now=now)

    gc.collect()
    tracemalloc.start()
    store, count = MemoryStore(), 50_000
    before = tracemalloc.get_traced_memory()[0]
    asyncio.run(grow(store, count))
    gc.collect()
    used = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return {"payload": 120.0, "beyond the payload": used - 120.0}


def imports() -> dict[str, float]:
    """Return the milliseconds of CPU that an import takes over a bare interpreter; medians of 11 processes."""
    program = "import time; t = time.process_time(); {}; print((time.process_time() - t) * 1000)"
    statements = {
        "import limpet": "import limpet",
        "import limpet.asgi": "import limpet.asgi",
        "import starlette.middleware.sessions": "import starlette.middleware.sessions",
    }
    # The first process compiles, as an installer does; the others find what it compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def one(statement: str) -> float:
        command = [sys.executable, "-c", program.format(statement)]
        return float(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)

    return {name: statistics.median([one(line) for _ in range(12)][1:]) for name, line in statements.items()}
