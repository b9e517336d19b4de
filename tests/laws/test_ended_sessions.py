"""What was ended stays ended, whatever a request that met it alive does afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet import Keyring, Session, SessionEnded
from limpet.events import SessionLoggedOut, WriteDropped
from tests.laws.farm import Farm
from tests.laws.unlucky import AfterWrites, Between
from tests.site import Browser, Site, items, look, steps

END: dict[str, Callable[[Browser, Site], Awaitable[Any]]] = {
    "logout": lambda tab, shop: tab.ask(shop, lambda session: session.logout()),
    "clear": lambda tab, shop: tab.ask(shop, lambda session: session.clear()),
    "login of another user": lambda tab, shop: tab.login(shop, "bob"),
    "revoke_all": lambda tab, shop: shop.manager.revoke_all("ann"),
    "revoke": lambda tab, shop: _revoke(tab, shop),
    "revoke_everyone": lambda tab, shop: shop.manager.revoke_everyone(),
    "revoke by tag": lambda tab, shop: shop.manager.revoke(tag=("device", "phone")),
}
CHANGE: dict[str, Callable[[Browser, Site], Awaitable[Any]]] = {
    "logout": END["logout"],
    "login of another user": END["login of another user"],
    "login": lambda tab, shop: tab.login(shop),
    "regenerate": lambda tab, shop: tab.ask(shop, lambda session: session.regenerate()),
}
LEARN: dict[str, Callable[[Session], Any]] = {
    "exclusive": lambda session: _refresh_token(session),
    "save": lambda session: session.save(),
    "refresh": lambda session: session.refresh(),
    "is_live": lambda session: session.is_live(),
    "commit": look,
}


async def _revoke(tab: Browser, shop: Site) -> None:
    assert await shop.manager.revoke(await tab.public_id(shop)) == 1


async def _refresh_token(session: Session) -> None:
    async with session.exclusive("oauth"):
        if session.get("token") is None:
            session["token"] = "of ann"


def _write(session: Session) -> None:
    session["token"] = "of ann"
    session.setdefault("orders", []).append(7)


@pytest.mark.parametrize("learn", LEARN)
@pytest.mark.parametrize("how", END)
async def test_a_request_that_meets_the_end_on_its_way_begins_nothing(any_site: Farm, how: str, learn: str) -> None:
    """The request writes before and after it can know of the end: no cookie, no new session, no data of the user."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().login(shop, "ann", tags={"device": "phone"})
    tab = ann.copy()
    before = ann.ids
    async with ann.held(shop, steps(_write, LEARN[learn], _write)) as slow:
        await END[how](tab, other)
    assert slow.cookies == []
    assert ann.ids == before, "the slow answer would overwrite what the browser has by now"
    state = (await ann.ask(other, lambda session: (session.subject, dict(session)))).result
    assert state == (None, {})
    assert await other.manager.sessions_of("ann") == []
    if how == "login of another user":
        assert (await tab.ask(shop, lambda session: (session.subject, dict(session)))).result == ("bob", {})


