"""S33: a login of a cookie session that is under way while all sessions of its subject are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from limpet import Session, SessionManager
from limpet.testing import FakeClock
from tests.site import Site

SECRET = "kJ2mX9vQ4tR7wZ1nB6cY3fH8sD5gL0pA"
RACES = [100, pytest.param(1_000, marks=pytest.mark.long)]


class Workers:
    """Two processes of one application, as far as they share no memory."""

    def __init__(self, folder: Path) -> None:
        self.url = f"cookie:?revocation=epoch&store=sqlite:///{folder}/ended.db"
        self.clock = FakeClock()
        self.one, self.other = self.start(), self.start()

    def start(self) -> Site:
        return Site(SessionManager(self.url, secret=SECRET, dev=False, clock=self.clock))


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    """Two workers, closed afterwards."""
    workers = Workers(tmp_path)
    yield workers
    for site in (workers.one, workers.other):
        await site.manager.shutdown()


def cookie_of(site: Site, session: Session) -> str:
    """Return the cookie that a response carries, empty if none."""
    header = site.manager.header(session)
    return "" if header is None else header[1].decode().split(";")[0].partition("=")[2]


@pytest.mark.parametrize("by", ["one", "other"], ids=["same-process", "another-process"])
async def test_s33_a_login_under_way_does_not_survive(workers: Workers, by: str) -> None:
    """It was noted before all sessions of the subject were ended, and saved after: nobody's. One after it lives."""
    site = workers.one
    session = site.begin()
    session.login("ann")
    workers.clock.advance(1)
    await getattr(workers, by).manager.revoke_all("ann")
    workers.clock.advance(1)
    await site.manager.commit(session)
    assert await site.whose(cookie_of(site, session)) is None
    assert await workers.other.whose(await site.login("ann")) == "ann"


async def test_s33_logout_and_login_in_one_request(workers: Workers) -> None:
    """The mark of that logout does not end the login that follows it; one of somebody else in between does."""
    site = workers.one
    cookie = await site.login("ann")
    workers.clock.advance(1)

    def again(session: Session) -> None:
        session.logout()
        session.login("ann")

    cookie = await site.run(again, cookie) or ""
    assert await workers.other.whose(cookie) == "ann"
    session = site.begin(cookie)
    await site.manager.load(session)
    again(session)
    workers.clock.advance(1)
    await workers.other.manager.revoke_all("ann")
    workers.clock.advance(1)
    await site.manager.commit(session)
    assert await site.whose(cookie_of(site, session)) is None


@pytest.mark.parametrize("races", RACES)
async def test_s33_races(workers: Workers, races: int) -> None:
    """However a login and the end of all sessions interleave, what was noted before it is dead after it."""
    random, survivors = Random(12), 0
    for race in range(races):
        site = workers.one

        async def login(subject: str, site: Site = site) -> str:
            session = site.begin()
            session.login(subject)
            await asyncio.sleep(random.random() * 0.003)
            await site.manager.commit(session)
            return cookie_of(site, session)

        under_way = asyncio.create_task(login(f"user{race}"))
        await asyncio.sleep(random.random() * 0.003)
        await (workers.one if race % 2 else workers.other).manager.revoke_all(f"user{race}")
        survivors += await site.whose(await under_way) is not None
    assert survivors == 0
