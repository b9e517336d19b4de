"""What another process does to a store on this machine: ``python -m tests.faults.local_worker JOB URL ...``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

from limpet.stores import ABSENT, DONE, Record, open_store
from tests.stores.blocking import NOW, done, key, record


def state(number: int) -> Record | None:
    """Return what is stored after step ``number`` of `save`: mostly a record, of changing size, sometimes none."""
    if number < 0 or number % 10 == 9:
        return None
    return record(number, f"{number}:".encode() + b"x" * (number * 997 % 6000), subject=f"user-{number % 3}")


def step(store: Any, name: str, number: int) -> None:
    """Bring the store from the state before to that of step ``number``, in one write."""
    before, after = state(number - 1), state(number)
    if after is None:
        outcome = done(store.delete(name, number - 1))
    elif before is None:
        outcome = done(store.create(name, after, now=NOW))
    else:
        outcome = done(store.update(name, after, before.version, now=NOW))
    assert outcome is DONE, f"step {number} returned {outcome!r}"


def nursery(url: str) -> None:
    """Fork a process for each line of input that saves until it is killed, and say which saves it was told were done.

    The store is opened in the child, so nothing is inherited; forking only saves the time to start an interpreter.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            store = open_store(url)
            os.write(1, b"pid %d\n" % os.getpid())
            for number in range(1_000_000):
                step(store, key(int(line)), number)
                os.write(1, b"ack %d\n" % number)
        _, status = os.waitpid(child, 0)
        os.write(1, b"end %d\n" % os.waitstatus_to_exitcode(status))


def append(url: str, mark: str, count: str) -> None:
    """Add marks to one record, each by an update of the version that was read, trying again on every conflict."""
    store: Any = open_store(url)
    for number in range(int(count)):
        current = done(store.load(key(1)))
        while True:
            payload = current.payload + f"{mark}{number} ".encode()
            version = int.from_bytes(os.urandom(8), "big", signed=True)
            outcome = done(store.update(key(1), Record(version, payload, NOW, NOW), current.version, now=NOW))
            if outcome is DONE:
                break
            assert outcome is not ABSENT
            current = outcome
    done(store.close())


def hold_database(path: str, seconds: str) -> None:
    """Hold a database's exclusive lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    print("held", flush=True)
    time.sleep(float(seconds))
    connection.execute("ROLLBACK")
    connection.close()


def hold_file(path: str, seconds: str) -> None:
    """Hold a file's lock."""
    import fcntl

    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        print("held", flush=True)
        time.sleep(float(seconds))


def fork(url: str) -> None:
    """Fork four processes from one that uses its store from an event loop, and go on using it in all five."""
    store: Any = open_store(url)

    async def work(start: int) -> None:
        for number in range(start, start + 50):
            mark = f"{start}/{number}".encode()
            assert await store.create(key(number), record(1, mark), now=NOW) is DONE
            updates = (store.update(key(number), record(n, mark), 1, now=NOW) for n in (2, 3))
            assert sum([outcome is DONE for outcome in await asyncio.gather(*updates)]) == 1
            found = await store.load(key(number))
            assert found is not None
            assert found.payload == mark, f"{found.payload!r} in the place of {mark!r}"

    asyncio.run(work(0))
    children = []
    for number in range(1, 5):
        child = os.fork()
        if child == 0:
            asyncio.run(work(number * 1000))
            asyncio.run(store.close())
            sys.exit(0)
        children.append(child)
    asyncio.run(work(5000))
    failed = [child for child in children if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
    assert not failed, f"{len(failed)} of 4 children failed"
    page, _ = asyncio.run(store.scan(None, 1000))
    assert len(page) == 300, f"{len(page)} of 300 records are there"
    asyncio.run(store.close())


JOBS: dict[str, Callable[..., None]] = {
    "nursery": nursery,
    "append": append,
    "hold-database": hold_database,
    "hold-file": hold_file,
    "fork": fork,
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
