"""How the cost grows: with the size of a session, the number of keys, the number of live sessions; memory; imports."""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks.drive import Call, asgi_call, seeded
from holdfast import SessionManager
from holdfast._core.record import Record
from holdfast._core.tokens import new_id, new_version, store_key
from holdfast.asgi import SessionMiddleware
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SQLiteStore

__all__ = ["idle_memory", "imports", "live_sessions", "session_keys", "session_sizes"]


async def _cost(app: Any, rounds: int = 7, times: int = 60) -> float:
    """Return the microseconds of CPU of a request that reads and writes, the application included."""
    call: Call = asgi_call(app)
    cookie = await seeded(call)
    runs: list[float] = []
    for _ in range(rounds):
        start = time.process_time_ns()
        for _ in range(times):
            await call("/write", cookie)
        runs.append((time.process_time_ns() - start) / times / 1000)
    return statistics.median(runs)


def _filled(data: dict[str, Any], store: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        if scope["path"] == "/seed":
            session.update(data)
        else:
            session["n"] = session.get("n", 0) + 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return SessionMiddleware(app, SessionManager(store))


def session_sizes() -> dict[str, float]:
    """Return the cost by size, from 0.1 to 100 KB of nested values, in the memory store."""
    item = {"id": 1000, "name": "an article with a name", "tags": ["a", "b"], "price": 12.5}  # 50 bytes
    sizes = {"0.1 KB": 2, "1 KB": 18, "10 KB": 180, "30 KB": 540, "100 KB": 1800}
    return {
        name: asyncio.run(_cost(_filled({"items": [dict(item) for _ in range(count)]}, MemoryStore())))
        for name, count in sizes.items()
    }


def session_keys() -> dict[str, float]:
    """Return the cost by number of keys, in the memory store."""
    return {
        f"{count:,}": asyncio.run(_cost(_filled({f"key{i}": i for i in range(count)}, MemoryStore())))
        for count in (1, 10, 100, 1_000)
    }


async def _fill(store: Any, count: int) -> None:
    now = int(time.time() * 1000)
    for _ in range(count):
        record = Record(new_version(), b"M" + bytes(120), now, now + 86_400_000)
        await store.create(store_key("bench", new_id()), record, now=now)


async def _among(store: Any, count: int) -> float:
    await store.open()
    await _fill(store, count)
    cost = await _cost(_filled({"user": "ann"}, store))
    await store.close()
    return cost


def live_sessions(*, quick: bool) -> dict[str, dict[str, float]]:
    """Return the cost of a request among so many live sessions, by store."""
    table: dict[str, dict[str, float]] = {"memory": {}, "SQLite": {}}
    for count in (1_000, 100_000, 1_000_000) if not quick else (1_000, 100_000):
        table["memory"][f"{count:,}"] = asyncio.run(_among(MemoryStore(max_records=2_000_000), count))
    for count in (1_000, 10_000) if quick else (1_000, 100_000):
        path = Path(tempfile.mkdtemp(prefix="holdfast-bench-")) / "many.db"
        asyncio.run(_fill_sqlite(path, count))
        table["SQLite"][f"{count:,}"] = asyncio.run(_among(SQLiteStore(str(path)), 0))
    return table


async def _fill_sqlite(path: Path, count: int) -> None:
    """Write many records, 200 at a time: the store's writer puts what waits into one transaction."""
    store = SQLiteStore(str(path))
    await store.open()
    for _ in range(0, count, 200):
        await asyncio.gather(*(_fill(store, 1) for _ in range(200)))
    await store.close()


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
        "import holdfast": "import holdfast",
        "import holdfast.asgi": "import holdfast.asgi",
        "import starlette.middleware.sessions": "import starlette.middleware.sessions",
    }
    return {
        name: statistics.median(
            float(subprocess.run([sys.executable, "-c", program.format(line)], capture_output=True, check=True).stdout)
            for _ in range(11)
        )
        for name, line in statements.items()
    }
