"""Locks, sessions opened by workers, messages, fresh logins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet import LimpetError, Session, SessionBusy, SessionClosed, SessionEnded, SessionManager
from limpet._core import locks
from limpet._wire import marks
from limpet.runtime import AsyncioRuntime
from limpet.stores import CookieStore, MemoryStore
from limpet.testing import FailingStore
from tests.site import STORES, Site, opened, steps


@pytest.fixture(params=STORES)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site over each store."""
    async with opened(request.param, tmp_path) as site:
        yield site


async def test_a_lock_is_held_by_one(site: Site) -> None:
    """Of twenty that want one lock each has it alone, by two managers as two processes would."""
    other = Site(type(site.manager)(site.manager.store, dev=False, clock=site.manager.clock))
    inside = most = 0

    async def work(manager: Site) -> None:
        nonlocal inside, most
        async with manager.manager.exclusive("report", wait=30):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work(site if number % 2 else other) for number in range(20)))
    assert most == 1


async def test_other_names_do_not_wait(site: Site) -> None:
    """Two names are two locks."""
    held = []
    async with site.manager.exclusive("a"):
        held.append("a")
        async with site.manager.exclusive("b", wait=0):
            held.append("b")
    assert held == ["a", "b"]


async def test_waiting_ends(site: Site) -> None:
    """Who waited in vain is told so, with the name and the time."""
    key = marks.mark_key("lock", "name", "report")
    assert await locks.acquire(site.manager.engine, key, 30, 0) is not None
    with pytest.raises(SessionBusy, match=r"'report' was held by others for 0\.02 s"):
        async with site.manager.exclusive("report", wait=0.02):
            pass


async def test_a_lock_of_the_dead_is_taken_over(site: Site) -> None:
    """A lock whose owner died can be taken after its life, and of several exactly one takes it over.

    What counts is for how long this process has seen it unchanged, on its own monotonic clock: not what hosts say of
    the time, unless it is past by more than they may disagree.
    """
    key = marks.mark_key("lock", "name", "report")
    dead = await locks.acquire(site.manager.engine, key, 30, 0)
    assert dead is not None
    assert await locks.acquire(site.manager.engine, key, 30, 0) is None
    site.manager.clock.advance(31)  # type: ignore[attr-defined]
    assert await locks.acquire(site.manager.engine, key, 30, 0) is None
    site.manager.clock.advance(300)  # type: ignore[attr-defined]
    taken = await asyncio.gather(*(locks.acquire(site.manager.engine, key, 30, 0) for _ in range(10)))
    assert len([version for version in taken if version is not None]) == 1
    await locks.release(site.manager.engine, key, dead)  # the dead one comes back: it gives back nothing
    assert await locks.acquire(site.manager.engine, key, 30, 0) is None


async def test_the_lock_is_given_back_after_an_error(site: Site) -> None:
    """An exception inside gives the lock back, and drops what was not saved."""
    cookie = await site.run(lambda session: session.update(n=1))
    session = site.begin(cookie)
    await site.manager.load(session)
    with pytest.raises(ZeroDivisionError):
        async with session.exclusive("x"):
            session["n"] = 1 // 0
    async with session.exclusive("x", wait=0):
        assert session["n"] == 1


async def test_exclusive_without_an_id(site: Site) -> None:
    """A session that is not stored yet is nobody else's: it needs no lock and is not stored by one."""
    session = site.begin()
    async with session.exclusive("oauth"):
        session["token"] = "t"
    assert session.public_id is None


async def test_waiting_needs_an_event_loop(site: Site) -> None:
    """Without an event loop a lock that is free works, and one that is held says what is missing."""
    key = marks.mark_key("lock", "name", "report")
    from limpet._inline import Inline

    site.manager.runtime = Inline()
    assert await locks.acquire(site.manager.engine, key, 30, 1) is not None
    with pytest.raises(Exception, match="needs an event loop"):
        await locks.acquire(site.manager.engine, key, 30, 1)


async def test_worker_writes_into_a_session(site: Site) -> None:
    """A worker opens a session by its public id, and what it writes is merged with what a request writes."""
    cookie = await site.run(steps(lambda session: session.login("ann"), lambda session: session.update(a=1)))
    [info] = await site.manager.sessions_of("ann")
    async with site.manager.open(info.public_id) as session:
        assert session["a"] == 1
        await site.run(lambda other: other.update(b=2), cookie)
        session["c"] = 3
    after = site.begin(cookie)
    await site.manager.load(after)
    assert dict(after) == {"a": 1, "b": 2, "c": 3}


