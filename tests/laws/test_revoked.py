"""A session that is ended from outside, by its public id or as others take its place, leaves a tombstone too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from limpet import Session
from limpet.events import LimitReached, SessionRevoked
from tests.laws.farm import Farm
from tests.laws.old_sessions import importers, old_browser
from tests.laws.unlucky import Unlucky
from tests.site import look


async def test_a_revocation_of_the_old_id_ends_the_new_one_too(site: Farm) -> None:
    """The store was lost before the old record could lead to the new one, with which nobody has come since."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)
    old, public_id = browser.copy(), await browser.public_id(other)
    async with browser.held(shop, Session.regenerate) as answer:
        store.arm("dies before", 2)  # the first makes the new record
    store.heal()
    assert answer.status == 200
    assert old.ids != browser.ids
    assert await other.manager.revoke(public_id) == 1
    assert (await browser.ask(other, look)).result is None
    assert (await old.ask(other, look)).result is None


@pytest.mark.parametrize(("before", "after"), [("bob", "bob"), (None, None), ("ann", None)])
async def test_a_revocation_leaves_what_is_anothers(site: Farm, before: str | None, after: str | None) -> None:
    """A login that never reached its browser is revoked: what it was to take the place of stays, unless it is hers."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = site.browser()
    await browser.ask(other, lambda session: session.login(before) if before else session.update(cart=["tea"]))
    other_page = browser.copy()
    async with other_page.held(shop, lambda session: session.login("ann")) as answer:
        store.arm("dies before", 2)  # the first makes the new record
    store.heal()
    assert answer.status == 200
    ids, heard = other.manager.engine.ids, len(other.heard)
    public_id = ids.key_of(ids.verify(other_page.ids[0]) or b"")  # nobody has come with it
    assert await other.manager.revoke(public_id) == 1
    assert [event.subject for event in other.heard[heard:] if isinstance(event, SessionRevoked)] == ["ann"]
    assert (await browser.ask(other, lambda session: (session.subject, dict(session)))).result == (
        after,
        {} if before else {"cart": ["tea"]},
    )
    assert (await other_page.ask(other, look)).result is None


async def test_who_was_revoked_begins_anew_with_the_same_cookie(any_site: Farm) -> None:
    """Nothing has told the browser: its next page, as one to log in on, may keep something at once."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().login(shop)
    assert await other.manager.revoke(await ann.public_id(shop)) == 1
    await ann.ask(shop, lambda session: session.update(form="token"))
    assert (await ann.ask(other, lambda session: (session.subject, dict(session)))).result == (None, {"form": "token"})


@pytest.mark.parametrize("how", ["revoke", "limit"])
async def test_an_end_from_outside_is_told_though_its_reply_is_lost(site: Farm, how: str) -> None:
    """The write is tried once more, and finds what it wrote itself."""
    store = Unlucky(site.connect())
    shop = site.worker(store=store, **({"max_sessions": 1} if how == "limit" else {}))
    ann = await site.browser().login(shop)
    public_id = await ann.public_id(shop)
    heard = len(shop.heard)
    store.arm("one reply lost", 1 if how == "revoke" else 3)  # a login has itself counted, and its record written
    if how == "revoke":
        assert await shop.manager.revoke(public_id) == 1
    else:
        await site.browser().login(shop)
    assert store.met
    assert (await ann.ask(shop, look)).result is None
    ends = [event for event in shop.heard[heard:] if isinstance(event, (SessionRevoked, LimitReached))]
    assert [(event.tag, event.subject) for event in ends] == [(public_id[:8], "ann")]


async def test_a_revocation_of_all_leaves_no_record_of_a_session_that_is_renewed_meanwhile(site: Farm) -> None:
    """A request that met it alive renews its id after the list was read: the record is deleted where it is by now."""
    renewed = asyncio.Event()

    class Late(Unlucky):
        async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
            outcome = await behind(*given, **more)
            if name == "find_page" and not renewed.is_set():
                renewed.set()
                await request
            return outcome

    shop, other = site.worker(renewal_interval=20), site.worker(store=Late(site.connect()), renewal_interval=20)
    ann = await site.browser().login(shop)
    site.clock.advance(30)
    begun = asyncio.Event()

    async def wait(session: Session) -> None:
        begun.set()
        await renewed.wait()
        session["n"] = 1

    request = asyncio.create_task(ann.ask(shop, wait))
    await begun.wait()
    assert await other.manager.revoke_all("ann") == 1
    assert [type(event) for event in other.heard] == [SessionRevoked]
    assert (await ann.ask(other, look)).result is None
    assert (await other.manager.engine.storage.page_of("ann", None, 10))[0] == []


async def test_who_was_revoked_after_moving_in_begins_anew_with_the_old_cookie(site: Farm) -> None:
    """As with a cookie of ours: it is not held back for a minute."""
    shop = site.worker(**importers(forget=False))
    old = old_browser(site, age=60)
    moved = old.copy()
    assert (await moved.ask(shop, look)).result == "ann"
    public_id = await moved.public_id(shop)
    assert await shop.manager.revoke(public_id) == 1
    await old.ask(shop, lambda session: session.update(form="token"))
    assert (await old.ask(shop, lambda session: (session.subject, dict(session)))).result == (None, {"form": "token"})
