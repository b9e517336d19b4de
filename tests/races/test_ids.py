"""Changes of the id: login, regenerate, renewal, two at a time and against writes."""

from __future__ import annotations

import asyncio

import pytest

from limpet import Session
from limpet._wire import forward
from limpet.contract import Store
from tests.races.counted import CountedSite
from tests.site import nothing

INTERVAL = 300
GRACE = 30


def regenerate(session: Session) -> None:
    session.regenerate()


def write(session: Session) -> None:
    session["late"] = True
    session.setdefault("log", []).append("late")
    session.increment("n")


def login(subject: str) -> object:
    def handler(session: Session) -> None:
        session.login(subject)
        session[subject] = True

    return handler


def renewing(store: Store) -> CountedSite:
    return CountedSite(store, renewal_interval=INTERVAL, renewal_grace=GRACE)


async def test_s06_a_write_saved_while_the_id_changes_is_kept(store: Store) -> None:
    """What another request saved between the load and the commit of a regenerate is in the new session."""
    site = CountedSite(store)
    token = await site.session(n=1, log=["begun"])

    def change(session: Session) -> None:
        session.regenerate()
        session.increment("n", 10)
        session["log"].append("changed")

    async with site.held(change, token) as held:
        await site.ask(write, token)
    assert await site.read(held.token) == {"n": 12, "log": ["begun", "late", "changed"], "late": True}
    assert await site.read(token) is None
    assert len(await site.rows()) == 1


async def test_s06_a_write_saved_while_somebody_logs_in_is_kept(store: Store) -> None:
    """The same for a login."""
    site = CountedSite(store)
    token = await site.session(cart=["tea"])
    async with site.held(login("ann"), token) as held:  # type: ignore[arg-type]
        await site.ask(lambda session: session["cart"].append("milk"), token)
    assert await site.read(held.token) == {"cart": ["tea", "milk"], "ann": True}
    assert await site.read(token) is None


async def test_s02_a_write_after_the_id_changed_saves_nothing(store: Store) -> None:
    """A request that comes second with the old id loses its write, with an event: the old id is dead at once."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(write, token) as held:
        changed = await site.ask(regenerate, token)
    assert held.token is None
    assert "late" not in (await site.read(changed.token) or {})
    assert "WriteAfterEnd" in site.names()


async def test_f19_an_exception_after_regenerate_leaves_the_old_id(store: Store) -> None:
    """A handler that raises after ``regenerate()`` or ``login()`` changed nothing."""
    site = CountedSite(store)
    token = await site.session()

    def fail(session: Session) -> None:
        session.regenerate()
        session.login("ann")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await site.ask(fail, token)
    assert await site.read(token) == {"begun": True}
    assert len(await site.rows()) == 1


async def test_two_logins_at_once_both_stand(store: Store) -> None:
    """Two tabs log in from one anonymous session: both stand, each with its own id; the old one is dead."""
    site = CountedSite(store)
    token = await site.session(cart=["tea"])
    async with site.held(login("ann"), token) as ann:  # type: ignore[arg-type]
        bob = await site.ask(login("bob"), token)  # type: ignore[arg-type]
    assert await site.read(ann.token) == {"cart": ["tea"], "ann": True}
    assert await site.read(bob.token) == {"cart": ["tea"], "bob": True}
    assert await site.read(token) is None
    assert len(await site.rows()) == 2


async def test_a_login_that_meets_a_logout_takes_nothing_along(store: Store) -> None:
    """A user logs in again while another request logs them out: the login stands, the ended session's data is gone."""
    site = CountedSite(store)
    token = (await site.ask(login("ann"))).token  # type: ignore[arg-type]
    await site.ask(lambda session: session.update(secret=1), token)

    def again(session: Session) -> None:
        session.login("ann")
        session["fresh"] = True

    async with site.held(again, token) as held:
        await site.ask(lambda session: session.logout(), token)
    assert await site.read(held.token) == {"fresh": True}


