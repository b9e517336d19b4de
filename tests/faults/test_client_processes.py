"""F22 and F23: one store object in several event loops, threads and forked processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import redis.asyncio as client_library

import limpet.errors
from limpet.contract import DONE, Store
from limpet.errors import ConfigurationError
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.faults.records import NOW, a_key, a_record

ROOT = Path(__file__).parents[2]
SOURCE = Path(limpet.errors.__file__).parents[1]
Kind = Literal["redis", "postgres"]


@pytest.fixture(params=["redis", "postgres"])
def make(request: pytest.FixtureRequest) -> Callable[[], Store]:
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
        return lambda: RedisStore(url, prefix=prefix)
    url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    return lambda: PostgresStore(url, schema=schema)


async def write_and_read(store: Store, count: int = 20) -> dict[str, bytes]:
    made = {(key := a_key()): key.encode() for _ in range(count)}
    outcomes = await asyncio.gather(*(store.create(key, a_record(mark), now=NOW) for key, mark in made.items()))
    assert outcomes == [DONE] * count
    found = await asyncio.gather(*(store.load(key) for key in made))
    assert [record.payload for record in found if record] == list(made.values())
    return made


def test_f23_loop_after_loop(make: Callable[[], Store]) -> None:
    """F23: a loop ends without a word to the store, the next one uses it: it works, and nothing is left behind."""
    store = make()
    made = asyncio.run(write_and_read(store))

    async def again() -> None:
        found = await asyncio.gather(*(store.load(key) for key in made))
        assert [record.payload for record in found if record] == list(made.values())

    asyncio.run(again())
    assert not store._clients._of_loops._kept  # type: ignore[attr-defined]


def test_f23_loops_at_once(make: Callable[[], Store]) -> None:
    """F23: four threads with a loop each use one store at the same time."""
    store = make()
    done: list[int] = []

    def work() -> None:
        done.extend(len(asyncio.run(write_and_read(store))) for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [20] * 12


def test_f23_own_client_in_a_second_loop(redis_url: str, redis_prefix: str) -> None:
    """F23: a client that was given belongs to one loop; in another one the error says so."""
    client = client_library.Redis.from_url(redis_url)
    store = RedisStore(client=client, prefix=redis_prefix)

    async def first() -> None:
        await store.load(a_key())
        await client.aclose()

    asyncio.run(first())
    with pytest.raises(ConfigurationError, match="give a URL"):
        asyncio.run(store.load(a_key()))


_FORKING = """
import asyncio, os, sys, traceback
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.faults.test_client_processes import write_and_read

kind, url, place, inside = sys.argv[1:]
store = RedisStore(url, prefix=place) if kind == "redis" else PostgresStore(url, schema=place)

async def many():
    for _ in range(5):
        await write_and_read(store, 50)

def child():
    try:
        asyncio.run(many())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

async def main():
    made = await write_and_read(store)
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            # The running loop is the parent's: leave it alone and run one of our own, as a preloaded worker does.
            asyncio._set_running_loop(None)
            child()
        children.append(pid)
    await many()
    for pid in children:
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert status == 0, status
    found = await asyncio.gather(*(store.load(key) for key in made))
    assert [record.payload for record in found] == list(made.values())
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_f22_fork(kind: Kind, request: pytest.FixtureRequest) -> None:
    """F22: four children of a process with open connections, and the process itself: each reads only its own."""
    names = {"redis": ("redis_url", "redis_prefix"), "postgres": ("postgres_url", "postgres_schema")}[kind]
    url, place = (request.getfixturevalue(name) for name in names)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _FORKING, kind, url, place, "x"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{SOURCE}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
