"""Whatever goes wrong at any write, the browser has the old session or the new one, whole, and the lists know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from tests.laws.farm import Farm
from tests.laws.old_sessions import importers, old_browser
from tests.laws.unlucky import HOW, How, Unlucky
from tests.site import Browser, Site, items, look, steps

CART = ["tea", "milk"]
STEPS = 12  # more writes than any operation makes


def _add(session: Session) -> None:
    session["cart"].append("bread")


# what is done, and what the session is after it: subject, cart
OPERATIONS: dict[str, tuple[Callable[[Session], Any], str | None, list[str] | None]] = {
    "write": (_add, "ann", [*CART, "bread"]),
    "save twice": (steps(_add, lambda session: session.save(), look), "ann", [*CART, "bread"]),
    "regenerate": (lambda session: session.regenerate(), "ann", CART),
    "regenerate with a write": (steps(_add, lambda session: session.regenerate()), "ann", [*CART, "bread"]),
    "login anew": (lambda session: session.login("ann"), "ann", CART),
    "login anew, saved": (steps(lambda session: session.login("ann"), lambda session: session.save()), "ann", CART),
    "login of somebody else": (lambda session: session.login("bob"), "bob", None),
    "logout": (lambda session: session.logout(), None, None),
    "logout, then a write": (
        steps(lambda session: session.logout(), lambda session: session.update(cart=[])),
        None,
        [],
    ),
}


async def _state(browser: Browser, shop: Site) -> tuple[str | None, list[str] | None]:
    subject, held = (await browser.ask(shop, lambda session: (session.subject, dict(session)))).result
    return subject, held.get("cart")


async def _check_lists(browser: Browser, shop: Site, subject: str | None) -> None:
    """A list shows the session that the browser has, and ending all that is listed ends it."""
    if subject is None:
        return
    current = [info.current for info in (await browser.ask(shop, _listed(shop, subject))).result]
    assert current.count(True) == 1
    for info in await shop.manager.sessions_of(subject):
        await shop.manager.revoke(info.public_id)
    assert (await browser.ask(shop, look)).result is None


def _listed(shop: Site, subject: str) -> Callable[[Session], Any]:
    return lambda session: shop.manager.sessions_of(subject, current=session)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_browser_has_the_old_session_or_the_new_one(site: Farm, name: str, how: How) -> None:
    """An answer of 200 means that it happened; any other that the browser has all of the old session or of the new."""
    handler, subject, cart = OPERATIONS[name]
    store = Unlucky(site.connect())
    shop = site.worker(store=store)
    other = site.worker()  # another process, which sees what is stored
    for at in range(1, STEPS):
        browser = await site.browser().login(other)
        await browser.ask(other, lambda session: session.update(cart=list(CART)))
        store.arm(how, at)
        answer = await browser.ask(shop, handler)
        met = store.met
        store.heal()
        state = await _state(browser, other)
        where = f"{how} at write {at}: {answer.status}, then {state}"
        if answer.status == 200:
            assert state == (subject, cart), where
        else:
            assert answer.status == 503, where
            assert state in ((subject, cart), ("ann", CART), *([(None, None)] if subject is None else [])), where
        await _check_lists(browser, other, state[0])
        if not met:
            return
    raise AssertionError(f"{name} makes {STEPS} writes or more")


@pytest.mark.parametrize("how", HOW)
async def test_a_visitor_keeps_the_cart_when_the_login_fails_half_way(site: Farm, how: How) -> None:
    """A login of a visitor with a cart: the browser has the anonymous cart or the one of the user, never nothing."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    for at in range(1, STEPS):
        browser = await site.browser().begin(other, cart=list(CART))
        store.arm(how, at)
        answer = await browser.ask(shop, lambda session: session.login("ann"))
        met = store.met
        store.heal()
        state = await _state(browser, other)
        assert state in ([("ann", CART)] if answer.status == 200 else [("ann", CART), (None, CART)]), (at, answer)
        await _check_lists(browser, other, state[0])
        if not met:
            return


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("write", [False, True], ids=["a reader", "a writer"])
async def test_a_renewal_that_fails_half_way_loses_and_hides_nothing(site: Farm, how: How, write: bool) -> None:
    """A periodic renewal that breaks off: the session is whole, and what the list shows is what the browser has."""
    store = Unlucky(site.connect())
    policy = {"renewal_interval": 600}
    shop, other = site.worker(store=store, **policy), site.worker(**policy)
    for at in range(1, STEPS):
        browser = await site.browser().login(other)
        await browser.ask(other, lambda session: session.update(cart=list(CART)))
        site.clock.advance(601)
        store.arm(how, at)
        answer = await browser.ask(shop, _add if write else items)
        met = store.met
        store.heal()
        state = await _state(browser, other)
        carts = [[*CART, "bread"]] if write else [CART]
        if answer.status != 200:
            carts.append(CART)
        assert state in [("ann", cart) for cart in carts], (at, answer.status, state)
        await _check_lists(browser, other, "ann")
        if not met:
            return


@pytest.mark.parametrize("how", HOW)
async def test_two_requests_of_which_one_fails_half_way(site: Farm, how: How) -> None:
    """What another tab saved while a change of id broke off is still there."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    for at in range(1, STEPS):
        browser = await site.browser().login(other)
        await browser.ask(other, lambda session: session.update(cart=list(CART)))
        async with browser.held(shop, lambda session: session.regenerate()) as answer:
            await browser.ask(other, lambda session: session.update(note="gift"))
            store.arm(how, at)
        met = store.met
        store.heal()
        stored = (await browser.ask(other, items)).result
        assert stored == {"cart": CART, "note": "gift"}, (at, answer.status, stored)
        await _check_lists(browser, other, "ann")
        if not met:
            return


@pytest.mark.parametrize("cart", [False, True], ids=["a new visitor", "a visitor with a cart"])
async def test_a_login_that_failed_takes_no_place(site: Farm, cart: bool) -> None:
    """Its record was written and every reply is lost: the answer is 503, and no session stays that no browser has."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().begin(other, cart=list(CART)) if cart else site.browser()
    store.arm("all replies lost", 1)
    assert (await browser.ask(shop, lambda session: session.login("ann"))).status == 503
    assert store.met
    store.heal()
    assert await other.manager.sessions_of("ann") == []
    assert (await browser.ask(other, lambda session: session.login("ann"))).status == 200
    assert await _state(browser, other) == ("ann", CART if cart else None)


@pytest.mark.parametrize("beside", [True, False], ids=["beside another tab", "alone"])
async def test_a_logout_holds_for_copies_of_an_old_cookie_whose_login_could_not_be_noted(
    site: Farm, beside: bool
) -> None:
    """The store fails before it is told that a login took the old session: a later logout says so, and ends the tab."""
    store = Unlucky(site.connect())
    settings = importers(forget=True)
    shop, other = site.worker(store=store, **settings), site.worker(**settings)
    old = old_browser(site, age=60)
    tab, copy = old.copy(), old.copy()

    async def handler(session: Session) -> None:
        session.login("ann")
        if beside:
            await tab.ask(other, look)
        await session.save()
        store.arm("dies before", 1)

    assert (await old.ask(shop, handler)).status == 200
    assert store.met
    assert (await old.ask(other, look)).result == "ann"
    other.heard.clear()
    assert len((await old.ask(other, lambda session: session.logout())).cookies) > 0
    assert other.names().count("SessionLoggedOut") == 1 + beside
    assert [(await each.ask(other, look)).result for each in (old, tab, copy)] == [None] * 3
    assert await other.manager.sessions_of("ann") == []
