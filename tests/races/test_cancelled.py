"""A request that is cancelled: a save that is under way is finished and counts once, and its locks are free."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from anyio import move_on_after

from limpet import Session, StoreUnavailable
from limpet.contract import Outcome, Record
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite
from tests.site import Site

SOON, LATE = 0.02, 0.1


class Late(MemoryStore):
    """A store beyond a network: what it was asked is done at once, and the reply takes its time."""

    immediate = None  # type: ignore[assignment]
    late = False
    before: Callable[[], Any] | None = None

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        before, self.before = self.before, None
        if before is not None:
            await before()
        outcome = await super().update(key, record, expected, now=now)
        if self.late:
            await asyncio.sleep(LATE)
        return outcome


def buy(session: Session) -> None:
    """Change one value by its content and one by counting."""
    session["cart"].append("milk")
    session.increment("n")


def put_in_cart(session: Session) -> None:
    """Change one value only: the usual save."""
    session["cart"].append("milk")


@pytest.fixture
def late() -> Late:
    """The store."""
    return Late()


@pytest.mark.parametrize("change", [buy, put_in_cart])
async def test_a_save_that_a_handler_gave_up_counts_once(late: Late, change: Callable[[Session], None]) -> None:
    """A handler bounds its own save by a time limit, and the response saves again: what had landed is recognised."""
    site = CountedSite(late)
    token = await site.session(cart=["tea"], n=0)
    late.late = True

    async def handler(session: Session) -> None:
        change(session)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await session.save()

    await site.ask(handler, token)
    assert await site.read(token) == {"cart": ["tea", "milk"], "n": 1 if change is buy else 0}


async def test_a_save_that_was_given_up_and_overtaken_is_an_error(late: Late) -> None:
    """Whether it had landed cannot be told once another request has written: it is neither lost nor counted twice."""
    site = CountedSite(late)
    other = CountedSite(late, clock=site.clock)
    token = await site.session(cart=["tea"], n=0)

    async def handler(session: Session) -> None:
        buy(session)
        late.late = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await session.save()
        late.late = False
        await other.ask(lambda session: session.increment("n"), token)

    assert (await site.ask(handler, token)).status == 503
    assert await site.read(token) == {"cart": ["tea", "milk"], "n": 2}


@pytest.mark.parametrize("change", [buy, put_in_cart])
async def test_a_limit_inside_the_middleware_counts_once(late: Late, change: Callable[[Session], None]) -> None:
    """A time limit of the application ends the response while it is being saved, and sends another one."""
    site = CountedSite(late)
    token = await site.session(cart=["tea"], n=0)
    late.late = True
    inner = site.app.app

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(SOON):
                await inner(scope, receive, send)
        except TimeoutError:
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    site.app.app = limited
    reply = await site.ask(change, token)
    assert reply.status == 202
    site.app.app = inner
    await asyncio.sleep(2 * LATE)
    assert await site.read(token) == {"cart": ["tea", "milk"], "n": 1 if change is buy else 0}


async def test_a_save_that_waits_for_its_turn_is_finished(late: Late) -> None:
    """Two requests save; the second is cancelled while the first has the turn: both count."""
    site = CountedSite(late)
    token = await site.session()
    late.late = True
    first = asyncio.ensure_future(site.ask(lambda session: session.update(a=1), token))
    second = asyncio.ensure_future(site.ask(lambda session: session.update(b=1), token))
    await asyncio.sleep(SOON)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.sleep(3 * LATE)
    assert await site.read(token) == {"begun": True, "a": 1, "b": 1}


async def test_a_save_that_meets_another_one_is_finished(late: Late) -> None:
    """Another process was first, and the request is cancelled before the reply says so: both count."""
    site = CountedSite(late)
    other = CountedSite(late, clock=site.clock)
    token = await site.session()
    late.before = lambda: other.ask(lambda session: session.update(a=1), token)
    late.late = True
    request = asyncio.ensure_future(site.ask(lambda session: session.update(b=1), token))
    await asyncio.sleep(LATE + SOON)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await asyncio.sleep(3 * LATE)
    assert await site.read(token) == {"begun": True, "a": 1, "b": 1}


class Slow(MemoryStore):
    """A store beyond a network, for locks: what is asked arrives late, or its reply does."""

    immediate = None  # type: ignore[assignment]
    arrives = replies = 0.0

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        await asyncio.sleep(self.arrives)
        outcome = await super().create(key, record, now=now)
        await asyncio.sleep(self.replies)
        return outcome

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        await asyncio.sleep(self.arrives)
        outcome = await super().delete(key, version)
        await asyncio.sleep(self.replies)
        return outcome


async def is_free(store: Slow) -> None:
    """Take the lock in another process, with less patience than it would take to see that a holder has died."""
    store.arrives = store.replies = 0
    async with Site(store).manager.exclusive("report", wait=2 * LATE + 1):
        pass


@pytest.mark.parametrize("late", ["arrives", "replies"])
@pytest.mark.parametrize("moment", ["taken", "given back"])
@pytest.mark.parametrize("by", [asyncio.timeout, move_on_after])
async def test_a_lock_that_a_handler_gave_up_is_free(by: Callable[[float], Any], moment: str, late: str) -> None:
    """A time limit ends a handler while it takes a lock, or gives it back: no process has to wait for its life.

    That of anyio, as Starlette has it around streams, ends whatever is awaited within it from then on.
    """
    store = Slow()
    site = Site(store)
    if moment == "taken":
        setattr(store, late, LATE)
    with suppress(TimeoutError):
        async with as_asynchronous(by(SOON)), site.manager.exclusive("report"):
            setattr(store, late, LATE)
            if moment == "given back" and by is move_on_after:
                await asyncio.sleep(1)
    await is_free(store)


async def test_a_lock_whose_taking_timed_out_is_free() -> None:
    """The store has the lock, and did not say so in time: nobody holds it."""
    store = Slow()
    store.replies = LATE
    site = Site(store, store_timeout=SOON)
    with pytest.raises(StoreUnavailable):
        async with site.manager.exclusive("report"):
            raise AssertionError("the lock is held although the store did not say so")
    await is_free(store)


@pytest.mark.parametrize("late", ["arrives", "replies"])
@pytest.mark.parametrize("moment", ["taken", "given back"])
def test_a_program_that_ends_gives_its_locks_back(moment: str, late: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its event loop is closed while a handler takes a lock, or gives it back: no task is left behind, nor the lock."""
    store = Slow()

    async def program() -> None:
        site = Site(store)
        if moment == "taken":
            setattr(store, late, LATE)
        asking = asyncio.create_task(handler(site))
        await asyncio.sleep(SOON)
        assert not asking.done()

    async def handler(site: Site) -> None:
        async with site.manager.exclusive("report"):
            setattr(store, late, LATE)

    asyncio.run(program())
    gc.collect()  # asyncio tells of a task that nobody ended when it is collected
    assert not caplog.records
    asyncio.run(is_free(store))


class Unreachable(MemoryStore):
    """A store that does what it is asked and whose connection fails before it can say so."""

    fails = False

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        outcome = await super().create(key, record, now=now)
        if self.fails:
            raise StoreUnavailable("the connection was closed")
        return outcome


def test_a_lock_whose_taking_failed_is_free_for_threads() -> None:
    """The same in a program without an event loop."""
    store = Unreachable()
    site = Site(store)
    store.fails = True
    with pytest.raises(StoreUnavailable), site.manager.blocking.exclusive("report"):
        raise AssertionError("the lock is held although the store did not say so")
    store.fails = False
    with Site(store).manager.blocking.exclusive("report", wait=0.1):
        pass


@asynccontextmanager
async def as_asynchronous(limit: Any) -> AsyncIterator[None]:
    """Enter a time limit, of asyncio or of anyio, by the same word."""
    if hasattr(limit, "__aenter__"):
        async with limit:
            yield
    else:
        with limit:
            yield
