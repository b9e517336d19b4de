"""Sessions of another library that move in are judged as logins of their time, once for each old cookie."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import itsdangerous
import pytest

from limpet import CookiePolicy, Session, SessionManager
from limpet.csrf import CSRFMiddleware
from limpet.events import SessionLoggedOut, SessionRenewed, UnknownId
from limpet.importers import ServerSessions, StarletteCookies
from limpet.manager import system_clock
from limpet.stores import CookieStore
from limpet.transports import HeaderTransport
from tests.laws.farm import Farm
from tests.laws.old_sessions import OLD, importers, old_browser
from tests.laws.unlucky import Between
from tests.site import Browser, Handler, Site, items, look, nothing, steps

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"


ENDS: dict[str, Callable[[SessionManager], Awaitable[Any]]] = {
    "revoke_all": lambda manager: manager.revoke_all("ann"),
    "revoke_everyone": lambda manager: manager.revoke_everyone(),
}


@pytest.mark.parametrize("forget", [True, False])
@pytest.mark.parametrize("moved", [True, False], ids=["after a click", "before any click"])
@pytest.mark.parametrize("how", ENDS)
async def test_an_old_cookie_does_not_revive_what_was_revoked(site: Farm, how: str, moved: bool, forget: bool) -> None:
    """The old cookie was there before the revocation: it opens nothing afterwards, on any worker."""
    settings = importers(forget=forget)
    shop, other = site.worker(**settings), site.worker(**settings)
    old = old_browser(site, age=60)
    if moved:
        assert (await old.copy().ask(shop, look)).result == "ann"
    site.clock.advance(1)
    await ENDS[how](shop.manager)
    site.clock.advance(1)
    for worker in (shop, other, shop):
        assert (await old.copy().ask(worker, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


async def test_an_old_cookie_does_not_pass_a_limit(site: Farm) -> None:
    """Where one session is allowed and taken, an old cookie does not make a second one."""
    settings = importers(forget=False)
    policy = {"max_sessions": 1, "when_full": "refuse"}
    shop = site.worker(**policy, **settings)
    ann = await site.browser().login(shop)
    for _ in range(3):
        await old_browser(site, age=60).ask(shop, look)
    assert (await ann.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1


async def test_an_old_cookie_moves_in_once(site: Farm) -> None:
    """Copies of one old cookie end as one session, not as one for each click."""
    settings = importers(forget=False)
    shop = site.worker(**settings)
    old = old_browser(site, age=60, cart=["tea"])
    assert (await old.ask(shop, items)).result["cart"] == ["tea"]
    for _ in range(3):
        assert (await old.ask(shop, look)).result == "ann"
    assert len(await shop.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("forget", [True, False])
async def test_a_logout_ends_what_moved_in(site: Farm, forget: bool) -> None:
    """After a logout the old cookie, which the browser may still have, does not log its user in again."""
    shop = site.worker(**importers(forget=forget))
    old = old_browser(site, age=60)
    copy = old.copy()
    await old.ask(shop, lambda session: session.update(note=1))
    await old.ask(shop, lambda session: session.logout())
    for browser in (old, copy):
        assert (await browser.ask(shop, look)).result is None


@pytest.mark.parametrize("forget", [True, False])
async def test_a_session_that_moved_in_and_expired_is_not_revived(site: Farm, forget: bool) -> None:
    """Neither the browser that still has the old cookie nor a copy of it opens the session again after its deadline."""
    shop, other = site.worker(idle_timeout=1800, **importers(forget=forget)), site.worker()
    old = old_browser(site, age=60)
    copy = old.copy()
    assert (await old.ask(shop, look)).result == "ann"
    site.clock.advance(31 * 60)
    for browser in (old, copy):
        assert (await browser.ask(shop, look)).result is None
    assert await other.manager.sessions_of("ann") == []


async def test_an_old_cookie_that_is_too_old_opens_nothing(site: Farm) -> None:
    """What the old library would not have read any more does not move in."""
    shop = site.worker(**importers(forget=False, max_age=86_400))
    assert (await old_browser(site, age=86_400 + 60).ask(shop, look)).result is None
    assert (await old_browser(site, age=86_400 - 60).ask(shop, look)).result == "ann"


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
async def test_an_old_cookie_is_no_header(site: Farm, origin: str) -> None:
    """With the id in a header, a cross-site POST that brings only the old cookie is refused; the header passes."""
    site.header = "x-session-id"
    shop = site.worker(transport=HeaderTransport(), around=CSRFMiddleware, **importers(forget=False))
    foreign = {"sec-fetch-site": origin, "origin": "https://evil.example", "content-type": "text/plain"}
    victim = old_browser(site, age=60)
    ran: list[str] = []
    answer = await victim.ask(shop, lambda session: ran.append(str(session.subject)), headers=foreign)
    assert (answer.status, ran) == (403, [])
    browser = await site.browser().login(shop)
    answer = await browser.ask(shop, look, headers=foreign)
    assert (answer.status, answer.result) == (200, "ann")


async def test_ids_without_a_signature_are_read_until_a_date(site: Farm) -> None:
    """Adding a secret to a running store logs nobody out where the operator gave a date; later they are anonymous."""
    secret = "one secret of all workers, long enough 0123456789"
    until = datetime.fromtimestamp(site.clock.now / 1000, UTC) + timedelta(days=2)
    before = site.worker()
    after = site.worker(secret=secret, unsigned_until=until)
    strict = site.worker(secret=secret)
    ann = await site.browser().login(before)
    await ann.ask(before, lambda session: session.update(cart=["tea"]))
    left = ann.copy()
    assert (await ann.copy().ask(strict, look)).result is None
    assert (await ann.ask(after, items)).result == {"cart": ["tea"]}
    assert (await ann.ask(after, look)).result == "ann"
    assert (await ann.ask(strict, look)).result == "ann", "the id was not signed with the next response"
    site.clock.advance(3 * 86_400)
    assert (await left.ask(after, look)).result is None


async def test_a_logout_ends_what_another_request_moved_in_meanwhile(site: Farm) -> None:
    """Two tabs come with one old cookie, and the one logs out while the other has moved in."""
    shop, other = site.worker(**importers(forget=True)), site.worker(**importers(forget=True))
    old = old_browser(site, age=60)
    tab = old.copy()
    async with old.held(shop, lambda session: session.logout()):
        assert (await tab.ask(other, look)).result == "ann"
    assert (await tab.ask(other, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


@pytest.mark.parametrize("times", [1, 2], ids=["renewed", "renewed twice"])
async def test_a_logout_of_what_moved_in_and_was_renewed(site: Farm, times: int) -> None:
    """The note about the old session leads to the ids of before; the browser loses its cookie all the same."""
    shop = site.worker(renewal_interval=600, renewal_grace=10, **importers(forget=False))
    old = old_browser(site, age=60)
    assert (await old.ask(shop, look)).result == "ann"
    for _ in range(times):
        site.clock.advance(601)
        for _ in range(2):
            await old.ask(shop, nothing)
    await old.ask(shop, lambda session: session.logout())
    renewed = [event.tag for event in shop.heard if isinstance(event, SessionRenewed)]
    ended = [(event.tag, event.subject) for event in shop.heard if isinstance(event, SessionLoggedOut)]
    assert ended == [(renewed[-1], "ann")]
    assert shop.manager.cookie_name not in old.cookies
    assert (await old.ask(shop, look)).result is None
    assert await shop.manager.sessions_of("ann") == []


async def test_a_logout_before_anything_moved_in_holds_for_copies_of_the_old_cookie(site: Farm) -> None:
    """Who has copied the old cookie does not log its user in again."""
    shop = site.worker(**importers(forget=True))
    old = old_browser(site, age=60)
    copy = old.copy()
    await old.ask(shop, lambda session: session.logout())
    assert (await copy.ask(shop, look)).result is None


@pytest.mark.parametrize("beside", [True, False], ids=["beside a session of ours", "alone"])
async def test_a_logout_that_read_no_old_session_holds_for_copies_of_its_cookie(site: Farm, beside: bool) -> None:
    """A request that logs out unread ends the old session that it came with, as it ends one of ours."""
    shop = site.worker(**importers(forget=False))
    old = old_browser(site, age=60)
    sent = f"session={old.cookies['session']}"
    if beside:
        ours = await site.browser().login(shop, "bob")
        sent += "".join(f"; {name}={value}" for name, value in ours.cookies.items())
    session = shop.manager.begin([(b"cookie", sent.encode())])
    session.logout()
    await shop.manager.commit(session)
    assert (await old.ask(shop, look)).result is None


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
async def test_an_old_cookie_of_the_same_name_is_no_alarm(store: str, caplog: pytest.LogCaptureFixture) -> None:
    """It has the shape of an id here, and is neither forged nor from a time without a secret; junk is."""
    old = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

    async def fetch(session_id: str) -> dict[str, Any] | None:
        return {"user": "ann"} if session_id == old else None

    moves = ServerSessions(cookie="session", fetch=fetch, until=date(2130, 1, 31), subject="user")
    policy = CookiePolicy(name="session", secure=False)
    site = Site(store, secret=SECRET, cookie=policy, importers=[moves])
    assert (await site.ask(look, old)).result == "ann"
    assert site.said(UnknownId) == 0
    assert not caplog.text
    assert (await site.ask(look, old[::-1])).result is None
    assert [(event.count, event.forged) for event in site.heard if isinstance(event, UnknownId)] == [(1, 1)]
    assert ("LIMPET_UNSIGNED_UNTIL" in caplog.text) is (store == "memory:")


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
@pytest.mark.parametrize("subject", ["user", None], ids=["named", "a key of rotate_on"])
async def test_moving_in_is_no_login(site: Farm, store: str, subject: str | None) -> None:
    """Nobody has seen one: the session is not fresh, however lately it was saved, until somebody logs in here."""

    def asks(session: Any) -> Any:
        return session.subject, session.is_fresh(5), session.is_fresh(None), session.amr

    secret = "one secret of all workers, long enough 0123456789"
    shop = site.worker(store=store, secret=secret, **importers(forget=True, subject=subject))
    old, whose = old_browser(site, age=1), None if subject is None else "ann"
    for _ in range(2):
        assert (await old.ask(shop, asks)).result == (whose, False, True, ("import",))
        await old.ask(shop, lambda session: session.update(note=1))
    await old.ask(shop, lambda session: session.regenerate())
    assert (await old.ask(shop, asks)).result == (whose, False, True, ("import",))
    await old.ask(shop, lambda session: session.login("ann", amr=["pwd"]))
    assert (await old.ask(shop, asks)).result == ("ann", True, True, ("pwd",))


@pytest.mark.parametrize(
    ("logins", "kept"),
    [(["ann"], True), (["ann", "ann"], True), (["bob", "ann"], False), (["ann", "bob", "ann"], False)],
)
@pytest.mark.parametrize("limit", [None, 5])
async def test_what_is_saved_beside_a_login_goes_along_as_far_as_the_session_does(
    site: Farm, logins: list[str], kept: bool, limit: int | None
) -> None:
    """Not into what the same user begins after somebody else had logged in: that took nothing along."""
    shop = site.worker(max_sessions=limit, **importers(forget=True))
    old = old_browser(site, age=60)
    tab = old.copy()

    async def handler(session: Session) -> None:
        session["late"] = 1
        await session.save()
        for subject in logins:
            await tab.login(shop, subject)

    answer = await old.ask(shop, handler)
    assert (answer.status, answer.cookies) == (200, [])
    assert ("late" in (await tab.ask(shop, items)).result) is kept


@pytest.mark.parametrize("revocation", ["none", "denylist"])
async def test_a_cookie_session_is_read_at_first_use_where_others_are_lazy(revocation: Any) -> None:
    """For those who bring an old cookie too: what works for one visitor works for all."""
    store = CookieStore(revocation=revocation, revocation_store=None if revocation == "none" else "memory:")
    site = Site(store, secret=SECRET, lazy=True, clock=system_clock, **importers(forget=True))
    data = base64.b64encode(json.dumps({"user": "ann"}).encode())
    for old, subject in (
        (itsdangerous.TimestampSigner(OLD).sign(data).decode(), "ann"),
        ("junk", None),
        (None, None),
    ):
        browser, page = Browser(), steps(lambda session: session.update(seen=True), look)
        cookies = {} if old is None else {"cookie": f"session={old}"}
        assert (await browser.ask(site, page, headers=cookies)).result == subject
        assert (await browser.ask(site, page)).result == subject


async def test_what_one_task_wrote_is_not_taken_back_by_the_load_of_another(
    site: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tasks of one request load the old session, and the slower one hears of it when the other has written."""
    shop = site.worker(lazy=True, **importers(forget=True))
    shop.loads, reads, read = False, iter([0.0, 0.03]), StarletteCookies.read

    async def late(importer: StarletteCookies, value: str, now: int) -> Any:
        await asyncio.sleep(next(reads))
        return await read(importer, value, now)

    async def page(session: Session) -> None:
        async def write() -> None:
            await session.load()
            session["note"] = "kept"

        await asyncio.gather(write(), session.load())

    monkeypatch.setattr(StarletteCookies, "read", late)
    ann = old_browser(site)
    assert (await ann.ask(shop, page)).status == 200
    assert (await ann.ask(shop, steps(lambda session: session.load(), items))).result["note"] == "kept"


