"""What is refused or fails changes nothing: neither in the store nor in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session, SessionLimitReached, UnstorableValue
from limpet.events import SessionRevoked
from tests.laws.farm import Farm
from tests.site import Browser, Site, items, look, steps

ONE = {"max_sessions": 1, "when_full": "refuse"}


async def _state(browser: Browser, shop: Site) -> Any:
    return (await browser.ask(shop, lambda session: (session.subject, dict(session)))).result


async def _caught(session: Session) -> str:
    session.login("bob")
    session["note"] = "written beside the login"
    try:
        await session.save()
    except SessionLimitReached:
        return "refused"
    return "accepted"


@pytest.mark.parametrize("before", ["ann", None], ids=["somebody else is logged in", "a visitor with a cart"])
async def test_a_refused_login_leaves_the_session_of_the_browser(any_site: Farm, before: str | None) -> None:
    """The answer is 409 without a cookie, and the session that the browser had is whole, whoever's it was."""
    shop, other = any_site.worker(**ONE), any_site.worker(**ONE)
    bob = await any_site.browser().login(shop, "bob")
    browser = await any_site.browser().begin(shop, cart=["tea"])
    if before:
        await browser.login(shop, before)
    sent = browser.ids
    answer = await browser.ask(
        other, steps(lambda session: session.login("bob"), lambda session: session.update(cart=["bob's"]))
    )
    assert (answer.status, answer.cookies) == (409, [])
    assert browser.ids == sent
    assert await _state(browser, shop) == (before, {"cart": ["tea"]})
    assert (await bob.ask(shop, look)).result == "bob"
    assert len(await shop.manager.sessions_of("bob")) == 1


