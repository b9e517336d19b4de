"""Log messages come at a bounded rate, and what explains a lost write is among them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from limpet._bounded_log import BURST, WINDOW, BoundedLog
from limpet.contract import Outcome, Record
from limpet.errors import StoreUnavailable
from limpet.stores import MemoryStore
from tests.races.counted import CountedSite

NANO = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_a_burst_and_then_a_number(caplog: pytest.LogCaptureFixture) -> None:
    """Of a thousand messages in a window three are logged; the first of the next window says how many were not."""
    clock = Clock()
    log = BoundedLog(clock)
    for at in range(1000):
        clock.now = at * NANO // 200
        log.warning("outage", "the store failed: %s", at)
    log.warning("another", "something else")
    clock.now = 20 * NANO
    log.warning("outage", "the store failed: %s", "again")
    said = [record.getMessage() for record in caplog.records]
    assert (BURST, WINDOW) == (3, 10)
    assert said == [
        *(f"the store failed: {at}" for at in range(3)),
        "something else",
        "the store failed: again (997 more of this kind in the last 20 s were not logged)",
    ]
    clock.now = 31 * NANO
    log.warning("outage", "the store failed: %s", "once more")
    assert caplog.messages[-1] == "the store failed: once more"


def test_kinds_do_not_grow_without_end() -> None:
    """What is remembered of messages is bounded, whatever they are called."""
    log = BoundedLog(Clock())
    for at in range(5_000):
        log.warning(str(at), "message")
    assert len(log._windows) <= 1_000


class Failing(MemoryStore):
    """A store that fails whenever it is read."""

    failing = False

    async def load(self, key: str) -> Record | None:
        if self.failing:
            raise StoreUnavailable("nobody listens")
        return await super().load(key)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        await asyncio.sleep(0)
        return await super().update(key, record, expected, now=now)


async def test_an_outage_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Two hundred requests that fail leave three lines, and two hundred events."""
    store = Failing()
    site = CountedSite(store)
    token = await site.session(n=1)
    store.failing = True
    caplog.clear()
    with caplog.at_level(logging.INFO, "limpet"):
        replies = [await site.ask(lambda session: session.get("n"), token) for _ in range(200)]
    assert [reply.status for reply in replies] == [503] * 200
    assert len(caplog.records) == BURST
    assert "session store: load failed: nobody listens" in caplog.messages
    assert sum(type(event).__name__ == "StoreFailed" for event in site.heard) == 200


async def test_a_lost_write_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    """A write after a logout is a warning that names the session by its digits; no subject, no value."""
    site = CountedSite(MemoryStore())
    reply = await site.ask(lambda session: session.login("ada lovelace"))
    with caplog.at_level(logging.INFO, "limpet"):
        async with site.held(lambda session: session.update(secret="hunter2"), reply.token):
            await site.ask(lambda session: session.logout(), reply.token)
    (event,) = [event for event in site.heard if type(event).__name__ == "WriteAfterEnd"]
    assert caplog.messages == [
        f"session {event.tag}: a request wrote after another one had ended the session; nothing was stored"
    ]
    assert caplog.records[0].levelno == logging.WARNING


async def test_an_overwritten_value_is_information(caplog: pytest.LogCaptureFixture) -> None:
    """Which key two requests gave different values is logged for those who look, at a level below a warning."""
    site = CountedSite(MemoryStore())
    token = await site.session(colour="red")
    with caplog.at_level(logging.INFO, "limpet"):
        async with site.held(lambda session: session.update(colour="blue"), token):
            await site.ask(lambda session: session.update(colour="green"), token)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "colour" in record.getMessage()
    assert "blue" not in record.getMessage()
