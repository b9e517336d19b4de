"""A login that is refused leaves the request what it was, whatever a login would have left behind."""

from __future__ import annotations

from typing import Any

from limpet import Session, SessionLimitReached
from tests.bound.device import Browser as Device
from tests.bound.device import asgi
from tests.laws.farm import Farm
from tests.security.site import SECRET
from tests.security.test_s38_another_client import CHROME, THIEF
from tests.site import Browser, Site, look

ONE: Any = {"max_sessions": 1, "when_full": "refuse"}


async def try_bob(session: Session) -> Any:
    """Log in as bob, who has as many sessions as he may, and write a message; return what the handler has then."""
    await session.load()
    session.login("bob")
    try:
        await session.save()
    except SessionLimitReached:
        session["message"] = "too many sessions"
    return session.subject, session.is_fresh()


async def test_a_tab_whose_session_was_replaced_gets_no_cookie(any_site: Farm) -> None:
    """It would overwrite that of the login which has replaced it."""
    shop = any_site.worker(**ONE)
    await any_site.browser().login(shop, "bob")
    ann = await any_site.browser().begin(shop, cart=["tea"])
    tab = ann.copy()
    await ann.login(shop, "ann")
    answer = await tab.ask(shop, try_bob)
    assert (answer.result, answer.cookies) == ((None, False), [])
    assert (await ann.ask(shop, look)).result == "ann"


async def test_another_client_has_to_log_in_still() -> None:
    """Who has copied ann's cookie, and is refused as bob, is no fresh ann."""
    shop = Site(devices=True, on_client_change={"agent": "login"}, **ONE)
    await Browser().login(shop, "bob")
    token = (await shop.ask(lambda session: session.login("ann"), headers={"user-agent": CHROME})).token
    answer = await shop.ask(try_bob, token, headers={"user-agent": THIEF})
    assert answer.result == ("ann", False)


async def test_what_another_site_sends_begins_no_session() -> None:
    """Its browser may have a session of ours, whose cookie stayed at home."""
    shop = Site(**ONE)
    await Browser().login(shop, "bob")
    answer = await shop.ask(try_bob, method="POST", headers={"sec-fetch-site": "cross-site"})
    assert (answer.result, answer.cookies) == ((None, False), [])


async def test_a_device_that_was_not_proven_keeps_its_cookie() -> None:
    """The browser proves its device at the next request, and has the session that it had."""
    pages: Any = {
        "/bob": lambda session: session.login("bob"),
        "/login/ann": lambda session: session.login("ann"),
        "/me": look,
        "/try": try_bob,
    }
    shop = Site("memory:", pages, secret=SECRET, bound=True, **ONE)
    send = asgi(shop.app)
    await Device(send).get("/bob")
    ann = await Device(send).log_in()
    shop.clock.advance(700)
    assert (await ann.get("/try")).json() == [None, False]
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"