@pytest.mark.parametrize("learn", ["exclusive", "save", "refresh"])
async def test_only_a_login_leaves_an_ended_session_behind(site: Farm, learn: str) -> None:
    """A request whose session was ended can log somebody in; nothing of the ended session comes along."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(shop)
    await ann.ask(shop, lambda session: session.update(secret="of ann"))
    async with ann.held(shop, steps(_write, LEARN[learn], lambda session: session.login("bob"))) as slow:
        await ann.copy().ask(other, lambda session: session.logout())
    assert slow.status == 200
    state = (await ann.ask(other, lambda session: (session.subject, dict(session)))).result
    assert state == ("bob", {})


async def test_a_policy_can_make_it_an_error(site: Farm) -> None:
    """With ``on_ended="raise"`` the handler is told, and still nothing is stored and no cookie sent."""
    shop, other = site.worker(on_ended="raise"), site.worker()
    ann = await site.browser().login(shop)
    told: list[str] = []

    async def handler(session: Session) -> None:
        session["late"] = 1
        try:
            await session.save()
        except SessionEnded:
            told.append("ended")

    async with ann.held(shop, handler) as slow:
        await ann.copy().ask(other, lambda session: session.logout())
    assert told == ["ended"]
    assert slow.cookies == []
    assert (await ann.ask(other, items)).result == {}


CHANGES: dict[str, tuple[Callable[[Session], Any], str | None]] = {
    "login": (lambda session: session.login("ann"), "ann"),
    "remembered login": (lambda session: session.login("ann", remember=True), "ann"),
    "login by key": (lambda session: session.update(user_id=7), None),
    "regenerate": (lambda session: session.regenerate(), None),
    "logout": (lambda session: session.logout(), None),
    "saved login": (steps(lambda session: session.login("ann"), lambda session: session.save()), "ann"),
}
LATE: dict[str, Callable[[Session], Any]] = {
    "append": lambda session: session.setdefault("seen", []).append("milk"),
    "increment": lambda session: session.increment("n"),
    "save": steps(lambda session: session.increment("n"), lambda session: session.save()),
    "flash": lambda session: session.flash("seen"),
    "regenerate": lambda session: session.regenerate(),
    "exclusive": lambda session: _refresh_token(session),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_request_beside_a_change_of_id_does_not_undo_it(any_site: Farm, change: str, late: str) -> None:
    """Two requests leave with one cookie; the one that is read just after the other's change sets no cookie."""
    handler, subject = CHANGES[change]
    shop, other = any_site.worker(), any_site.worker()
    browser = await any_site.browser().begin(shop, seen=["tea"])
    beside = browser.copy()
    assert (await browser.ask(shop, handler)).status == 200
    after, sent = browser.ids, beside.ids
    answer = await beside.ask(other, LATE[late])
    assert (answer.status, answer.cookies) == (200, [])
    assert beside.ids == sent
    assert browser.ids == after
    if change == "logout":
        assert (await beside.ask(other, items)).result == {}
    else:
        state = (await browser.ask(other, lambda session: (session.subject, session["seen"]))).result
        assert state == (subject, ["tea"])


@pytest.mark.parametrize("late", ["append", "increment", "save", "flash"])
@pytest.mark.parametrize("change", ["login", "remembered login", "regenerate", "login by key"])
async def test_what_a_request_under_way_saved_before_the_change_is_kept(site: Farm, change: str, late: str) -> None:
    """What another tab saved while the login was under way moves into the new session with the rest."""
    handler, subject = CHANGES[change]
    shop, other = site.worker(), site.worker()
    browser = await site.browser().begin(shop, seen=["tea"])
    async with browser.held(shop, handler) as login:
        assert (await browser.copy().ask(other, LATE[late])).status == 200
    assert login.status == 200
    state = (await browser.ask(other, lambda session: (session.subject, dict(session)))).result
    assert state[0] == subject
    assert "milk" in state[1]["seen"] or "n" in state[1] or len(state[1]) > 1


async def test_after_a_minute_such_an_id_is_like_any_unknown_one(site: Farm) -> None:
    """More than a minute after a logout the id is junk: a visitor who still sends it begins a session of their own."""
    shop = site.worker()
    browser = await site.browser().login(shop)
    old = browser.copy()
    await browser.ask(shop, lambda session: session.logout())
    site.clock.advance(120)
    answer = await old.ask(shop, lambda session: session.update(cart=["tea"]))
    assert len(answer.cookies) == 1
    assert (await old.ask(shop, lambda session: (session.subject, dict(session)))).result == (None, {"cart": ["tea"]})


EMPTY: dict[str, Callable[[Session], Any]] = {
    "pop": lambda session: session.pop("user"),
    "pop with a default": lambda session: session.pop("user", None),
    "del": lambda session: session.__delitem__("user"),
    "popitem": lambda session: session.popitem(),
    "clear": lambda session: session.clear(),
}


@pytest.mark.parametrize("empty", EMPTY)
async def test_removing_the_last_key_is_a_logout(any_site: Farm, empty: str) -> None:
    """The record and the cookie of an emptied session without a subject go, as Starlette and Flask do it."""
    shop = any_site.worker()
    browser = await any_site.browser().begin(shop, user={"name": "ann"})
    copy = browser.copy()
    answer = await browser.ask(shop, EMPTY[empty])
    assert answer.status == 200
    assert [value for value in browser.ids if value] == []
    assert (await copy.ask(shop, lambda session: (dict(session), session.is_new))).result == ({}, True)


@pytest.mark.parametrize("empty", EMPTY)
async def test_removing_the_last_key_of_a_cookie_session_deletes_the_cookie(cookie_site: Farm, empty: str) -> None:
    """So it is where the session lives in the cookie."""
    shop = cookie_site.worker()
    browser = await cookie_site.browser().begin(shop, user={"name": "ann"})
    assert browser.ids
    await browser.ask(shop, EMPTY[empty])
    assert browser.ids == []


