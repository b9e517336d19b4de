"""Several tasks of one request on one session, and a request that is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import coroutine

import pytest

from limpet import Session, SessionManager, StoreUnavailable
from limpet.contract import Outcome, Record
from limpet.stores.memory import MemoryStore
from limpet.testing.machine import FailingStore
from tests.races.counted import CountedSite


def write(session: Session) -> None:
    session["x"] = session.get("x", 0) + 1


class Slow(FailingStore):
    """A store whose updates wait for a test to let them go on."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.entered, self.let_go = asyncio.Event(), asyncio.Event()
        self.let_go.set()
        self.failing = 0

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self.entered.set()
        await self.let_go.wait()
        if self.failing:
            self.failing -= 1
            raise StoreUnavailable("down")
        return await super().update(key, record, expected, now=now)


@pytest.mark.parametrize("late", ["write", "logout"])
async def test_what_is_noted_during_a_save_is_not_forgotten(late: str) -> None:
    """Another task of the request writes, or logs out, while a save waits for the store: the next commit does it."""
    store = Slow()
    site = CountedSite(store)
    token = await site.session(x=0)

    async def handler(session: Session) -> None:
        store.let_go.clear()
        store.entered.clear()
        session["early"] = 1
        saving = asyncio.create_task(session.save())
        await store.entered.wait()
        if late == "write":
            session["late"] = 1
        else:
            session.logout()
        store.let_go.set()
        await saving

    reply = await site.ask(handler, token)
    expected = {"x": 0, "early": 1, "late": 1} if late == "write" else None
    assert (reply.token, await site.read(token)) == (None if late == "write" else "", expected)


async def test_two_saves_at_once_in_one_request() -> None:
    """Two tasks of one request that save at once make one record, and nothing of either is lost."""
    site = CountedSite(FailingStore(MemoryStore()))

    async def handler(session: Session) -> None:
        async def part(key: str) -> None:
            session[key] = session.increment("n")
            await session.save()

        await asyncio.gather(part("a"), part("b"))

    reply = await site.ask(handler)
    assert await site.read(reply.token) == {"a": 1, "b": 2, "n": 2}
    assert len(await site.rows()) == 1


async def test_two_loads_at_once_in_one_request() -> None:
    """The slower of two loads does not overwrite what was written after the faster."""
    site = CountedSite(FailingStore(MemoryStore()), lazy=True)
    token = await site.session()

    async def handler(session: Session) -> None:
        await asyncio.gather(session.load(), session.load())
        session["x"] = 1

    await site.ask(handler, token)
    assert await site.read(token) == {"begun": True, "x": 1}


async def test_f18_a_cancelled_request_finishes_its_save() -> None:
    """A request that is cancelled during its save: the save goes on to its end, whole."""
    store = Slow()
    site = CountedSite(store)
    token = await site.session(x=0)
    store.let_go.clear()
    request = asyncio.create_task(site.ask(write, token))
    await store.entered.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await site.read(token) == {"x": 0}
    store.let_go.set()
    async with asyncio.timeout(5):
        while await site.read(token) != {"x": 1}:
            await asyncio.sleep(0)


async def test_a_save_beside_one_that_fails_is_not_taken_for_done() -> None:
    """Two tasks save the same write: the store fails under the first, and the second returns when it is stored."""
    store = Slow()
    site = CountedSite(store)
    token = await site.session(x=0)

    async def handler(session: Session) -> None:
        session["x"] = 1
        store.let_go.clear()
        store.entered.clear()
        first = asyncio.create_task(session.save())
        await store.entered.wait()
        second = asyncio.create_task(session.save())
        await asyncio.sleep(0)
        assert not second.done()
        store.failing = 2  # both attempts of the first
        store.let_go.set()
        with pytest.raises(StoreUnavailable):
            await first
        await second
        assert await site.read(token) == {"x": 1}

    await site.ask(handler, token)


async def test_a_save_that_is_cancelled_while_it_waits_holds_up_no_other() -> None:
    """Of three tasks that save, the one in the middle is cancelled: the last one has its turn."""
    store = Slow()
    site = CountedSite(store)
    token = await site.session(x=0)

    async def handler(session: Session) -> None:
        session["x"] = 1
        store.let_go.clear()
        store.entered.clear()
        saves = [asyncio.create_task(session.save())]
        await store.entered.wait()
        session["x"] = 2
        saves += [asyncio.create_task(session.save()) for _ in range(2)]
        await asyncio.sleep(0)
        saves[1].cancel()
        await asyncio.sleep(0)
        store.let_go.set()
        done, waiting = await asyncio.wait(saves, timeout=5)
        assert (len(done), waiting) == (3, set())
        assert await site.read(token) == {"x": 2}

    await site.ask(handler, token)


def test_two_saves_at_once_without_an_event_loop() -> None:
    """Two coroutines that a program drives by hand: the second gives way until the first has saved, and then saves."""
    manager = SessionManager(Waits())
    session = manager.begin([])
    session["x"] = 1
    saves = [session.save(), session.save()]
    turns = 0
    while saves:
        turns += 1
        assert turns < 100, "the second still waits"
        for save in list(saves):
            try:
                save.send(None)
            except StopIteration:
                saves.remove(save)
    assert session.public_id is not None
    assert session["x"] == 1


class Waits(MemoryStore):
    """A store whose records take a few turns to be there."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        for _ in range(3):
            await pause()
        return await super().create(key, record, now=now)


@coroutine
def pause() -> Generator[None, None, None]:
    """Give way once to whoever drives the coroutine."""
    yield