async def test_requests_that_move_a_session_at_once_do_not_hold_its_lock_at_once(site: Farm) -> None:
    """Each has an id of its own until the response starts; the lock is of the session that they move."""
    settings = importers(forget=False)
    old, inside, most = old_browser(site), 0, 0

    async def guard(session: Session) -> None:
        nonlocal inside, most
        async with session.exclusive("basket"):
            inside += 1
            most = max(most, inside)
            session.increment("n")
            await asyncio.sleep(0.02)
            inside -= 1

    workers = [site.worker(**settings) for _ in range(3)]
    answers = await asyncio.gather(*(old.copy().ask(worker, guard) for worker in workers))
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert most == 1
    assert (await old.ask(workers[0], items)).result["n"] == 3


@pytest.mark.parametrize("moved", [False, True], ids=["not moved yet", "moved by another request"])
async def test_a_logout_while_another_task_reads_the_old_session(site: Farm, moved: bool) -> None:
    """The store answers late, and then the old session is not taken over any more: the logout stands."""
    store = Between(site.connect())
    settings = importers(forget=False)
    shop, other = site.worker(store=store, lazy=True, **settings), site.worker(**settings)
    shop.loads = False
    old = old_browser(site)
    if moved:
        assert (await old.copy().ask(other, look)).result == "ann"

    async def page(session: Session) -> None:
        async def logout() -> None:
            session.logout()

        store.meanwhile = logout
        await session.load()

    assert (await old.ask(shop, page)).status == 200
    assert (await old.ask(other, look)).result is None
    assert await other.manager.sessions_of("ann") == []