@pytest.mark.parametrize("catches", [True, False])
async def test_a_refused_login_leaves_what_the_same_request_had_saved(site: Farm, catches: bool) -> None:
    """A login that was saved, before one as somebody else that is refused, stands: its id goes out with the answer."""
    shop = site.worker(**ONE)
    await site.browser().login(shop, "bob")

    async def handler(session: Session) -> None:
        session.login("ann")
        await session.save()
        if catches:
            await _caught(session)
        else:
            session.login("bob")

    browser = site.browser()
    assert (await browser.ask(shop, handler)).status == (200 if catches else 409)
    assert (await browser.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("change", ["regenerate", "login again", "login as another"])
async def test_a_request_that_fails_leaves_nothing_of_a_session_that_it_began(site: Farm, change: str) -> None:
    """Neither what it saved first nor what it saved under another id: no browser has either."""
    shop = site.worker()

    async def handler(session: Session) -> None:
        session.login("ann")
        await session.save()
        if change == "regenerate":
            session.regenerate()
        else:
            session.login("bob" if change == "login as another" else "ann")
        await session.save()
        raise ZeroDivisionError

    assert (await site.browser().ask(shop, handler)).status == 500
    assert [*await shop.manager.sessions_of("ann"), *await shop.manager.sessions_of("bob")] == []


async def test_a_login_after_one_that_was_void_ends_what_the_browser_had(site: Farm) -> None:
    """The id that a request came with is dead after its login, whatever came of another one in between."""
    shop = site.worker()
    browser = await site.browser().login(shop, "bob")
    thief = browser.copy()

    async def handler(session: Session) -> None:
        session.login("ann")
        await shop.manager.revoke_all("ann")
        await session.save()
        assert session.subject is None
        session.login("bob")

    assert (await browser.ask(shop, handler)).status == 200
    assert (await browser.ask(shop, look)).result == "bob"
    assert (await thief.ask(shop, look)).result is None
    assert len(await shop.manager.sessions_of("bob")) == 1


async def _whose_login_was_revoked(site: Farm) -> list[str | None]:
    shop = site.worker()

    async def handler(session: Session) -> None:
        session.login("ann")
        await shop.manager.revoke_all("ann")

    assert (await site.browser().ask(shop, handler)).status == 200
    return [event.subject for event in shop.heard if isinstance(event, SessionRevoked)]


async def test_a_login_that_was_revoked_at_once_is_told_by_the_name_of_its_user(site: Farm) -> None:
    assert await _whose_login_was_revoked(site) == ["ann"]


@pytest.mark.parametrize("cookie_site", ["epoch"], indirect=True)
async def test_a_login_into_a_cookie_that_was_revoked_at_once_is_told_by_the_name_of_its_user(
    cookie_site: Farm,
) -> None:
    assert await _whose_login_was_revoked(cookie_site) == ["ann"]


async def test_a_handler_that_catches_the_refusal_goes_on_with_the_old_session(site: Farm) -> None:
    """After ``save`` raised within ``try`` the session is the one of before, and its user is still logged in."""
    shop = site.worker(**ONE)
    await site.browser().login(shop, "bob")
    ann = await site.browser().login(shop)
    await ann.ask(shop, lambda session: session.update(cart=["tea"]))
    answer = await ann.ask(shop, _caught)
    assert (answer.status, answer.result) == (200, "refused")
    subject, held = await _state(ann, shop)
    assert subject == "ann"
    assert held["cart"] == ["tea"]


FAIL: dict[str, Callable[[Session], Any]] = {
    "login": lambda session: session.login("ann"),
    "remembered login": lambda session: session.login("ann", remember=True),
    "regenerate": lambda session: session.regenerate(),
    "login by key": lambda session: session.update(user_id=7),
}


async def _boom(session: Session) -> None:
    raise RuntimeError("the mail server is down")


@pytest.mark.parametrize("before", [None, "ann", "bob"])
@pytest.mark.parametrize("broken", ["raises", "answers 500"])
@pytest.mark.parametrize("change", FAIL)
async def test_a_request_that_fails_after_save_leaves_a_session_that_works(
    any_site: Farm, change: str, broken: str, before: str | None
) -> None:
    """The id was changed by ``save`` and the answer has no cookie: the browser still has its session, whole."""
    shop, other = any_site.worker(), any_site.worker()
    browser = await any_site.browser().begin(shop, cart=["tea"])
    if before:
        await browser.login(shop, before)
    handler = steps(FAIL[change], lambda session: session.save(), *([_boom] if broken == "raises" else []))
    answer = await browser.ask(shop, handler, status=200 if broken == "raises" else 500)
    assert answer.status == 500
    subject, held = await _state(browser, other)
    assert held.get("cart") == ["tea"]
    assert subject in {before, "ann"}
    if subject != "ann":
        assert await other.manager.sessions_of("ann") == []
    assert (await browser.ask(other, lambda session: session["cart"].append("milk"))).status == 200
    assert (await browser.ask(shop, lambda session: session["cart"])).result == ["tea", "milk"]


async def test_a_refused_request_keeps_its_login(site: Farm) -> None:
    """A 4xx saves: a login whose page is then refused has happened, with its cookie."""
    shop = site.worker()
    browser = await site.browser().begin(shop, cart=["tea"])
    answer = await browser.ask(
        shop, steps(lambda session: session.login("ann"), lambda session: session.save()), status=422
    )
    assert answer.status == 422
    assert await _state(browser, shop) == ("ann", {"cart": ["tea"]})


@pytest.mark.parametrize("saved", [False, True])
async def test_a_logout_counts_although_the_page_fails(any_site: Farm, saved: bool) -> None:
    """An exception drops a login, and never a logout."""
    shop = any_site.worker()
    browser = await any_site.browser().login(shop)
    copy = browser.copy()
    save = [lambda session: session.save()] if saved else []
    await browser.ask(shop, steps(lambda session: session.logout(), *save, _boom))
    assert (await copy.ask(shop, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


NAMES = ["\ud800", "ann\udfff", "ann\x00", "\x00"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_that_no_store_can_keep_is_refused_by_login(any_site: Farm, name: str) -> None:
    """Alike on every store: a ValueError with a sentence, and lists of other users go on working."""
    shop = any_site.worker()
    browser = await any_site.browser().login(shop)

    def handler(session: Session) -> list[str]:
        said = []
        for remember in (False, True):
            with pytest.raises(ValueError, match=r"text|NUL") as caught:
                session.login(name, remember=remember)
            said.append(str(caught.value))
        with pytest.raises(ValueError, match="tag"):
            session.login("ann", tags={"device": name})
        return said

    answer = await browser.ask(shop, handler)
    assert answer.status == 200
    assert all("subject" in sentence for sentence in answer.result)
    assert (await browser.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("what", ["value", "key", "nested"])
async def test_a_value_that_cannot_be_kept_changes_nothing(site: Farm, what: str) -> None:
    """A handler that puts an object in is answered by an error; the browser has what it had, and no cookie comes."""
    shop = site.worker()
    browser = await site.browser().begin(shop, cart=["tea"])

    def handler(session: Session) -> None:
        session["cart"].append("milk")
        match what:
            case "value":
                session["user"] = object()
            case "nested":
                session["cart"].append({"deep": [object()]})
            case _:
                session[7] = 1

    answer = await browser.ask(shop, handler)
    assert (answer.status, answer.cookies) == (500, [])
    assert (await browser.ask(shop, items)).result == {"cart": ["tea"]}


POLICIES: list[dict[str, Any]] = [
    {"idle_timeout": 1800, "absolute_timeout": 43_200},
    {"idle_timeout": 1800, "absolute_timeout": None},
    {"idle_timeout": 1800, "touch_interval": 600},
]
DURING: dict[str, Callable[[Session], Any]] = {
    "write": lambda session: session.update(file="report.pdf"),
    "increment": lambda session: session.increment("n"),
    "look": look,
    "regenerate": lambda session: session.regenerate(),
}


@pytest.mark.parametrize("policy", POLICIES, ids=["strict", "no absolute timeout", "rare touches"])
@pytest.mark.parametrize("during", DURING)
async def test_a_long_request_counts_as_use_from_its_beginning(
    any_site: Farm, during: str, policy: dict[str, Any]
) -> None:
    """Used at minute 25 of 30, the request takes six minutes: its write is there and the user stays logged in."""
    shop, other = any_site.worker(**policy), any_site.worker(**policy)
    ann = await any_site.browser().login(shop)
    any_site.clock.advance(25 * 60)

    def export(session: Session) -> str | None:
        any_site.clock.advance(6 * 60)
        DURING[during](session)
        return session.subject

    answer = await ann.ask(shop, export)
    assert (answer.status, answer.result) == (200, "ann")
    subject, held = await _state(ann, other)
    assert subject == "ann"
    assert bool(held) is (during in {"write", "increment"})


async def test_a_session_that_is_only_looked_at_for_too_long_still_ends(site: Farm) -> None:
    """A use counts from the beginning of its request, not longer: half an hour after it the session is over."""
    shop = site.worker(**POLICIES[0])
    ann = await site.browser().login(shop)
    site.clock.advance(25 * 60)
    await ann.ask(shop, look)
    site.clock.advance(31 * 60)
    assert (await ann.ask(shop, look)).result is None


@pytest.mark.parametrize("count", [1500])
async def test_many_sessions_of_one_user_are_ended_and_listed(site: Farm, count: int) -> None:
    """More sessions of one user than fit into one page of the store: all are listed, and one call ends all."""
    if site.kind == "file":
        count = 300
    shop = site.worker()
    first = await site.browser().login(shop, "bot")
    for _ in range(count):
        await shop.login("bot")
    assert len(await shop.manager.sessions_of("bot")) == count + 1
    assert await shop.manager.revoke_all("bot") == count + 1
    assert await shop.manager.sessions_of("bot") == []
    assert (await first.ask(shop, look)).result is None


async def test_an_increment_of_a_save_that_was_refused_counts_once_in_the_next(site: Farm) -> None:
    """The handler makes the session smaller and goes on; another tab adds to the number meanwhile."""
    shop = site.worker(max_size=1000)
    ann = await site.browser().begin(shop, n=0)

    async def handler(session: Session) -> None:
        session.increment("n")
        session["blob"] = "x" * 2000
        with pytest.raises(UnstorableValue):
            await session.save()
        del session["blob"]
        await ann.copy().ask(shop, lambda other: other.increment("n"))

    assert (await ann.ask(shop, handler)).status == 200
    assert (await ann.ask(shop, items)).result == {"n": 2}


async def test_a_session_that_is_too_large_is_told_with_its_size_and_its_largest_key(site: Farm) -> None:
    """Many keys, each of them small: the size is that of them all."""
    shop = site.worker(max_size=1000)

    async def handler(session: Session) -> str:
        session.update({f"key {at}": "x" * 100 for at in range(20)}, largest="x" * 300)
        with pytest.raises(UnstorableValue) as caught:
            await session.save()
        session.clear()
        return str(caught.value)

    said = (await site.browser().ask(shop, handler)).result
    size, allowed, share = map(int, re.findall(r"[0-9]+", said))
    assert said.startswith("session value at largest ")
    assert size > 20 * 100 + 300 > allowed == 1000 > share > 300


async def test_an_increment_before_a_refresh_counts_once(site: Farm) -> None:
    """Other tabs add to the number before the refresh and after it."""
    shop = site.worker()
    ann = await site.browser().begin(shop, n=0)

    async def handler(session: Session) -> Any:
        session.increment("n")
        await ann.copy().ask(shop, lambda other: other.increment("n"))
        await session.refresh()
        await ann.copy().ask(shop, lambda other: other.increment("n"))
        return session["n"]

    assert (await ann.ask(shop, handler)).result == 2
    assert (await ann.ask(shop, items)).result == {"n": 3}
