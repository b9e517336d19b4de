"""What a session keeps beside its data takes part in a merge, row by row as the documentation says."""

from __future__ import annotations

import pytest

from limpet import Session
from limpet.contract import Store
from tests.races.counted import CountedSite
from tests.site import Handler

HOUR = 3_600
INTERVAL = 300


def write(session: Session) -> None:
    session["late"] = True


def expire_in(hours: int) -> Handler:
    def handler(session: Session) -> None:
        session[f"key{hours}"] = True
        session.expire_in(hours * HOUR)

    return handler


async def life(site: CountedSite, token: str | None) -> float:
    """Return how many hours the session of this id has left."""
    session = site.begin(token)
    await site.manager.load(session)
    assert session.expires_at is not None
    return (session.expires_at.timestamp() - site.clock() / 1000) / HOUR


@pytest.mark.parametrize(
    ("mine", "theirs", "hours"),
    [(expire_in(2), write, 2), (write, expire_in(3), 3), (expire_in(2), expire_in(3), 2)],
    ids=["mine", "theirs", "both"],
)
async def test_a_deadline_is_as_this_request_set_it_else_as_stored(
    store: Store, mine: Handler, theirs: Handler, hours: int
) -> None:
    """`expire_in` of one request is kept beside a write of another; of two, that of the later commit stays."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(mine, token):
        await site.ask(theirs, token)
    assert await life(site, token) == hours


async def test_what_a_login_notes_is_kept_beside_a_write(store: Store) -> None:
    """A login that meets a write has the write, and its own subject, moment, tags and fresh absolute deadline."""
    site = CountedSite(store, absolute_timeout=10 * HOUR, idle_timeout=9 * HOUR, anonymous_timeout=None)
    token = await site.session()
    site.clock.advance(8 * HOUR)

    def login(session: Session) -> None:
        session.login("ann", tags={"device": "phone"})

    async with site.held(login, token) as held:
        await site.ask(write, token)
    session = site.begin(held.token)
    await site.manager.load(session)
    assert dict(session) == {"begun": True, "late": True}
    assert session.subject == "ann"
    assert session.authenticated_at is not None
    assert session.authenticated_at.timestamp() * 1000 == site.clock()
    assert await life(site, held.token) == 9


async def test_the_subject_is_as_stored_beside_writes(store: Store) -> None:
    """Two requests of a user that meet leave the session theirs, with the moment at which they logged in."""
    site = CountedSite(store)
    token = (await site.ask(lambda session: session.login("ann"))).token
    before = site.begin(token)
    await site.manager.load(before)
    site.clock.advance(60)
    async with site.held(write, token):
        await site.ask(lambda session: session.update(early=True), token)
    after = site.begin(token)
    await site.manager.load(after)
    assert dict(after) == {"early": True, "late": True}
    assert (after.subject, after.authenticated_at) == ("ann", before.authenticated_at)


async def test_a_write_goes_into_the_session_that_was_renewed_meanwhile(store: Store) -> None:
    """A renewal by another request counts for this one: it saves under the new id, and its client is given that."""
    site = CountedSite(store, renewal_interval=INTERVAL)
    token = await site.session()
    site.clock.advance(INTERVAL - 1)
    async with site.held(write, token) as held:
        site.clock.advance(1)
        renewed = await site.ask(lambda session: session.update(early=True), token)
    assert renewed.token
    assert held.token == renewed.token
    assert await site.read(renewed.token) == {"begun": True, "early": True, "late": True}


@pytest.mark.parametrize("end", [Session.clear, Session.logout], ids=["clear", "logout"])
async def test_clear_and_logout_end_what_was_saved_meanwhile(store: Store, end: Handler) -> None:
    """However late the request that ends the session is, nothing of what others saved outlives it."""
    site = CountedSite(store)
    token = await site.session()
    async with site.held(end, token) as held:
        await site.ask(write, token)
    assert held.token == ""
    assert await site.read(token) is None
    assert await site.rows() == []


@pytest.mark.parametrize("theirs", [write, lambda session: session["begun"].append(1)], ids=["beside", "against"])
async def test_a_deletion_is_a_change_like_any_other(store: Store, theirs: Handler) -> None:
    """A key that one request deletes is gone, whether or not another one changed it; the latter is reported."""
    site = CountedSite(store)
    token = await site.session(begun=[0])
    site.names()
    async with site.held(lambda session: session.pop("begun"), token):
        await site.ask(theirs, token)
    assert await site.read(token) == ({"late": True} if theirs is write else None)  # nothing is left of the other
    assert ("ValueOverwritten" in site.names()) is (theirs is not write)


async def test_a_login_takes_no_deadline_along(store: Store) -> None:
    """What `expire_in` gave the visitor before the login ends with it, be it in this request or in another one."""
    site = CountedSite(store, idle_timeout=9 * HOUR, absolute_timeout=10 * HOUR, anonymous_timeout=None)

    def reserve(session: Session) -> None:
        session["basket"] = ["tea"]
        session.expire_in(60)

    token = (await site.ask(reserve)).token
    after = (await site.ask(lambda session: session.login("ann"), token)).token
    assert await life(site, after) == 9
    token = await site.session()
    async with site.held(lambda session: session.login("bob"), token) as held:
        await site.ask(reserve, token)
    assert await life(site, held.token) == 9


async def test_a_login_that_was_saved_takes_no_deadline_along(store: Store) -> None:
    """Nor one that another request gives the session before it, while the response is still to come."""
    site = CountedSite(store, idle_timeout=9 * HOUR, absolute_timeout=10 * HOUR, anonymous_timeout=None)
    token = await site.session()

    async def login(session: Session) -> None:
        session.login("ann")
        await session.save()
        await site.ask(lambda before: before.expire_in(60), token)

    assert await life(site, (await site.ask(login, token)).token) == 9
