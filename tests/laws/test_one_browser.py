"""Logins from one id are of one browser: the later takes the place of the earlier, and a limit counts them once."""

from __future__ import annotations

import pytest

from limpet._core import locks
from limpet._wire import marks
from tests.laws.farm import Farm, Hurried
from tests.laws.old_sessions import importers, old_browser
from tests.site import items, look

ONE = {"max_sessions": 1, "when_full": "refuse"}


@pytest.mark.parametrize("remember", [False, True])
@pytest.mark.parametrize("full", ["refuse", "oldest_out"])
async def test_a_double_click_is_one_browser(any_site: Farm, full: str, remember: bool) -> None:
    """Two logins from one id: the later takes the place of the earlier, is let in, and one device is listed."""
    policy = {"max_sessions": 1, "when_full": full}
    shop, other = any_site.worker(**policy), any_site.worker(**policy)
    browser = await any_site.browser().begin(shop, cart=1)
    dropped = browser.copy()  # the browser drops the answer to the first click
    assert (await dropped.ask(shop, lambda session: session.login("ann", remember=remember))).status == 200
    for _ in range(3):
        answer = await browser.ask(other, lambda session: session.login("ann", remember=remember))
        assert answer.status == 200
        assert (await browser.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1
    assert (await dropped.ask(shop, look)).result is None


async def test_two_clicks_at_once_are_one_browser(site: Farm) -> None:
    """Both requests were loaded before either logged in."""
    shop, other = site.worker(**ONE), site.worker(**ONE)
    browser = await site.browser().begin(shop, cart=1)
    second = browser.copy()
    async with browser.held(shop, lambda session: session.login("ann")) as first:
        assert (await second.ask(other, lambda session: session.login("ann"))).status == 200
    assert first.status == 200
    assert (await browser.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1


async def test_a_login_that_was_saved_is_answered_as_one(site: Farm, caplog: pytest.LogCaptureFixture) -> None:
    """Its user's other logins take too long for it to end the one before: it stands, and a warning says the rest."""
    shop, other = site.worker(), site.worker()
    shop.manager.runtime = Hurried()
    browser = await site.browser().begin(shop, cart=1)
    before = await browser.copy().login(other)
    assert await locks.acquire(other.manager.engine, marks.mark_key("lock", "login", "ann"), 60, 0) is not None
    assert (await browser.ask(shop, lambda session: session.login("ann"))).status == 200
    assert "not all that its request presented could be ended" in caplog.text
    assert [(await each.ask(other, look)).result for each in (browser, before)] == ["ann", "ann"]


async def test_a_login_from_an_old_session_that_was_saved_is_answered_as_one(
    site: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    """Another tab has logged in from the same old session meanwhile, and cannot be ended now: both stand."""
    shop, other = site.worker(**importers(forget=False)), site.worker(**importers(forget=False))
    shop.manager.runtime = Hurried()
    tab = old_browser(site)
    second = tab.copy()
    async with tab.held(shop, lambda session: session.login("ann")) as first:
        await second.login(other)
        assert await locks.acquire(other.manager.engine, marks.mark_key("lock", "login", "ann"), 60, 0) is not None
    assert first.status == 200
    assert "not all that its request presented could be ended" in caplog.text
    assert [(await each.ask(other, look)).result for each in (tab, second)] == ["ann", "ann"]


@pytest.mark.parametrize("full", ["refuse", "oldest_out"])
async def test_a_login_as_another_and_back_is_of_one_browser(site: Farm, full: str) -> None:
    """It takes the place of the login of another tab with the id before; another device keeps its session."""
    shop = site.worker(max_sessions=2, when_full=full)
    phone, tab = await site.browser().login(shop), await site.browser().login(shop)
    other = tab.copy()
    await tab.login(shop)
    await (await other.login(shop, "bob")).login(shop)
    looks = [(await browser.ask(shop, look)).result for browser in (phone, tab, other)]
    assert looks == ["ann", None, "ann"]
    assert len(await shop.manager.sessions_of("ann")) == 2


async def test_a_renewed_id_that_is_logged_out_still_tells_where_it_led(site: Farm) -> None:
    """A login met the logout under the new id, and another logout comes with the old one: it is one browser."""
    shop = site.worker(max_sessions=1, renewal_interval=20)
    tab = await site.browser().begin(shop, cart=1)
    first, second, third = tab.copy(), tab.copy(), tab.copy()
    site.clock.advance(21)
    async with second.held(shop, lambda session: session.logout()):
        async with first.held(shop, lambda session: session.login("ann")):
            await tab.ask(shop, items)
            await tab.ask(shop, lambda session: session.logout())
    assert (await first.ask(shop, look)).result == "ann"
    await third.login(shop)
    assert len(await shop.manager.sessions_of("ann")) == 1


async def test_two_devices_are_two(site: Farm) -> None:
    """Another browser is still refused: only the same id is the same browser."""
    shop = site.worker(**ONE)
    await site.browser().login(shop)
    other = await site.browser().begin(shop, cart=1)
    assert (await other.ask(shop, lambda session: session.login("ann"))).status == 409
