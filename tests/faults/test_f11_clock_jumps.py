"""F11: clocks jump, and differ between hosts. The manager's clock judges; what has ended stays ended."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from limpet import Session
from limpet.stores import open_store
from tests.faults.service import Service, add, read
from tests.races.counted import CountedSite

HOUR, DAY = 3600, 86_400
JUMPS = (-DAY, -HOUR, HOUR, DAY)


@pytest.mark.parametrize("jump", JUMPS)
async def test_f11_a_jump_is_no_error(service: Service, jump: int) -> None:
    """An hour or a day ahead or back: no 5xx; ahead is a logout where a deadline passed, back keeps the session."""
    site = await service.site()
    token = await site.session(n=0)
    site.clock.advance(jump)
    reply = await site.ask(add, token)
    assert reply.status == 200
    assert await site.read(reply.token or token) == {"n": 1}
    assert (reply.token is None) == (jump < DAY), "the idle timeout is a day: one ahead is a logout and a new session"
    site.clock.advance(-jump)
    assert (await site.ask(read, token)).status == 200


@pytest.mark.parametrize("jump", JUMPS)
async def test_f11_a_clock_set_back_revives_nothing(service: Service, jump: int) -> None:
    """A session that was ended, or whose deadline was noticed, is dead under every later clock."""
    site = await service.site(idle_timeout=HOUR, anonymous_timeout=HOUR)
    ended, expired = await site.session(n=0), await site.session(n=0)
    assert (await site.ask(Session.logout, ended)).token == ""
    site.clock.advance(HOUR + 120)
    assert (await site.ask(read, expired)).result == {}
    site.clock.advance(-HOUR - 120 + jump)
    assert (await site.ask(read, ended)).result == {}
    assert (await site.ask(read, expired)).result == {}, "its row was deleted when the deadline was met"


async def test_f11_the_absolute_deadline_does_not_move(tmp_path: Path) -> None:
    """However the clock jumps to and fro, a session ends at its own absolute deadline."""
    store: Any = open_store(f"sqlite:///{tmp_path / 'sessions.db'}")
    site = CountedSite(store, absolute_timeout=2 * DAY, idle_timeout=DAY)
    token = await site.session(n=0)
    began = site.clock.now
    for jump in (HOUR, -DAY, DAY, -HOUR, 12 * HOUR, -2 * HOUR, 20 * HOUR):
        site.clock.advance(jump)
        assert (await site.ask(add, token)).token is None
    site.clock.now = began + 2 * DAY * 1000 - 1
    assert (await site.ask(read, token)).result == {"n": 7}
    site.clock.now += 1
    assert (await site.ask(read, token)).result == {}
    await store.close()


async def test_f11_a_record_of_the_day_after_tomorrow(tmp_path: Path) -> None:
    """A record may be 25 hours from the future; beyond that nobody is let in with it, and it stays where it is."""
    store: Any = open_store(f"sqlite:///{tmp_path / 'sessions.db'}")
    site = CountedSite(store)
    token = await site.session(n=0)
    for back, found in ((25 * HOUR, {"n": 0}), (1, {}), (-1, {"n": 0})):
        site.clock.advance(-back)
        assert (await site.ask(read, token)).result == found
    await store.close()


async def test_f11_hosts_that_differ_by_a_minute(service: Service) -> None:
    """Two workers whose clocks are 60 s apart serve one session, and neither moves its deadlines back."""
    ahead, behind = await service.site(), await service.site()
    ahead.clock.advance(60)
    token = await ahead.session(n=0)
    for _ in range(3):
        for site in (behind, ahead):
            assert (await site.ask(add, token)).status == 200
            site.clock.advance(30)
    assert await behind.read(token) == {"n": 6}
    assert await ahead.read(token) == {"n": 6}
    assert (await behind.ask(Session.logout, token)).token == ""
    assert await ahead.read(token) is None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),  # Central Europe skips an hour
        datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC),  # and has one twice
        datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),  # seconds in 32 bits end
        datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC),  # and without a sign
    ],
    ids=str,
)
async def test_f11_moments_that_break_clocks(service: Service, moment: datetime) -> None:
    """Summer time, 2038 and 2106 pass like any other second."""
    site = await service.site()
    site.clock.now = int(moment.timestamp()) * 1000
    token = await site.session(n=0)
    site.clock.advance(2)
    assert (await site.ask(add, token)).status == 200
    site.clock.advance(HOUR)
    assert (await site.ask(read, token)).result == {"n": 1}
    site.clock.advance(DAY + 1)
    assert (await site.ask(read, token)).result == {}