async def test_double_regenerate_leaves_one_id(store: Store) -> None:
    """Of two changes of id at once the first wins; the second hands out nothing and leaves nothing."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(regenerate, token) as second:
        first = await site.ask(regenerate, token)
    assert first.token
    assert second.token is None
    assert await site.read(first.token) == {"begun": True}
    assert len(await site.rows()) == 1


async def test_s03_regenerating_under_load_leaves_one_row(store: Store) -> None:
    """Ten changes of id in a row, each with readers under way: never two live ids, one row in the end."""
    site = CountedSite(store, touch_interval=0)
    token: str | None = await site.session()
    for _ in range(10):
        before = token
        replies = await asyncio.gather(*(site.ask(handler, before) for handler in (nothing, regenerate, nothing)))
        token = next(reply.token for reply in replies if reply.token)
        assert await site.read(before) is None
        assert await site.read(token) == {"begun": True}
    assert len(await site.rows()) == 1


async def test_ten_renewals_at_once_agree_on_one_id(store: Store) -> None:
    """Ten requests find the renewal due: all get the same new id, and one session and one forward record remain."""
    site = renewing(store)
    token = await site.session(n=0)
    site.clock.advance(INTERVAL)
    barrier = asyncio.Barrier(10)

    async def count(session: Session) -> None:
        await barrier.wait()
        session.increment("n")

    replies = await asyncio.gather(*(site.ask(count, token) for _ in range(10)))
    (renewed,) = {reply.token for reply in replies}
    assert renewed
    assert await site.read(renewed) == {"n": 10}
    assert sorted(forward.is_forward(record.payload) for _, record in await site.rows()) == [False, True]
    assert site.names().count("SessionRenewed") == 1


async def test_the_old_id_reads_and_writes_during_the_grace(store: Store) -> None:
    """Every request with the old id is served from the new record, and gets the same new cookie."""
    site = renewing(store)
    token = await site.session(n=0)
    site.clock.advance(INTERVAL)
    renewed = (await site.ask(nothing, token)).token
    site.clock.advance(INTERVAL - 1)  # the grace begins when the new id is first presented, not before
    assert (await site.ask(nothing, token)).token == renewed
    await site.ask(nothing, renewed)
    site.clock.advance(GRACE - 1)
    reply = await site.ask(lambda session: session.increment("n"), token)
    assert reply.token == renewed
    assert await site.read(renewed) == {"n": 1}


async def test_the_grace_does_not_begin_with_the_response_that_renews(store: Store) -> None:
    """A client that never got the new id, because that response was lost, goes on with the old one, however late."""
    site = renewing(store)
    token = await site.session(log=["begun"])
    site.clock.advance(INTERVAL)
    renewed = await site.ask(lambda session: session["log"].append("renews"), token)
    assert renewed.token
    site.clock.advance(2 * GRACE)
    again = await site.ask(lambda session: session["log"].append("again"), token)
    assert again.token == renewed.token
    assert await site.read(renewed.token) == {"log": ["begun", "renews", "again"]}


async def past_the_grace(store: Store) -> tuple[CountedSite, str, str]:
    """Return a site, an id that was renewed and is served no longer, and the id that took its place."""
    site = renewing(store)
    token = await site.session()
    site.clock.advance(INTERVAL)
    renewed = (await site.ask(nothing, token)).token
    await site.ask(nothing, renewed)
    site.clock.advance(GRACE)
    site.names()
    return site, token, renewed or ""


async def test_use_after_the_grace_is_reported_as_reuse(store: Store) -> None:
    """After the grace the old id is nobody's, and its use is the event `SessionReused`."""
    site, token, renewed = await past_the_grace(store)
    reply = await site.ask(nothing, token)
    assert (reply.token, await site.read(token)) == (None, None)
    assert "SessionReused" in site.names()
    assert await site.read(renewed) == {"begun": True}


async def test_a_write_after_the_grace_takes_no_cookie_away(store: Store) -> None:
    """For a minute such an id is known as one that was replaced: a late request writes nothing and begins nothing, so
    that the browser keeps the cookie that it has."""
    site, token, renewed = await past_the_grace(store)
    reply = await site.ask(write, token)
    assert (reply.status, reply.token) == (200, None)
    assert {"SessionReused", "WriteAfterEnd"} <= set(site.names())
    assert await site.read(renewed) == {"begun": True}
    site.clock.advance(61)
    assert (await site.ask(write, token)).token not in (None, token, renewed)


async def test_a_request_from_before_the_renewal_may_finish_after_the_grace(store: Store) -> None:
    """A long request that loaded under the old id saves into the renewed session, and is not taken for a thief."""
    site = renewing(store)
    token = await site.session()
    site.clock.advance(INTERVAL - 1)
    async with site.held(write, token):
        site.clock.advance(1)
        renewed = (await site.ask(nothing, token)).token
        await site.ask(nothing, renewed)
        site.clock.advance(GRACE + 1)
    assert await site.read(renewed) == {"begun": True, "late": True, "log": ["late"], "n": 1}
    assert "SessionReused" not in site.names()


async def test_regenerate_during_the_grace_kills_the_old_id_too(store: Store) -> None:
    """A change of id ends the grace of the renewal before it."""
    site = renewing(store)
    token = await site.session()
    site.clock.advance(INTERVAL)
    renewed = (await site.ask(nothing, token)).token
    changed = (await site.ask(regenerate, renewed)).token
    assert await site.read(token) is None
    assert await site.read(renewed) is None
    assert await site.read(changed) == {"begun": True}
