"""F10: a lock that another process holds is waited for within the budget, and then named."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from limpet.errors import StoreUnavailable
from limpet.stores import ABSENT, DONE, FileStore, SQLiteStore
from tests.faults.local import KINDS, running
from tests.faults.service import Service, add, answered, read, refused, session_key, timed
from tests.races.counted import CountedSite
from tests.stores.blocking import NOW, done, key, record


def store_and_lock(kind: str, folder: Path, budget: float) -> tuple[Any, list[str]]:
    """Return a store, and the job that locks its only record."""
    store: Any = None
    if kind == "sqlite":
        store = SQLiteStore(folder / "sessions.db", busy_timeout=budget)
        job = ["hold-database", store.path]
    else:
        store = FileStore(folder / "sessions", lock_timeout=budget)
        job = ["hold-file", str(folder / "sessions" / f"{key(1)}.json")]
    return store, job


@pytest.mark.parametrize("kind", KINDS)
async def test_f10_a_held_lock_is_named_in_time(kind: str, tmp_path: Path) -> None:
    """While another process holds the lock for good, writes fail after the budget, and reads go on."""
    store, job = store_and_lock(kind, tmp_path, 0.1)
    await store.create(key(1), record(1), now=NOW)
    with running(*job, "60") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for call in (
            lambda: store.update(key(1), record(2), 1, now=NOW),
            lambda: store.touch(key(1), NOW, NOW + 1, now=NOW),
            lambda: store.delete(key(1)),
            lambda: asyncio.gather(*(store.update(key(1), record(3), 1, now=NOW) for _ in range(20))),
        ):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"kept it locked for more than 0\.1 s") as raised:
                await call()
            assert "database is locked" not in str(raised.value)
            assert time.monotonic() - began < 1.5
            assert await store.load(key(1)) == record(1)
    assert await store.update(key(1), record(2), 1, now=NOW) in (DONE, record(3))
    await store.close()


async def test_f10_reading_needs_no_lock(tmp_path: Path) -> None:
    """While another program holds SQLite's write lock, sessions are loaded, counted and listed; the check says why."""
    store = SQLiteStore(tmp_path / "sessions.db", busy_timeout=5)
    await store.create(key(1), record(1), now=NOW)
    with running("hold-database", store.path, "60") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        async with asyncio.timeout(2):
            assert await store.load(key(1)) == record(1)
            assert await store.scan(None, 10) == ([(key(1), record(1))], None)
            assert await store.count() == 1
    await store.close()


async def test_f10_a_file_that_is_gone_is_not_looked_into(tmp_path: Path) -> None:
    """Where another file has taken the name, neither is looked into, and the error says so.

    The one that has gone may have sessions that others have ended meanwhile in the one that is there.
    """
    store = SQLiteStore(tmp_path / "sessions.db")
    await store.create(key(1), record(1), now=NOW)
    (tmp_path / "sessions.db").rename(tmp_path / "elsewhere.db")
    other = SQLiteStore(tmp_path / "sessions.db")
    await other.open()
    reads = (lambda: store.load(key(1)), lambda: store.load_many([key(1)]), lambda: store.find("ada"))
    for call in (store.count, lambda: store.scan(None, 10), store.check, *reads):
        with pytest.raises(StoreUnavailable, match="moved, deleted or replaced"):
            await call()
    await other.close()
    await store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_f10_a_short_lock_is_waited_for(kind: str, tmp_path: Path) -> None:
    """A lock that is let go within the budget only delays the write."""
    store, job = store_and_lock(kind, tmp_path, 20)
    done(store.create(key(1), record(1), now=NOW))
    with running(*job, "0.2") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert done(store.update(key(1), record(2), 1, now=NOW)) is DONE
        assert done(store.update(key(9), record(2), 1, now=NOW)) is ABSENT
    done(store.close())


@pytest.mark.parametrize("kind", KINDS)
async def test_f10_a_request_meets_a_lock(kind: str, tmp_path: Path) -> None:
    """A write that cannot have its lock is a 503 within the budget; reading goes on, and so does the session."""
    store: Any = SQLiteStore(tmp_path / "sessions.db") if kind == "sqlite" else FileStore(tmp_path / "sessions")
    site = CountedSite(store, store_timeout=0.3)
    token = await site.session(n=0)
    if kind == "sqlite":
        job = ["hold-database", store.path]
    else:
        job = ["hold-file", str(next((tmp_path / "sessions").glob("*.json")))]
    with running(*job, "60") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        seconds, reply = await timed(site, add, token)
        assert refused(reply)
        assert seconds < 0.3 + 0.25
        assert (await site.ask(read, token)).status == 200
    assert (await answered(lambda: site.ask(read, token))).status == 200
    await store.close()


@pytest.mark.parametrize("service", ["postgres"], indirect=True)
async def test_f10_a_row_that_somebody_locked(service: Service) -> None:
    """An administrator's transaction on the row is waited for within the budget; other sessions notice nothing."""
    site = await service.site(store_timeout=0.3)
    token, other = await site.session(n=0), await site.session(n=0)
    connection = await asyncpg.connect(service.server.url)
    async with connection.transaction():
        key = await session_key(site, token)
        await connection.execute(f"SELECT FROM {service.corner}.sessions WHERE key = $1 FOR UPDATE", bytes.fromhex(key))
        seconds, reply = await timed(site, add, token)
        assert refused(reply)
        assert seconds < 0.3 + 0.25
        assert (await site.ask(read, token)).status == 200
        assert (await site.ask(add, other)).status == 200
    await connection.close()
    assert (await answered(lambda: site.ask(add, token))).status == 200
