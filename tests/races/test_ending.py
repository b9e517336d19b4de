"""What was logged out, revoked or timed out stays so, whatever was under way."""

from __future__ import annotations

import asyncio
import random

import pytest

from limpet import Session
from limpet.contract import Store
from tests.counts import count
from tests.races.counted import CountedSite
from tests.site import nothing

RACES = count(300, 10_000)
HOUR = 3600


def logout(session: Session) -> None:
    session.logout()


def write(session: Session) -> None:
    session["late"] = True


async def test_s05_a_write_after_a_logout_saves_nothing(store: Store) -> None:
    """A request that loaded before a logout and writes after it: no row, no cookie, and an event."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(write, token) as held:
        assert (await site.ask(logout, token)).token == ""
    assert (held.status, held.token) == (200, None)
    assert await site.read(token) is None
    assert await site.rows() == []
    assert site.names() == ["SessionCreated", "SessionLoggedOut", "WriteAfterEnd"]


async def test_s05_on_ended_raise_is_a_conflict(store: Store) -> None:
    """With ``on_ended="raise"`` that request is answered with 409; one that only read is not disturbed."""
    site = CountedSite(store, on_ended="raise")
    token = await site.session()
    async with site.held(write, token) as writer, site.held(nothing, token) as reader:
        await site.ask(logout, token)
    assert (writer.status, reader.status) == (409, 200)


@pytest.mark.timeout(1200)
async def test_s05_logout_races_leave_no_zombie(store: Store) -> None:
    """Logout against two writes and a read, in whatever order: no zombie, no row left."""
    site = CountedSite(store, touch_interval=0)
    drawn = random.Random(5)

    def after(steps: int, handler: object) -> object:
        async def run(session: Session) -> None:
            for _ in range(steps):
                await asyncio.sleep(0)
            if "begun" in session:  # else it came after the logout, and would begin a session of its own
                handler(session)  # type: ignore[operator]

        return run

    for _ in range(RACES):
        token = await site.session()
        handlers = [logout, write, nothing, write]
        calls = [site.ask(after(drawn.randrange(4), handler), token) for handler in handlers]  # type: ignore[arg-type]
        drawn.shuffle(calls)
        replies = await asyncio.gather(*calls)
        assert {reply.status for reply in replies} == {200}
        assert [reply.token for reply in replies if reply.token is not None] in ([""], [])
        assert await site.read(token) is None
        assert await site.rows() == []
        site.counting.keys.clear()  # type: ignore[union-attr]
    assert site.names().count("WriteAfterEnd") > RACES / 20, "the requests hardly ever met"


async def test_logout_during_renewal_ends_both_ids(store: Store) -> None:
    """A logout that loaded before a renewal ends the renewed session too."""
    site = CountedSite(store, renewal_interval=300)
    token = await site.session()
    site.clock.advance(300)
    async with site.held(logout, token):
        renewed = await site.ask(nothing, token)
        assert renewed.token
    assert await site.read(token) is None
    assert await site.read(renewed.token) is None
    assert await site.rows() == []


async def test_a_renewal_after_a_logout_leaves_nothing(store: Store) -> None:
    """A renewal that loaded before a logout hands out no id, says nothing, and leaves no row."""
    site = CountedSite(store, renewal_interval=300, on_ended="raise")
    token = await site.session()
    site.clock.advance(300)
    async with site.held(nothing, token) as held:
        await site.ask(logout, token)
    assert (held.status, held.token) == (200, None)
    assert await site.rows() == []
    assert "WriteAfterEnd" not in site.names()


async def test_a_logout_ends_what_was_saved_meanwhile(store: Store) -> None:
    """A logout that loaded before another request's write still ends the session."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(logout, token) as held:
        await site.ask(write, token)
    assert held.token == ""
    assert await site.rows() == []


async def test_only_the_request_that_ended_a_session_deletes_the_cookie(store: Store) -> None:
    """Requests that find their session gone leave the browser's cookie alone, for it may be a newer one."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(nothing, token) as reader, site.held(write, token) as writer:
        await site.ask(logout, token)
    assert (reader.token, writer.token) == (None, None)
    assert (await site.ask(nothing, token)).token is None


async def test_a_revoked_session_stays_revoked(store: Store) -> None:
    """A session deleted by its key is not brought back by a write, a touch or a change of id under way."""
    site = CountedSite(store, touch_interval=0)
    token = await site.session()
    key = site.begin(token)
    await site.manager.load(key)
    public = key.public_id
    assert public is not None
    async with (
        site.held(write, token),
        site.held(nothing, token),
        site.held(lambda session: session.regenerate(), token) as regenerating,
    ):
        await site.manager.engine.storage.server.delete(public)
    assert regenerating.token is None
    assert await site.rows() == []


async def test_s09_a_touch_does_not_revive(store: Store) -> None:
    """A request that takes longer than the idle timeout and its slack does not revive the session.

    It counts as a use when it begins, and so keeps the session for as long as one use does.
    """
    site = CountedSite(store, idle_timeout=HOUR, touch_interval=0)
    token = await site.session()
    site.clock.advance(HOUR - 1)
    async with site.held(nothing, token), site.held(write, token) as writer:
        site.clock.advance(HOUR + 62)
    assert writer.token is None
    assert await site.read(token) is None
    assert "WriteAfterEnd" in site.names()


async def test_a_commit_within_the_slack_counts(store: Store) -> None:
    """A request that met the idle deadline when it loaded may save within the slack after it."""
    site = CountedSite(store, idle_timeout=HOUR)
    token = await site.session()
    site.clock.advance(HOUR - 1)
    async with site.held(write, token):
        site.clock.advance(60)
    assert await site.read(token) == {"begun": True, "late": True}


async def test_a_long_request_is_kept_alive_by_others(store: Store) -> None:
    """A request that takes longer than the idle timeout saves, if others used the session meanwhile."""
    site = CountedSite(store, idle_timeout=HOUR)
    token = await site.session(n=0)
    async with site.held(write, token):
        for _ in range(4):
            site.clock.advance(HOUR / 2)
            await site.ask(lambda session: session.increment("n"), token)
    assert await site.read(token) == {"n": 4, "late": True}


async def test_an_absolute_deadline_is_not_moved_by_a_commit(store: Store) -> None:
    """Saving within the slack after the absolute deadline does not make the session readable again."""
    site = CountedSite(store, idle_timeout=HOUR, absolute_timeout=2 * HOUR)
    token = await site.session()
    for _ in range(3):
        site.clock.advance(HOUR * 0.6)
        await site.ask(write, token)
    async with site.held(write, token):
        site.clock.advance(HOUR * 0.2)
    assert await site.read(token) is None
