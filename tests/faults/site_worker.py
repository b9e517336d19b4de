"""What another process does as an application: ``python -m tests.faults.site_worker JOB URL ...``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from limpet.stores import Store, open_store
from tests.faults.service import add, read
from tests.races.counted import CountedSite


def site_of(url: str) -> CountedSite:
    store = open_store(url)
    assert isinstance(store, Store)
    return CountedSite(store, merge_attempts=10_000, merge_timeout=60, store_timeout=30)


def nursery(url: str, token: str) -> None:
    """Fork a process for each line of input that counts until it is killed, and tell which requests were a 200.

    The store is opened in the child, so nothing is inherited; forking only saves the time to start an interpreter.
    """

    async def count() -> None:
        site = site_of(url)
        while True:
            reply = await site.ask(add, token)
            assert reply.status == 200, reply
            os.write(1, b"ack\n")

    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.write(1, b"pid %d\n" % os.getpid())
            asyncio.run(count())
        _, status = os.waitpid(child, 0)
        os.write(1, b"end %d\n" % os.waitstatus_to_exitcode(status))


def count(url: str, token: str, times: str) -> None:
    """Count so often in one session."""

    async def run() -> None:
        site = site_of(url)
        for _ in range(int(times)):
            assert (await site.ask(add, token)).status == 200
        await site.manager.shutdown()

    asyncio.run(run())


def fork(url: str) -> None:
    """Serve requests, fork four processes that go on serving with what they inherited, and go on as well."""
    site = site_of(url)

    async def serve(start: int, rounds: int) -> dict[str, int]:
        mine: dict[str, int] = {}
        for mark in range(start, start + rounds):
            mine[await site.session(mark=mark)] = mark
            replies = await asyncio.gather(*(site.ask(read, token) for token in mine))
            assert [reply.result for reply in replies] == [{"mark": mark} for mark in mine.values()]
        return mine

    before = asyncio.run(serve(0, 5))
    children = []
    for number in range(1, 5):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            asyncio.run(serve(number * 1000, 8))
            asyncio.run(site.manager.shutdown())
            sys.exit(0)
        children.append(child)
    asyncio.run(serve(5000, 8))
    failed = [child for child in children if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
    assert not failed, f"{len(failed)} of 4 children failed"

    async def again() -> None:
        for token, mark in before.items():
            assert await site.read(token) == {"mark": mark}
        await site.manager.shutdown()

    asyncio.run(again())


JOBS: dict[str, Callable[..., None]] = {"nursery": nursery, "count": count, "fork": fork}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
