"""What the end of a session is told as: once, and whose it was."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet import Session
from limpet.events import (
    Event,
    SessionExpired,
    SessionLoggedIn,
    SessionLoggedOut,
    SessionRevoked,
    WriteAfterEnd,
    WriteDropped,
)
from limpet.stores.memory import MemoryStore
from tests.laws.farm import Farm
from tests.laws.unlucky import Late
from tests.site import Browser, Site, items, steps

END: dict[str, Callable[[Browser, Site], Awaitable[Any]]] = {
    "logout": lambda tab, shop: tab.ask(shop, Session.logout),
    "login as another": lambda tab, shop: tab.login(shop, "bob"),
    "revoke_all": lambda tab, shop: shop.manager.revoke_all("ann"),
    "revoke": lambda tab, shop: _revoke(tab, shop),
}


async def _revoke(tab: Browser, shop: Site) -> None:
    assert await shop.manager.revoke(await tab.public_id(shop)) == 1


async def _tag(browser: Browser, shop: Site) -> str | None:
    """Return how events name its session; None: nobody can end it from outside, so that it has no public id."""
    public_id = (await browser.ask(shop, lambda session: session.public_id)).result
    return None if public_id is None else public_id[:8]


def _change(session: Session) -> None:
    session.increment("n")


def _told(shop: Site, kind: type[Event]) -> list[tuple[str | None, str | None]]:
    return [(event.tag, event.subject) for event in shop.heard if isinstance(event, kind)]


@pytest.mark.parametrize("how", END)
async def test_each_write_after_the_end_says_whose_session_it_was(any_site: Farm, how: str) -> None:
    """Also that of a request which has been told before, and so knows nothing of the session any more."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().login(shop)
    tab, tag = ann.copy(), await _tag(ann, shop)
    async with ann.held(shop, steps(Session.save, _change, Session.save, _change), first=_change):
        await END[how](tab, other)
    assert _told(shop, WriteAfterEnd) == [(tag, "ann")] * 3


@pytest.mark.parametrize("how", END)
async def test_what_a_login_drops_says_whose_session_it_was(any_site: Farm, how: str) -> None:
    """It was written after the session had ended, and before the login."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().login(shop)
    tab, tag = ann.copy(), await _tag(ann, shop)
    async with ann.held(shop, steps(Session.save, _change, lambda session: session.login("eve")), first=_change):
        await END[how](tab, other)
    assert _told(shop, WriteDropped) == [(tag, "ann")]


async def test_a_logout_of_a_cookie_is_told_once(cookie_site: Farm) -> None:
    """Though what the request wrote after it cannot be kept, so that it fails."""
    shop = cookie_site.worker()
    ann = await cookie_site.browser().login(shop)
    tag = await _tag(ann, shop)

    def anew(session: Session) -> None:
        session.logout()
        session["much"] = secrets.token_hex(9000)

    assert (await ann.ask(shop, anew)).status == 500
    assert _told(shop, SessionLoggedOut) == [(tag, "ann")]


async def test_both_cookies_that_a_logout_ends_are_told(cookie_site: Farm) -> None:
    """Nobody knows which of them is the browser's own."""
    shop = cookie_site.worker()
    ann, bob = await cookie_site.browser().login(shop), await cookie_site.browser().login(shop, "bob")
    known = [await _tag(ann, shop), await _tag(bob, shop)]
    [(name, mine)], [(_, other)] = ann.cookies.items(), bob.cookies.items()
    await cookie_site.browser().ask(shop, Session.logout, headers={"cookie": f"{name}={mine}; {name}={other}"})
    assert _told(shop, SessionLoggedOut) == list(zip(known, ["ann", "bob"], strict=True))


async def test_cookie_sessions_are_told_with_their_public_ids(cookie_site: Farm) -> None:
    """Their logins and their deadlines, as those of sessions in a store."""
    shop = cookie_site.worker()
    ann = await cookie_site.browser().login(shop)
    tag = await _tag(ann, shop)
    cookie_site.clock.advance(20 * 86_400)
    await ann.ask(shop, items)
    assert _told(shop, SessionLoggedIn) == _told(shop, SessionExpired) == [(tag, "ann")]


@pytest.mark.parametrize("saves", ["data", "nothing"])
async def test_what_is_lost_where_the_store_hangs_is_told(caplog: pytest.LogCaptureFixture, saves: str) -> None:
    """What was saved under an id that did not go out; a store that hangs is not waited for twice."""

    store = Late(MemoryStore())
    farm = Farm("memory", lambda: store)
    shop = farm.worker(store_timeout=0.05)
    ann = await farm.browser().login(shop)

    def hang(session: Session) -> None:
        store.waits = "update"

    first = (_change,) if saves == "data" else ()
    assert (await ann.ask(shop, steps(Session.regenerate, *first, Session.save, hang, _change))).status == 503
    assert store.land is not None
    assert ("did not go out is lost" in caplog.text) == (saves == "data")
    assert (await ann.ask(shop, items)).result == {}
    await farm.close()


async def test_a_login_tells_both_sessions_that_it_ends(site: Farm) -> None:
    """The request came with two live cookies, and nobody knows which of them is the browser's own."""
    shop = site.worker()
    ann, bob = await site.browser().login(shop), await site.browser().login(shop, "bob")
    known = [await _tag(ann, shop), await _tag(bob, shop)]
    [(name, mine)], [(_, other)] = ann.cookies.items(), bob.cookies.items()
    both = {"cookie": f"{name}={mine}; {name}={other}"}
    assert (await site.browser().ask(shop, lambda session: session.login("eve"), headers=both)).status == 200
    assert _told(shop, SessionLoggedOut) == list(zip(known, ["ann", "bob"], strict=True))


async def test_a_tag_is_known_as_long_as_a_session_has_it(site: Farm) -> None:
    """Also where two sessions of a user end at the same moment, or never, and one of them is logged out."""
    shop = site.worker(absolute_timeout=None)
    first = await site.browser().login(shop, tags={"team": "blue"})
    second = await site.browser().login(shop, tags={"team": "blue"})
    tag = await _tag(second, shop)
    await first.ask(shop, Session.logout)
    assert await shop.manager.revoke(tag=("team", "blue")) == 1
    assert _told(shop, SessionRevoked) == [(tag, "ann")]
    assert (await second.ask(shop, items)).result == {}
