"""A request that is cancelled while its save is under way: the save is finished, and counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from limpet.contract import Outcome, Record
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite

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