@pytest.mark.parametrize("saves", [0, 1, 2], ids=["no save", "a save before it", "a save of it"])
@pytest.mark.parametrize("limit", [None, 5])
async def test_a_login_takes_along_what_another_request_moved_in_meanwhile(
    site: Farm, limit: int | None, saves: int
) -> None:
    """Two tabs come with one old cookie: the login of the same user is of the session that the other tab saved."""
    shop = site.worker(max_sessions=limit, **importers(forget=True))
    old = old_browser(site, age=60)
    tab = old.copy()

    async def handler(session: Session) -> None:
        session["own"] = 1
        if saves == 1:
            await session.save()
        await tab.ask(shop, lambda session: session.update(note=1))
        session.login("ann")
        if saves == 2:
            await session.save()

    await old.ask(shop, handler)
    kept = (await old.ask(shop, items)).result
    assert (kept["own"], kept["note"]) == (1, 1)
    assert (await tab.ask(shop, look)).result is None, "the id from before the login opens nothing"
    assert len(await shop.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("first", [[], [nothing], [nothing, lambda session: session.login("ann")]])
async def test_what_begins_after_a_logout_takes_nothing_along(site: Farm, first: list[Handler]) -> None:
    """Not even what was saved of the old session that another tab had moved, though its id changes twice."""
    shop = site.worker(max_sessions=3, **importers(forget=True))
    old = old_browser(site, age=60)
    tab, late = old.copy(), old.copy()

    async def anew(session: Session) -> None:
        await old.ask(shop, nothing)
        session.logout()
        session.login("ann")
        await session.save()
        session.regenerate()

    async def handler(session: Session) -> None:
        session["early"] = 1
        await session.save()
        for each in (*first, anew):
            await tab.ask(shop, each)

    assert (await late.ask(shop, handler)).cookies == []
    assert (await tab.ask(shop, items)).result == {}
    assert (await tab.ask(shop, look)).result == "ann"