async def test_worker_is_no_use(site: Site) -> None:
    """Work in the background does not move the idle deadline, be it a read or a write."""
    await site.login("ann")
    [before] = await site.manager.sessions_of("ann")
    site.manager.clock.advance(3_600)  # type: ignore[attr-defined]
    for change in ({}, {"report": "ready"}):
        async with site.manager.open(before.public_id) as session:
            session.update(change)
    [after] = await site.manager.sessions_of("ann")
    assert (after.last_seen, after.expires_at) == (before.last_seen, before.expires_at)


async def test_worker_cannot_change_the_id(site: Site) -> None:
    """Login and regenerate are refused with the reason; logout ends the session, and nothing comes after it."""
    cookie = await site.login("ann")
    [info] = await site.manager.sessions_of("ann")
    async with site.manager.open(info.public_id) as session:
        with pytest.raises(SessionClosed, match="opened by its public id"):
            session.login("eve")
        with pytest.raises(SessionClosed, match="opened by its public id"):
            session.regenerate()
        session.logout()
        with pytest.raises(SessionClosed):
            session["a"] = 1
    assert await site.whose(cookie) is None


@pytest.mark.parametrize("public_id", ["0" * 64, "nonsense", ""])
async def test_worker_never_creates(site: Site, public_id: str) -> None:
    """Opening what is not there is an error, and makes nothing."""
    with pytest.raises(SessionEnded, match="no session"):
        async with site.manager.open(public_id):
            pytest.fail("opened")


@pytest.mark.parametrize("revocation", ["none", "denylist", "epoch"])
@pytest.mark.parametrize("public_id", ["0" * 64, "nonsense"])
async def test_worker_opens_no_cookie(revocation: Any, public_id: str) -> None:
    """A session that lives in its cookie has not ended: only its browser has it."""
    kept = {} if revocation == "none" else {"revocation": revocation, "revocation_store": MemoryStore()}
    manager = SessionManager(CookieStore(**kept), dev=True)
    with pytest.raises(LimpetError, match="in cookies") as caught:
        async with manager.open(public_id):
            pytest.fail("opened")
    assert not isinstance(caught.value, SessionEnded)


@pytest.mark.parametrize("look", [Session.refresh, Session.save])
async def test_worker_whose_session_ends_learns_it_whatever_it_does(site: Site, look: Any) -> None:
    """It looks, which shows that the session has ended, and writes."""
    cookie = await site.login("ann")
    [info] = await site.manager.sessions_of("ann")

    async def work() -> None:
        async with site.manager.open(info.public_id) as session:
            await site.run(Session.logout, cookie)
            session["a"] = 1
            await look(session)
            session["b"] = 1

    with pytest.raises(SessionEnded, match="was ended while it was open"):
        await work()
    assert await site.whose(cookie) is None


async def _after_a_job_that_fails(site: Site) -> dict[str, Any]:
    """Let a job write, and raise; return what the session holds then."""
    cookie = await site.login("ann")
    [info] = await site.manager.sessions_of("ann")

    async def work() -> None:
        async with site.manager.open(info.public_id) as session:
            session["a"] = 1
            session["b"] = 1 // 0

    with pytest.raises(ZeroDivisionError):
        await work()
    after = site.begin(cookie)
    await site.manager.load(after)
    return dict(after)


async def test_worker_that_fails_saves_nothing(site: Site) -> None:
    """After an exception the session is as it was."""
    assert await _after_a_job_that_fails(site) == {}


async def test_worker_that_fails_saves_where_the_policy_says_so(tmp_path: Path) -> None:
    """``save_on_error`` holds for jobs as for requests; what the job raised comes out."""
    async with opened("memory", tmp_path, save_on_error=True) as site:
        assert await _after_a_job_that_fails(site) == {"a": 1}


async def test_worker_that_fails_is_told_why_when_the_store_fails_too(caplog: pytest.LogCaptureFixture) -> None:
    """Its own error comes out, and what becomes of its logout is in the log."""
    store = FailingStore(MemoryStore())
    site = Site(store)
    cookie = await site.login("ann")
    [info] = await site.manager.sessions_of("ann")

    async def work() -> None:
        async with site.manager.open(info.public_id) as session:
            session.logout()
            store.down = True
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    store.down = False
    assert "a job failed" in caplog.text
    assert await site.whose(cookie) == "ann"