@pytest.mark.parametrize("empty", [name for name in EMPTY if name != "clear"])
async def test_a_user_without_data_stays_logged_in(any_site: Farm, empty: str) -> None:
    """The last key of a session with a subject can go: the user stays logged in, with the same id or a new one."""
    shop = any_site.worker(rotate_on=())
    browser = await any_site.browser().login(shop)
    await browser.ask(shop, lambda session: session.update(user=1))
    answer = await browser.ask(shop, EMPTY[empty])
    assert answer.cookies == []
    assert (await browser.ask(shop, lambda session: (session.subject, dict(session)))).result == ("ann", {})


async def test_a_key_that_comes_back_is_no_end(site: Farm) -> None:
    """A handler that takes the last key out and puts one in again has changed the session, not ended it."""
    shop = site.worker(rotate_on=())
    browser = await site.browser().begin(shop, user=1)
    answer = await browser.ask(shop, steps(lambda session: session.pop("user"), lambda session: session.update(n=2)))
    assert answer.cookies == []
    assert (await browser.ask(shop, items)).result == {"n": 2}


async def test_another_tab_that_adds_keeps_an_emptied_session_alive_or_ended_whole(site: Farm) -> None:
    """One tab removes the last key while another adds one: both changes count, so that the addition is there."""
    shop, other = site.worker(rotate_on=()), site.worker(rotate_on=())
    browser = await site.browser().begin(shop, user=1)
    tab = browser.copy()
    async with browser.held(shop, lambda session: session.pop("user")):
        await tab.ask(other, lambda session: session.update(cart=["tea"]))
    stored = (await tab.ask(shop, items)).result
    assert stored == {"cart": ["tea"]}


@pytest.mark.parametrize("how", CHANGE)
@pytest.mark.parametrize("due", ["a renewed id", "a newer signing key"])
async def test_an_id_that_has_ended_does_not_go_out_again(site: Farm, due: str, how: str) -> None:
    """A request that only reads would send its id once more, and another tab ends that id meanwhile: no cookie."""
    if due == "a renewed id":
        shop = site.worker(renewal_interval=600)
        ann = await site.browser().login(shop)
        old = ann.copy()
        site.clock.advance(601)
        await ann.ask(shop)
        assert ann.ids != old.ids
    else:
        first, second = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        ann = await site.browser().login(site.worker(secret=first))
        shop, old = site.worker(secret=Keyring([second, first])), ann.copy()
    assert (await old.copy().ask(shop)).cookies, "its id is due to go out again"
    async with old.held(shop) as slow:
        await CHANGE[how](ann, shop)
    assert (slow.status, slow.cookies) == (200, [])


@pytest.mark.parametrize("first", ["login", "login as another", "logout and login", "revoked and login"])
async def test_a_logout_that_ended_nothing_takes_no_cookie_back(site: Farm, first: str) -> None:
    """While it was under way others ended its session and began the next: that one's cookie stays in the browser."""
    shop, who = site.worker(), "bob" if first == "login as another" else "ann"
    ann = await site.browser().login(shop)
    async with ann.held(shop, Session.logout) as slow:
        if first == "logout and login":
            await ann.ask(shop, Session.logout)
        elif first == "revoked and login":
            await shop.manager.revoke_all("ann")
        await ann.login(shop, who)
        before = shop.said(SessionLoggedOut)
    assert (slow.status, slow.cookies) == (200, [])
    assert shop.said(SessionLoggedOut) == before, "this logout has ended nothing"
    assert (await ann.ask(shop, lambda session: session.subject)).result == who


