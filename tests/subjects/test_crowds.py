"""Crowds: very many sessions of one subject, with one tag, or in one store. Work goes by the page, side by side."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from limpet._wire.record import Contents, pack
from limpet.contract import Outcome, Record
from limpet.errors import StoreUnavailable
from limpet.runtime import AsyncioRuntime
from limpet.stores import MemoryStore, open_store
from limpet.testing import FakeClock
from tests.counts import count
from tests.races.conftest import STORES
from tests.site import Site
from tests.turns import turns_of_others

CROWD = count(3_000, 200_000)


class Slow(MemoryStore):
    """A store whose deletes take a round trip, and which counts how many are under way."""

    immediate: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.now = Counter[str]()
        self.most = 0

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self.now["delete"] += 1
        self.most = max(self.most, self.now["delete"])
        await asyncio.sleep(0.01)
        self.now["delete"] -= 1
        return await super().delete(key, version)


async def fill(store: Any, clock: Callable[[], int], number: int, subject: str | None = "crowd") -> None:
    """Put sessions into a store, as many logins have left them."""
    now = clock()
    serializer = SessionManager("memory:", dev=False).engine.serializer
    payload = pack(Contents(now), serializer)
    for at in range(0, number, 500):
        records = [
            (secrets.token_hex(32), Record(secrets.randbits(60), payload, now, now + 10**9, subject))
            for _ in range(min(500, number - at))
        ]
        await asyncio.gather(*(store.create(key, record, now=now) for key, record in records))


async def test_ends_go_side_by_side() -> None:
    """Six hundred sessions whose deletion takes ten milliseconds each are ended in tenths of a second."""
    clock, store = FakeClock(), Slow()
    manager = SessionManager(store, clock=clock, dev=False)
    manager.use_running_loop()
    await fill(store, clock, 600)
    began = time.monotonic()
    assert await manager.revoke_all("crowd") == 600
    assert time.monotonic() - began < 3, "one after the other it would be six seconds"
    assert 30 < store.most <= 64
    await fill(store, clock, 600, None)
    assert await manager.revoke_everyone() == 600


async def test_together_finishes_before_it_fails() -> None:
    """An error is raised when nothing is under way any more, and what was not begun is not begun."""
    begun: list[int] = []
    done: list[int] = []

    async def step(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise StoreUnavailable("three")
        await asyncio.sleep(0.02)
        done.append(number)
        return number

    steps = [lambda number=number: step(number) for number in range(10)]
    with pytest.raises(StoreUnavailable, match="three"):
        await AsyncioRuntime().together(steps)
    assert sorted(done) == [number for number in range(10) if number != 3]
    assert await AsyncioRuntime().together(steps[4:]) == [4, 5, 6, 7, 8, 9]


@pytest.fixture
async def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionManager]:
    """Return a manager over a store of the kind that the test names, on a loop and by the clock of servers."""
    local = {"sqlite": f"sqlite:///{tmp_path}/s.db", "file": f"file:{tmp_path}/s"}  # as durable as elsewhere
    kind: str = request.param
    store: Any = open_store(local[kind]) if kind in local else STORES[kind](request)
    manager = SessionManager(store, dev=False)
    manager.use_running_loop()
    await manager.startup()
    yield manager
    await manager.shutdown()


@pytest.mark.parametrize("crowded", ["sqlite", "file", "redis", "postgres"], indirect=True)
async def test_a_subject_with_a_crowd_of_sessions(crowded: SessionManager, request: pytest.FixtureRequest) -> None:
    """Listed and ended page by page: the event loop never stands still for long, and no call takes over its limit."""
    manager, kind = crowded, request.node.callspec.params["crowded"]
    clock, number = manager.engine.clock, CROWD // 10 if kind == "file" else CROWD
    await fill(manager.kept, clock, number)
    longest, collecting, going = [0.0], [0.0], True

    def note(phase: str, _: dict[str, int]) -> None:
        """Count the collector's own time: it grows with all that this process holds, and ends in a `stop`."""
        collecting[0] += time.thread_time() * (1 if phase == "stop" else -1)

    async def watch() -> None:
        while going:
            before = time.thread_time() - collecting[0]  # of this thread alone: others may keep the machine busy
            await asyncio.sleep(0.005)
            longest[0] = max(longest[0], time.thread_time() - collecting[0] - before)

    gc.callbacks.append(note)
    watching = asyncio.create_task(watch())
    try:
        found = await manager.sessions_of("crowd")
        assert len(found) == number
        while found:  # freeing so long a list at once takes a moment too, which is its owner's
            del found[-500:]
            await asyncio.sleep(0)
        assert await manager.revoke_all("crowd") == number
    finally:
        going = False
        await watching
        gc.callbacks.remove(note)
    assert await manager.sessions_of("crowd") == []
    print(f"{kind}: {number:,} sessions, at most {longest[0]:.3f} s of one thing after another")
    assert longest[0] < 0.6, f"the event loop stood still for {longest[0]:.2f} s"


