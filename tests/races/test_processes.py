"""Four processes at once on one durable store."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path
from urllib.parse import quote

import pytest

from limpet import Session
from tests.races.counted import CountedSite

PROCESSES = 4
UPDATES = 250


def _work(url: str, token: str, worker: int) -> None:
    """Write from a process of its own: a key, an item and an increment with each of its requests."""
    from limpet.stores import open_store

    def handler(number: int) -> object:
        def write(session: Session) -> None:
            session[f"key{worker}.{number}"] = number
            session["log"].append(f"{worker}.{number}")
            session.increment("n")

        return write

    async def run() -> None:
        store = open_store(url)
        site = CountedSite(store, merge_attempts=10_000, merge_timeout=60, store_timeout=30)
        for number in range(UPDATES):
            reply = await site.ask(handler(number), token)  # type: ignore[arg-type]
            assert reply.status == 200, reply
        await site.manager.shutdown()

    asyncio.run(run())


async def everything_counts(url: str) -> None:
    """Run the processes; assert that all their writes are there."""
    from limpet.stores import open_store

    site = CountedSite(open_store(url))
    token = await site.session(n=0, log=[])
    await site.manager.shutdown()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_work, args=(url, token, worker)) for worker in range(PROCESSES)]
    for process in workers:
        process.start()
    for process in workers:
        await asyncio.to_thread(process.join)
    assert [process.exitcode for process in workers] == [0] * PROCESSES
    data = await site.read(token)
    assert data is not None
    written = {f"{worker}.{number}" for worker in range(PROCESSES) for number in range(UPDATES)}
    assert data["n"] == len(data["log"]) == len(written)
    assert set(data["log"]) == written
    assert {key for key in data if key.startswith("key")} == {f"key{name}" for name in written}
    await site.manager.shutdown()


@pytest.mark.timeout(300)
async def test_f09_four_processes_on_sqlite(tmp_path: Path) -> None:
    """Four processes with 250 requests each on one session in one file: 1,000 keys, 1,000 items, a count of 1,000."""
    await everything_counts(f"sqlite:///{tmp_path / 'sessions.db'}?synchronous=OFF")


@pytest.mark.timeout(300)
async def test_f09_four_processes_on_files(tmp_path: Path) -> None:
    """The same on one file for each session."""
    await everything_counts(f"file:{tmp_path / 'sessions'}?durable=false")


@pytest.mark.timeout(300)
async def test_f09_four_processes_on_redis(redis_url: str, redis_prefix: str) -> None:
    """The same on Redis or Valkey."""
    await everything_counts(f"{redis_url}?prefix={redis_prefix}")


@pytest.mark.timeout(300)
async def test_f09_four_processes_on_postgresql(postgres_url: str, postgres_schema: str) -> None:
    """The same on PostgreSQL."""
    await everything_counts(f"{postgres_url}?schema={quote(postgres_schema)}")
