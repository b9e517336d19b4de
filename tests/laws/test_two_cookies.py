"""Two sessions under one cookie name, because the cookie's path or domain changed or a neighbour planted one."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from limpet import CookiePolicy
from tests.laws.farm import Farm
from tests.site import Answer, Browser, Handler, Site, look

WIDE = CookiePolicy(name="sid", domain="shop.example")
HOST_ONLY = CookiePolicy(name="sid")


async def _both(site: Farm, first: CookiePolicy, second: CookiePolicy, subject: str = "ann") -> tuple[Browser, Site]:
    """Return a browser that has a session from each of two releases of the site, and the newer release."""
    old, new = site.worker(cookie=first), site.worker(cookie=second)
    browser = await site.browser().login(old)
    browser.take_from(await site.browser().login(new, subject))
    assert len(browser.jar.kept) == 2
    return browser, new


SETTINGS = {
    "a domain was added": (HOST_ONLY, WIDE, "/"),
    "a domain was taken away": (WIDE, HOST_ONLY, "/"),
    "a narrower path": (HOST_ONLY, CookiePolicy(name="sid", path="/team"), "/team/"),
    "a path and a domain": (HOST_ONLY, CookiePolicy(name="sid", path="/team", domain="shop.example"), "/team/"),
}


async def _ask(browser: Browser, shop: Site, handler: Handler, path: str) -> Answer:
    return await browser.ask(shop, handler, path=path)


@pytest.mark.parametrize("neighbour", ["ann", "mallory"])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_login_does_not_loop(site: Farm, setting: str, neighbour: str) -> None:
    """The browser with two sessions is anonymous; it logs in once and is logged in, and no session is left over."""
    first, second, path = SETTINGS[setting]
    browser, shop = await _both(site, first, second, neighbour)
    assert (await _ask(browser, shop, look, path)).result is None
    for _ in range(2):
        assert (await _ask(browser, shop, lambda session: session.login("ann"), path)).status == 200
        assert (await _ask(browser, shop, look, path)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1
    assert await shop.manager.sessions_of("mallory") == []


@pytest.mark.parametrize("neighbour", ["ann", "mallory"])
@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_logout_ends_both(site: Farm, setting: str, neighbour: str) -> None:
    """Every session whose id was presented is ended, and what can be deleted is taken from the browser."""
    first, second, path = SETTINGS[setting]
    browser, shop = await _both(site, first, second, neighbour)
    copy = browser.copy()
    answer = await _ask(browser, shop, lambda session: session.logout(), path)
    assert answer.status == 200
    assert answer.cookies
    assert all("Max-Age=0" in line for line in answer.cookies)
    if setting != "a domain was taken away":  # which domain it was nobody can know; its session is ended all the same
        assert [value for value in browser.ids if value] == []
    assert await shop.manager.sessions_of("ann") == []
    assert await shop.manager.sessions_of("mallory") == []
    assert (await _ask(copy, shop, look, path)).result is None


async def test_the_warning_is_given_once(site: Farm, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the cause at the first such request, and is not filled by the others."""
    browser, shop = await _both(site, HOST_ONLY, WIDE)
    with caplog.at_level(logging.WARNING, logger="limpet"):
        for _ in range(5):
            await browser.ask(shop, look)
    said = [record for record in caplog.records if "two different sessions" in record.getMessage()]
    assert len(said) == 1
    assert shop.names().count("AmbiguousCookie") == 5


async def test_a_write_of_the_visitor_in_between_ends_neither(site: Farm) -> None:
    """A page that is no login or logout does not end what it cannot tell apart."""
    browser, shop = await _both(site, HOST_ONLY, WIDE)
    await browser.ask(shop, lambda session: session.get("x"))
    assert len(await shop.manager.sessions_of("ann")) == 2


@pytest.mark.parametrize("end", ["login", "logout"])
async def test_two_cookie_sessions(cookie_site: Farm, end: str) -> None:
    """Sessions that live in their cookies: a login is the only one afterwards, a logout takes both."""
    old, new = cookie_site.worker(cookie=HOST_ONLY), cookie_site.worker(cookie=WIDE)
    browser = await cookie_site.browser().login(old)
    browser.take_from(await cookie_site.browser().login(new, "mallory"))
    cookie_site.clock.advance(1)
    handler: Any = (lambda session: session.login("ann")) if end == "login" else (lambda session: session.logout())
    copy = browser.copy()
    assert (await browser.ask(new, look)).result is None
    await browser.ask(new, handler)
    assert (await browser.ask(new, look)).result == ("ann" if end == "login" else None)
    if end == "logout":
        assert browser.ids == []
        assert (await copy.ask(new, look)).result is None
