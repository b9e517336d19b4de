"""A session whose id was changed is the same session: what is done to the one is done to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session, SessionBusy
from tests.asked import Handler
from tests.laws.farm import Farm
from tests.site import Browser, Site, items, look, nothing, steps


async def _regenerated(site: Farm, shop: Site, ann: Browser) -> None:
    await ann.ask(shop, Session.regenerate)


async def _renewed(site: Farm, shop: Site, ann: Browser) -> None:
    site.clock.advance(21)
    await ann.ask(shop)


NEXT: dict[str, Callable[[Farm, Site, Browser], Any]] = {"regenerated": _regenerated, "renewed": _renewed}


@pytest.mark.parametrize("then", NEXT)
async def test_a_logout_ends_what_became_of_an_old_id(site: Farm, then: str) -> None:
    """The id is regenerated while the request runs, and what that made is regenerated or renewed again."""
    shop = site.worker(renewal_interval=20)
    ann = await site.browser().login(shop)
    async with ann.copy().held(shop, steps(Session.refresh, Session.logout)) as slow:
        await ann.ask(shop, Session.regenerate)
        before = ann.ids
        await NEXT[then](site, shop, ann)
    assert ann.ids != before
    assert shop.names().count("SessionLoggedOut") == 1
    assert slow.cookies
    assert (await ann.ask(shop, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


@pytest.mark.parametrize("then", NEXT)
async def test_a_revocation_by_an_old_public_id_ends_what_became_of_it(site: Farm, then: str) -> None:
    """The list that an administrator looks at is from before the id was changed."""
    shop = site.worker(renewal_interval=20)
    ann = await site.browser().login(shop)
    [listed] = await shop.manager.sessions_of("ann")
    await ann.ask(shop, Session.regenerate)
    await NEXT[then](site, shop, ann)
    assert await shop.manager.revoke(listed.public_id) == 1
    assert (await ann.ask(shop, look)).result is None
    assert await shop.manager.revoke(listed.public_id) == 0


async def _by_a_logout_under_way(shop: Site, old: Browser, public_id: str, late: Callable[[], Any]) -> None:
    async with old.held(shop, Session.logout):
        await late()


async def _by_a_logout_after_a_refresh(shop: Site, old: Browser, public_id: str, late: Callable[[], Any]) -> None:
    async with old.held(shop, steps(Session.refresh, Session.logout)):
        await late()


async def _by_a_revocation(shop: Site, old: Browser, public_id: str, late: Callable[[], Any]) -> None:
    await late()
    assert await shop.manager.revoke(public_id) == 1


ENDS: dict[str, Callable[[Site, Browser, str, Callable[[], Any]], Any]] = {
    "a logout under way": _by_a_logout_under_way,
    "a logout after a refresh": _by_a_logout_after_a_refresh,
    "a revocation": _by_a_revocation,
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_login_of_somebody_else_with_an_old_id_does_not_hide_what_became_of_it(site: Farm, end: str) -> None:
    """The id was regenerated, and another tab then logged in with the old one: what ends that id ends the first."""
    shop = site.worker()
    ann = await site.browser().login(shop)
    [listed] = await shop.manager.sessions_of("ann")
    old, tab = ann.copy(), ann.copy()

    async def late() -> None:
        await ann.ask(shop, Session.regenerate)
        await tab.login(shop, "bob")

    await ENDS[end](shop, old, listed.public_id, late)
    assert (await ann.ask(shop, look)).result is None
    assert (await tab.ask(shop, look)).result == "bob"


@pytest.mark.parametrize("asked", [True, False], ids=["regenerate", "a key of rotate_on"])
async def test_a_new_id_is_due_although_another_tab_keeps_an_emptied_session(any_site: Farm, asked: bool) -> None:
    """The last key goes, and meanwhile another tab writes one: the session stays, under the new id."""
    shop = any_site.worker()
    ann = await any_site.browser().begin(shop, **({"n": 1} if asked else {"user_id": 7}))
    tab, old = ann.copy(), ann.copy()
    empty: Callable[[Session], Any] = lambda session: session.pop("n" if asked else "user_id")  # noqa: E731
    async with ann.held(shop, steps(empty, Session.regenerate) if asked else empty) as slow:
        await tab.ask(shop, lambda session: session.update(cart=["tea"]))
    assert slow.status == 200
    assert ann.ids != old.ids
    seen = (await ann.ask(shop, lambda session: (dict(session), session.authenticated_at))).result
    assert seen == ({"cart": ["tea"]}, None)
    assert (await old.ask(shop, items)).result == {}


async def test_numbers_that_were_saved_under_an_id_that_is_taken_back_add_up(site: Farm) -> None:
    """A request saves under a new id, and fails: what it counted goes back to the session, beside another tab's."""
    shop = site.worker()
    ann = await site.browser().begin(shop, n=1)
    tab = ann.copy()

    async def fails(session: Session) -> None:
        session.regenerate()
        session.increment("n", 10)
        await session.save()
        await tab.ask(shop, lambda other: other.increment("n", 100))
        raise ValueError("and then it fails")

    assert (await ann.ask(shop, fails)).status == 500
    assert (await ann.ask(shop, items)).result == {"n": 111}


async def test_an_id_that_has_not_gone_out_is_not_renewed(site: Farm) -> None:
    """A request that takes longer than the interval saves twice, and fails: nothing of it is left."""
    shop = site.worker(renewal_interval=600)

    async def fails(session: Session) -> None:
        session.login("ann")
        await session.save()
        site.clock.advance(601)
        session["n"] = 1
        await session.save()
        raise ValueError("and then it fails")

    assert (await site.browser().ask(shop, fails)).status == 500
    assert await shop.manager.sessions_of("ann") == []


@pytest.mark.parametrize("change", [nothing, Session.regenerate], ids=["renewed", "regenerated"])
@pytest.mark.parametrize("which", ["old id", "new id", "new id, after the grace began"])
async def test_a_lock_is_held_whatever_becomes_of_the_id(site: Farm, change: Handler, which: str) -> None:
    """The id changes while somebody holds a lock of the session: nobody else gets it, whichever id he comes with."""
    shop, other = site.worker(renewal_interval=600), site.worker(renewal_interval=600)
    ann = await site.browser().login(shop)
    site.clock.advance(700)
    old, holds, free = ann.copy(), asyncio.Event(), asyncio.Event()

    async def hold(session: Session) -> None:
        async with session.exclusive("token"):
            holds.set()
            await free.wait()

    async def hurry(session: Session) -> bool:
        try:
            async with session.exclusive("token", wait=0.05):
                return session.subject is not None
        except SessionBusy:
            return False

    holder = asyncio.create_task(old.copy().ask(shop, hold))
    await holds.wait()
    await ann.ask(other, change)
    if which.endswith("began"):
        await ann.ask(other, look)
    assert not (await (old if which == "old id" else ann).ask(other, hurry)).result
    free.set()
    await holder
    assert (await ann.ask(other, hurry)).result
