"""Copies of a cookie session that was logged out stay out, for as long as any of them could be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from limpet import CookieTooLarge, Session, StoreUnavailable
from limpet.events import WriteDropped
from limpet.stores import CookieStore, MemoryStore
from tests.laws.conftest import COOKIES, Connect, cookie_store
from tests.laws.farm import Farm
from tests.laws.unlucky import How, Unlucky
from tests.site import Browser, items, look, steps

CHANGES: dict[str, Callable[[Session], Any]] = {
    "write": lambda session: session.increment("n"),
    "short deadline": lambda session: session.expire_in(600),
    "regenerate": lambda session: session.regenerate(),
    "login again": lambda session: session.login("ann"),
    "remember": lambda session: session.login("ann", remember=True),
}
ORDERS = [
    order for length in (0, 1, 2, 3) for order in itertools.permutations(CHANGES, length) if order.count("write") < 2
]
SECRET = "one secret of all workers, long enough 0123456789"


def _site(kind: str, notes: Connect) -> Farm:
    site = Farm(kind, lambda: cookie_store(kind, notes()))
    site.settings = {"secret": SECRET}
    return site


async def _all_out(copies: list[Browser], shops: list[Any]) -> None:
    for copy in copies:
        for shop in shops:
            assert (await copy.ask(shop, look)).result is None


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("does", [Session.logout, lambda session: session.login("bob")], ids=["logout", "login"])
async def test_a_copy_that_was_ended_ends_nothing(does: Callable[[Session], Any], lazy: bool, notes: Connect) -> None:
    """With ``epoch`` a logout ends all of its subject; one with a cookie that is dead is about nobody."""
    site = _site("epoch", notes)
    shop, other = site.worker(), site.worker(lazy=lazy)
    ann = await site.browser().login(shop)
    copy = ann.copy()
    await ann.ask(shop, lambda session: session.logout())
    await ann.login(shop)
    assert (await copy.ask(other, does)).status == 200
    assert (await ann.ask(shop, look)).result == "ann"


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
async def test_a_copy_stays_out_after_a_logout(kind: str, notes: Connect) -> None:
    """However often the session was changed before, every copy of its cookies is dead until the longest deadline."""
    site = _site(kind, notes)
    shop = site.worker()
    longer = site.worker(idle_timeout=20 * 86_400, absolute_timeout=28 * 86_400)
    for order in ORDERS[:: 1 if kind == "denylist" else 7]:
        site.clock.advance(90_000)
        browser = await site.browser().login(shop)
        copies = [browser.copy()]
        for name in order:
            site.clock.advance(2)
            assert (await browser.ask(shop, CHANGES[name])).status == 200
            copies.append(browser.copy())
        assert (await browser.ask(shop, lambda session: session.logout())).status == 200
        begun = site.clock.now
        for wait in (60, 11 * 60, 3600, 86_400 - 5_000, 5 * 86_400):
            site.clock.advance(wait)
            await shop.manager.sweep()
            await _all_out(copies, [shop, longer])
        site.clock.now = begun
    await site.close()


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
async def test_a_request_under_way_does_not_revive_it(kind: str, notes: Connect) -> None:
    """A request that was under way at the logout, and writes, gives the browser nothing that opens."""
    site = _site(kind, notes)
    shop, other = site.worker(), site.worker()
    for late in CHANGES:
        browser = await site.browser().login(shop)
        tab = browser.copy()
        if late in {"login again", "remember"}:
            continue  # new credentials are a new session
        async with browser.held(shop, CHANGES[late]):
            await tab.ask(other, lambda session: session.logout())
        site.clock.advance(1)
        assert (await browser.ask(shop, look)).result is None, late
        assert (await browser.ask(other, look)).result is None, late
    await site.close()


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
async def test_an_emptied_session_is_ended_as_well(kind: str, notes: Connect) -> None:
    """``clear`` ends the copies as ``logout`` does."""
    site = _site(kind, notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    await browser.ask(shop, lambda session: session.update(user=1))
    copy = browser.copy()
    await browser.ask(shop, lambda session: session.clear())
    site.clock.advance(1)
    assert (await copy.ask(shop, lambda session: (session.subject, dict(session)))).result == (None, {})
    await site.close()


async def test_without_revocation_the_manager_says_what_a_logout_is(cookie_site: Farm) -> None:
    """A logout takes the cookie from the browser in every mode."""
    shop = cookie_site.worker()
    browser = await cookie_site.browser().login(shop)
    assert browser.ids
    await browser.ask(shop, lambda session: session.logout())
    assert browser.ids == []
    assert isinstance(shop.manager.store, CookieStore)


TAKES_PLACE: dict[str, Callable[[Session], Any]] = {
    **{name: CHANGES[name] for name in ("regenerate", "login again", "remember")},
    "login of another": lambda session: session.login("bob"),
    "rotate": lambda session: session.update(user_id=2),
}


def _too_much(session: Session) -> None:
    session["much"] = "x" * 6_000


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
@pytest.mark.parametrize("change", TAKES_PLACE)
async def test_what_does_not_fit_into_a_cookie_ends_nothing(kind: str, notes: Connect, change: str) -> None:
    """A login or a new id whose cookie is too large leaves the old cookie valid, and those of other devices."""
    site = _site(kind, notes)
    shop = site.worker()
    browser, elsewhere = await site.browser().login(shop), await site.browser().login(shop)
    answer = await browser.ask(shop, steps(TAKES_PLACE[change], _too_much))
    assert (answer.status, answer.cookies) == (500, [])
    assert isinstance(answer.error, CookieTooLarge)
    assert (await browser.ask(shop, look)).result == "ann"
    assert (await elsewhere.ask(shop, look)).result == "ann"
    await site.close()


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
@pytest.mark.parametrize("change", TAKES_PLACE)
async def test_what_did_not_fit_can_be_made_to_fit(kind: str, notes: Connect, change: str) -> None:
    """A handler that catches the error and writes less gets its new cookie, and the copy of the old one is dead."""
    site = _site(kind, notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    copy = browser.copy()

    async def handler(session: Session) -> None:
        TAKES_PLACE[change](session)
        _too_much(session)
        with pytest.raises(CookieTooLarge):
            await session.save()
        del session["much"]

    assert (await browser.ask(shop, handler)).status == 200
    who = "bob" if change == "login of another" else "ann"
    assert (await browser.ask(shop, look)).result == who
    assert (await copy.ask(shop, look)).result == (None if kind == "denylist" or who == "bob" else "ann")
    await site.close()


@pytest.mark.parametrize("how", ["one reply lost", "all replies lost", "lands twice", "dies before", "dies after"])
@pytest.mark.parametrize("kind", ["denylist", "epoch"])
@pytest.mark.parametrize("change", TAKES_PLACE)
async def test_a_lost_reply_leaves_the_old_cookie_or_the_new_one(
    kind: str, notes: Connect, change: str, how: How
) -> None:
    """Whatever becomes of the write that ends older cookies, the browser is left with one that opens."""
    store = Unlucky(notes())
    site = _site(kind, lambda: store)
    shop = site.worker()
    for at in (1, 2, 3):
        browser = await site.browser().login(shop)
        store.arm(how, at)
        answer = await browser.ask(shop, TAKES_PLACE[change])
        store.heal()
        site.clock.advance(1)
        who = (await browser.ask(shop, look)).result
        assert who == ("bob" if change == "login of another" and answer.status == 200 else "ann"), (at, answer.status)
    await site.close()


class GoneFromARead(Unlucky):
    """Answers so many reads, and then nothing until it is healed."""

    reads: int | None = None

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        if self.reads is not None and name.startswith("load"):
            self.reads -= 1
        if self.reads is not None and self.reads < 0:
            raise StoreUnavailable("it is gone")
        return await super()._call(name, behind, given, more)


@pytest.mark.parametrize("change", TAKES_PLACE)
async def test_what_could_not_end_hands_out_no_new_cookie(notes: Connect, change: str) -> None:
    """Where the store was gone before anything was written, the browser keeps its cookie, and gets no other."""
    store = GoneFromARead(notes())
    site = _site("denylist", lambda: store)
    shop = site.worker()
    for reads in range(5):
        browser = await site.browser().login(shop)
        copy, store.reads = browser.copy(), reads
        answer = await browser.ask(shop, TAKES_PLACE[change])
        store.reads = None
        site.clock.advance(1)
        assert answer.status in (200, 503)
        assert (await copy.ask(shop, look)).result == ("ann" if answer.status == 503 else None), reads
    await site.close()


@pytest.mark.parametrize("kind", ["memory", *COOKIES])
async def test_what_is_written_past_the_deadline_of_a_session_goes_to_no_login(kind: str) -> None:
    """It is dropped, and that is said, whether the request found the session or began it, in a cookie or a store."""
    site = Farm(kind, MemoryStore) if kind == "memory" else _site(kind, MemoryStore)
    shop = site.worker()

    async def handler(session: Session) -> None:
        session.expire_in(60)
        session["cart"] = ["tea"]
        await session.save()
        site.clock.advance(3600)
        session["cart"].append("milk")
        await session.save()
        session["copied"] = dict(session)
        session.login("ann")
        session["after"] = True

    browser = site.browser()
    assert (await browser.ask(shop, handler)).status == 200
    assert shop.said(WriteDropped) == 1
    assert (await browser.ask(shop, items)).result == {"after": True}
    await site.close()