async def test_a_long_list_is_made_in_steps() -> None:
    """While the sessions of a crowd are listed, other tasks run after each five hundred of them, to the end."""
    clock, number = FakeClock(), 4_000
    manager = SessionManager(MemoryStore(), clock=clock, dev=False)
    manager.use_running_loop()
    await fill(manager.kept, clock, number)
    async with turns_of_others() as turns:
        assert len(await manager.sessions_of("crowd")) == number
    assert turns[0] >= 2 * number // 500 - 2, "as often for the pages of the store as for what is made of them"


async def test_a_tag_for_each_login_leaves_nothing(tmp_path: Path) -> None:
    """Two simulated weeks in which people log in under a tag of their own and log out: the store does not grow."""
    clock, store = FakeClock(), MemoryStore()
    site = Site(SessionManager(store, clock=clock, dev=False))
    sizes = []
    for _ in range(14):
        for _ in range(30):
            sid = secrets.token_hex(4)
            cookie = await site.login(f"user {sid}", tags={"oidc_sid": sid})
            await site.run(lambda session: session.logout(), cookie)
        clock.advance(24 * 3600)
        await site.manager.sweep()
        sizes.append(await store.count())
    assert max(sizes) <= 5, f"records at the end of each day: {sizes}"


@pytest.mark.parametrize("crowded", ["redis", "postgres"], indirect=True)
async def test_a_tag_that_many_share_on_a_server(crowded: SessionManager) -> None:
    """The tag ends all of them, however many pages they take, and nobody else."""
    number, site = count(260, 100_000), Site(crowded)  # of which 200 are listed by name
    cookies: list[str] = []
    for at in range(0, number, 20):
        logins = (site.login(f"user {each}", tags={"org": "acme"}) for each in range(at, at + 20))
        cookies += await asyncio.gather(*logins)
    stranger = await site.login("stranger")
    assert await crowded.revoke(tag=("org", "acme")) == number
    for cookie in (cookies[0], cookies[number // 2], cookies[-1]):
        assert await site.whose(cookie) is None
    assert await site.whose(stranger) == "stranger"


async def test_a_tag_that_many_share(tmp_path: Path) -> None:
    """A tag of a whole company: a login costs no more for the last than for the first, and the tag ends them all."""
    number = count(1_500, 100_000)
    clock, store = FakeClock(), MemoryStore(max_records=3 * number)
    site = Site(SessionManager(store, clock=clock, dev=False))
    largest = 0
    cookies = [await site.login(f"user {at}", tags={"org": "acme"}) for at in range(number)]
    for record in store._records.values():
        largest = max(largest, len(record.payload))
    assert largest < 8_000, f"a record has {largest:,} bytes"
    stranger = await site.login("stranger")
    assert await site.manager.revoke(tag=("org", "acme")) == number
    for cookie in (cookies[0], cookies[-1]):
        assert await site.whose(cookie) is None
    assert await site.whose(stranger) == "stranger"