async def test_worker_follows_a_renewal(tmp_path: Path) -> None:
    """A public id of before a renewal opens the session, and the renewal's grace is left to the client."""
    async with opened("memory", tmp_path, renewal_interval=60, renewal_grace=30) as site:
        cookie = await site.login("ann")
        [info] = await site.manager.sessions_of("ann")
        site.manager.clock.advance(61)  # type: ignore[attr-defined]
        await site.run(lambda session: session.get("x"), cookie)
        async with site.manager.open(info.public_id) as session:
            session["a"] = 1
        site.manager.clock.advance(31)  # type: ignore[attr-defined]
        assert await site.whose(cookie) == "ann"  # its grace has not begun: the client has not shown the new id


async def test_worker_sees_a_renewal_on_the_way(tmp_path: Path) -> None:
    """A renewal while a worker has the session open moves what the worker saves to the new record."""
    async with opened("memory", tmp_path, renewal_interval=60) as site:
        cookie = await site.login("ann")
        [info] = await site.manager.sessions_of("ann")
        site.manager.clock.advance(61)  # type: ignore[attr-defined]
        async with site.manager.open(info.public_id) as session:
            renewed = await site.run(lambda other: other.update(b=2), cookie)
            session["a"] = 1
            assert await session.is_live()
        after = site.begin(renewed)
        await site.manager.load(after)
        assert dict(after) == {"a": 1, "b": 2}


async def test_a_flash_is_shown_once(site: Site) -> None:
    """A message is there on the next page, in order and with its kind, and not on the one after."""
    cookie = await site.run(
        steps(lambda session: session.flash("Saved", "success"), lambda session: session.flash("Mind the gap"))
    )
    shown: list[tuple[str, str]] = []

    def page(session: Session) -> None:
        shown.extend(session.flashes())

    await site.run(page, cookie)
    assert shown == [("Saved", "success"), ("Mind the gap", "info")]
    await site.run(page, cookie)
    assert len(shown) == 2


async def test_flashes_of_requests_at_once(site: Site) -> None:
    """What one request shows and another adds at the same time: the shown one is gone, the added one stays."""
    cookie = await site.run(lambda session: session.flash("one"))
    showing, adding = site.begin(cookie), site.begin(cookie)
    for session in (showing, adding):
        await site.manager.load(session)
    assert [flash.message for flash in showing.flashes()] == ["one"]
    adding.flash("two")
    await site.manager.commit(adding)
    await site.manager.commit(showing)
    last = site.begin(cookie)
    await site.manager.load(last)
    assert [flash.message for flash in last.flashes()] == ["two"]


async def test_flash_after_logout(site: Site) -> None:
    """A message after a logout begins a new session that holds it alone."""
    cookie = await site.run(steps(lambda session: session.login("ann"), lambda session: session.update(a=1)))
    after = await site.run(steps(lambda session: session.logout(), lambda session: session.flash("Goodbye")), cookie)
    assert after != cookie
    session = site.begin(after)
    await site.manager.load(session)
    assert session.subject is None
    assert [flash.message for flash in session.flashes()] == ["Goodbye"]


async def test_a_fresh_login(site: Site) -> None:
    """A login is fresh for so many minutes, and nobody's session never is."""
    session = site.begin()
    assert not session.is_fresh()
    session.login("ann")
    assert session.is_fresh(minutes=5)
    site.manager.clock.advance(300)  # type: ignore[attr-defined]
    assert session.is_fresh(minutes=5)
    site.manager.clock.advance(1)  # type: ignore[attr-defined]
    assert not session.is_fresh(minutes=5)
    assert session.is_fresh(minutes=6)


async def test_the_runtime_is_asyncio_where_a_worker_runs_on_it(site: Site) -> None:
    """A worker needs no middleware: the manager finds the event loop that it is used on."""
    assert isinstance(site.manager.runtime, AsyncioRuntime)


async def test_worker_is_told_that_its_work_was_dropped(site: Site) -> None:
    """Somebody logged out while the session was open: what was written is not saved, and the worker hears it."""
    cookie = await site.login("ann")
    [info] = await site.manager.sessions_of("ann")

    async def work() -> None:
        async with site.manager.open(info.public_id) as session:
            session["report"] = "ready"
            await site.run(lambda mine: mine.logout(), cookie)

    with pytest.raises(SessionEnded, match="while it was open"):
        await work()
    assert await site.manager.sessions_of("ann") == []


async def test_tags_are_strings(site: Site) -> None:
    """A tag that is no string is refused where it is given, and nobody is logged in."""
    with pytest.raises(TypeError, match="tags are strings"):
        await site.login("ann", tags={"n": 5})
    assert await site.manager.sessions_of("ann") == []
