"""A new id whose change could not be finished: what others did to the session under the old one is not undone by it."""

from __future__ import annotations

import pytest

from limpet import Session
from limpet.stores.memory import MemoryStore
from tests.laws.farm import Farm
from tests.laws.unlucky import Unlucky
from tests.site import Browser, Handler, Site, items, look, steps

SAVED = steps(Session.regenerate, Session.save)
CHANGES: dict[str, Handler] = {
    "regenerate": Session.regenerate,
    "login": lambda session: session.login("ann"),
    "rotate": lambda session: session.update(user_id=2),
}


async def test_a_logout_beside_a_new_id_that_was_saved_stays(site: Farm) -> None:
    """The id is new and saved when another tab logs out, and then the store fails: the browser is not logged in."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)
    tab, before = browser.copy(), browser.ids
    async with browser.held(shop, lambda session: session.update(a=1), first=SAVED) as answer:
        await tab.ask(other, Session.logout)
        store.arm("dies before", 1)
    assert answer.status == 503
    store.heal()
    assert browser.ids == before  # no id goes out with an error
    assert (await browser.ask(other, look)).result is None


async def test_a_logout_beside_a_new_id_whose_old_one_cannot_be_looked_at_stays(site: Farm) -> None:
    """Nobody can tell whether the old id has ended, so the new one goes out: the next request learns of the logout."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)
    tab = browser.copy()
    async with browser.held(shop, Session.regenerate) as answer:
        await tab.ask(other, Session.logout)
        store.arm("dies before", 2)  # the first makes the new record
    assert answer.status == 200
    assert store.met
    store.heal()
    assert browser.ids != tab.ids
    assert (await browser.ask(other, look)).result is None
    assert await other.manager.sessions_of("ann") == []


@pytest.mark.parametrize("changes", ["regenerate", "saved"])
async def test_a_logout_with_the_id_before_ends_the_session(any_site: Farm, changes: str) -> None:
    """It was on its way when another tab's request changed the id: it is the same session."""
    shop, other = any_site.worker(), any_site.worker()
    browser = await any_site.browser().login(shop)
    tab = browser.copy()
    assert (await browser.ask(shop, Session.regenerate if changes == "regenerate" else SAVED)).status == 200
    answer = await tab.ask(other, Session.logout)
    assert any_site.header or [line for line in answer.cookies if "Max-Age=0" in line]
    assert "SessionLoggedOut" in other.names()
    assert (await browser.ask(other, look)).result is None


async def test_a_logout_with_the_id_before_a_login_ends_nothing(any_site: Farm) -> None:
    """New credentials stand, and their cookie stays: the logout was meant for the session before."""
    shop, other = any_site.worker(), any_site.worker()
    browser = await any_site.browser().login(shop)
    tab = browser.copy()
    await browser.login(shop)
    assert (await tab.ask(other, Session.logout)).cookies == []
    assert (await browser.ask(other, look)).result == "ann"


async def test_a_strict_conflict_beside_a_new_id_that_was_saved_changes_nothing(site: Farm) -> None:
    """The request is told that nothing was saved: so it is, and what another tab saved stays."""
    shop, other = site.worker(strict_merge=True), site.worker(strict_merge=True)
    browser = await site.browser().login(other)
    tab, before = browser.copy(), browser.ids
    async with browser.held(shop, lambda session: session.update(note="mine"), first=SAVED) as answer:
        await tab.ask(other, lambda session: session.update(note="theirs"))
    assert answer.status == 409
    assert browser.ids == before
    assert (await browser.ask(other, items)).result == {"note": "theirs"}
    assert len(await other.manager.sessions_of("ann")) == 1


async def test_a_change_of_id_has_the_whole_budget_of_merging(site: Farm) -> None:
    """Another tab saves once: that is one conflict, and not two."""
    shop, other = site.worker(merge_attempts=2), site.worker()
    browser = await site.browser().login(other)
    tab = browser.copy()
    async with browser.held(shop, SAVED) as answer:
        await tab.ask(other, lambda session: session.update(note="theirs"))
    assert answer.status == 200
    assert (await browser.ask(other, items)).result == {"note": "theirs"}


async def test_what_was_saved_under_a_new_id_goes_back_before_that_ends(site: Farm) -> None:
    """A request fails after it has saved, and its process dies while it takes its new id back."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)

    def fail(session: Session) -> None:
        store.arm("dies before", 2)
        raise RuntimeError("the mail server is down")

    handler = steps(Session.regenerate, lambda session: session.update(cart=["tea"]), Session.save, fail)
    assert (await browser.ask(shop, handler)).status == 500
    assert store.met
    store.heal()
    assert (await browser.ask(other, items)).result == {"cart": ["tea"]}


async def test_a_login_ends_with_its_next_request_what_it_could_not_end(site: Farm) -> None:
    """Of two cookies of one name one stayed, and comes again beside that of the login: it is the login's session."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    one, two = await site.browser().begin(other, a=1), await site.browser().begin(other, b=2)
    name = other.manager.cookie_name
    header = [("cookie", f"{name}={one.ids[0]}; {name}={two.ids[0]}")]
    login = site.browser()
    store.arm("dies before", 3)  # the first makes the new record, the others end those that were presented
    assert (await login.ask(shop, lambda session: session.login("ann"), headers=header)).status == 200
    assert store.met
    store.heal()
    both = [("cookie", f"{name}={login.ids[0]}; {name}={two.ids[0]}")]
    assert (await login.ask(other, look, headers=both)).result == "ann"
    assert (await two.ask(other, items)).result == {}


async def test_a_request_that_fails_raises_its_own_error() -> None:
    """What it had saved under a new id cannot go back, as another tab has logged out: that is no error of its own."""
    site = Site(MemoryStore(), on_ended="raise", loads=True)
    browser = await Browser().login(site)
    tab = browser.copy()

    def fail(session: Session) -> None:
        raise LookupError("of the handler")

    save = steps(Session.regenerate, lambda session: session.update(a=1), Session.save)
    with pytest.raises(LookupError, match="of the handler"):
        async with browser.held(site, fail, first=save):
            await tab.ask(site, Session.logout)


@pytest.mark.parametrize("first", CHANGES)
async def test_a_session_that_is_revoked_before_its_new_id_is_changed_once_more_is_over(site: Farm, first: str) -> None:
    """The id that was saved has not gone out, and others know its public id: what they do holds for the next one."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(other)

    async def revoke(session: Session) -> None:
        assert await other.manager.revoke(session.public_id or "") == 1

    changes = steps(CHANGES[first], Session.save, revoke, Session.regenerate, Session.save)
    assert (await ann.ask(shop, changes)).status == 200
    assert (await ann.ask(other, look)).result is None
    assert await other.manager.sessions_of("ann") == []


@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
async def test_what_a_job_saves_before_a_new_id_is_changed_once_more_is_kept(
    site: Farm, first: str, second: str
) -> None:
    """It was acknowledged, and the id that the browser gets stands for the same session."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(other)

    async def job(session: Session) -> None:
        async with other.manager.open(session.public_id or "") as opened:
            opened["report"] = "ready"

    assert (await ann.ask(shop, steps(CHANGES[first], Session.save, job, CHANGES[second]))).status == 200
    answer = await ann.ask(other, lambda session: (session.subject, session.get("report")))
    assert answer.result == ("ann", "ready")