async def test_a_logout_follows_a_renewal_and_then_another_id(site: Farm) -> None:
    """All three came with one id: the one renews it, the next regenerates what that made, and the logout ends that."""
    shop = site.worker(renewal_interval=600)
    ann = await site.browser().login(shop)
    first, second, third = ann.copy(), ann.copy(), ann.copy()
    site.clock.advance(601)
    async with third.held(shop, Session.logout), second.held(shop, Session.regenerate):
        await first.ask(shop, lambda session: session.update(n=1))
    assert first.ids != ann.ids
    assert second.ids not in (ann.ids, first.ids)
    for browser in (ann, first, second):
        assert (await browser.ask(shop, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


async def test_an_old_id_is_over_only_when_the_new_one_is(site: Farm) -> None:
    """A logout began before two renewals: at no moment of it is an old id over while a newer one still is served."""
    store = AfterWrites(site.connect())
    shop, other = site.worker(store=store, renewal_interval=5), site.worker(renewal_interval=5)
    ann = await site.browser().login(shop)
    first, moments = ann.copy(), list[list[bool]]()
    async with first.copy().held(shop, Session.logout):
        site.clock.advance(6)
        await ann.ask(other, items)
        second = ann.copy()
        site.clock.advance(6)
        await ann.ask(other, items)
        assert len({*first.ids, *second.ids, *ann.ids}) == 3

        async def look_at_all() -> None:
            answers = [await browser.copy().ask(other, look) for browser in (first, second, ann)]
            moments.append([answer.result is None for answer in answers])

        store.watcher = look_at_all
    assert moments[-1] == [True] * 3
    assert all(over == sorted(over) for over in moments), "an old id was over while a newer one was served"


@pytest.mark.parametrize("met", [True, False], ids=["met alive", "came too late"])
async def test_a_login_takes_along_what_was_written_after_the_end_only_from_who_read_nothing(
    site: Farm, met: bool
) -> None:
    """What a handler writes that has read an ended session may be of that session; the next user does not get it."""
    shop = site.worker()
    ann = await site.browser().login(shop)
    tab = ann.copy()
    await ann.ask(shop, lambda session: session.update(card="of ann"))

    async def handler(session: Session) -> None:
        card = session.get("card")
        if met:
            await ann.ask(shop, lambda other: other.logout())
            await session.refresh()
        session["copied"] = card
        session.login("bob")
        session["after"] = True

    if not met:
        await ann.ask(shop, lambda other: other.logout())
    assert (await tab.ask(shop, handler)).status == 200
    assert shop.said(WriteDropped) == met, "it was dropped, and that is said"
    found = (await tab.ask(shop, lambda session: (session.subject, dict(session)))).result
    assert found == ("bob", {"after": True} if met else {"copied": None, "after": True})


async def test_a_session_that_is_used_while_another_request_reads_it_stays(site: Farm) -> None:
    """What was read is past its life when it arrives; by then another request has used the session, which lives on."""
    policy = {"idle_timeout": 100}
    store = Between(site.connect())
    here, other = site.worker(store=store, **policy), site.worker(**policy)
    ann = await site.browser().login(other)
    late = ann.copy()
    site.clock.advance(90)

    async def used() -> None:
        await ann.ask(other, look)
        site.clock.advance(60)

    store.meanwhile = used
    assert (await late.ask(here, look)).result == "ann"
    assert (await ann.ask(other, look)).result == "ann"


@pytest.mark.parametrize("full", ["refuse", "oldest_out"])
@pytest.mark.parametrize("how", ["logout", "clear", "last key"])
async def test_a_browser_that_begins_anew_beside_its_own_login_is_one_browser(site: Farm, how: str, full: str) -> None:
    """A tab ends the session and goes on, while another one logs in with the same id; its cookie goes out last."""
    shop = site.worker(max_sessions=1, when_full=full)
    browser = await site.browser().begin(shop, cart=["tea"])
    ends: dict[str, Callable[[Session], Any]] = {
        "logout": Session.logout,
        "clear": Session.clear,
        "last key": lambda session: session.pop("cart"),
    }
    tab, end = browser.copy(), steps(ends[how], Session.save)
    async with tab.held(shop, lambda session: session.update(cart=["milk"]), first=end):
        await browser.login(shop)
    assert (await tab.ask(shop, lambda session: session.login("ann"))).status == 200
    assert [found.current for found in await shop.manager.sessions_of("ann")] == [False]
    assert (await tab.ask(shop, look)).result == "ann"


@pytest.mark.parametrize("moves", [True, False], ids=["under a new id", "as it was saved"])
@pytest.mark.parametrize("end", ["logout", "last key"])
async def test_who_ends_what_it_began_beside_a_logout_takes_no_cookie_back(site: Farm, end: str, moves: bool) -> None:
    """Another tab ended what the request came with, and the browser may have logged in anew since."""
    shop = site.worker()
    browser = await site.browser().begin(shop, cart=["tea"])
    tab, before = browser.copy(), dict(browser.cookies)
    move: list[Callable[[Session], Any]] = [Session.regenerate, Session.save] if moves else []
    ends: Callable[[Session], Any] = Session.logout if end == "logout" else lambda session: session.pop("note")
    begins = [Session.logout, lambda session: session.update(note=1), Session.save]
    async with tab.held(shop, steps(*begins, *move, ends)):
        await browser.ask(shop, lambda session: session.logout())
    assert (tab.cookies, browser.cookies) == (before, {})
