"""A change of id that its process could not finish: any other process that reads the new record does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from limpet import Session
from limpet.errors import SessionEnded
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock
from tests.laws.farm import Farm
from tests.laws.unlucky import Unlucky
from tests.site import Browser, Handler, Site, items, look, steps

END_OF_OLD = 2  # the write of a change of id that ends the old one; the first makes the new record


def _regenerate(session: Session) -> None:
    session.increment("n", 10)
    session["log"].append("changed")
    session.regenerate()


def _other_tab(session: Session) -> None:
    session.increment("n")
    session["log"].append("other")
    session["note"] = "gift"


def _public_id(browser: Browser, site: Site) -> str:
    ids = site.manager.engine.ids
    raw = ids.verify(browser.ids[0])
    assert raw is not None
    return ids.key_of(raw)


async def _break_off(site: Farm, change: Handler = _regenerate, **settings: Any) -> tuple[Browser, Browser, Site]:
    """Lose the store while the old id is ended, and let another tab save.

    Returns the browser, one that has the old id, and another worker.

    In the store the old record is alive, and holds what the other tab saved.
    """
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store, **settings), site.worker(**settings)
    browser = await site.browser().login(other)
    await browser.ask(other, lambda session: session.update(n=1, log=["begun"]))
    old = browser.copy()
    async with browser.held(shop, change) as answer:
        store.arm("dies before", END_OF_OLD)
    assert answer.status == 200
    store.heal()
    assert old.ids != browser.ids
    await old.ask(other, _other_tab)
    return browser, old, site.worker(**settings)


async def test_another_process_merges_what_was_saved_and_ends_the_old_id(site: Farm) -> None:
    """The next request with the new id finds both sides' changes, each once, and the old id is dead from then on."""
    browser, old, third = await _break_off(site)
    found = (await browser.ask(third, items)).result
    assert found == {"n": 12, "log": ["begun", "other", "changed"], "note": "gift"}
    assert (await old.ask(third, look)).result is None
    assert (await browser.ask(third, items)).result == found
    assert len(await third.manager.sessions_of("ann")) == 1


async def test_a_revocation_by_public_id_ends_the_old_id_too(site: Farm) -> None:
    """Nobody has come with the new id since: it is one session, and none of its ids opens anything."""
    browser, old, third = await _break_off(site)
    assert await third.manager.revoke(_public_id(browser, third)) == 1
    assert (await old.ask(third, look)).result is None
    assert (await browser.ask(third, look)).result is None


async def test_a_job_that_empties_it_ends_the_old_id_too(site: Farm) -> None:
    """It opens the session before a request comes with the new id, and takes the last key away."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().begin(other, n=1)
    old = browser.copy()
    async with browser.held(shop, Session.regenerate):
        store.arm("dies before", END_OF_OLD)
    store.heal()
    async with other.manager.open(_public_id(browser, other)) as session:
        del session["n"]
    assert (await old.ask(other, items)).result == {}
    assert (await browser.ask(other, items)).result == {}


async def test_an_old_id_that_only_this_host_takes_for_expired_ends_too(site: Farm) -> None:
    """A host that is five minutes behind has shortened its life, and would still serve it."""
    browser, old, third = await _break_off(site)
    clock = FakeClock()
    clock.advance(-300)
    behind = site.worker(clock=clock)
    assert (await old.ask(behind, lambda session: session.expire_in(60))).status == 200
    assert (await browser.ask(third, look)).result == "ann"
    assert (await old.ask(behind, look)).result is None


async def test_a_logout_ends_a_session_whose_new_id_a_login_that_died_was_to_end(site: Farm) -> None:
    """Its id was regenerated beside the login, which had only noted itself under the old id."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    ann = await site.browser().login(other)
    tab, old = ann.copy(), ann.copy()
    async with old.held(other, Session.logout):
        async with tab.held(shop, lambda session: session.login("ann")):
            await ann.ask(other, Session.regenerate)
            store.arm("dies before", 4)  # of its writes: the new record, two under the old id, and then the merged one
        assert store.met
        store.heal()
        assert (await ann.ask(other, look)).result == "ann"
    assert (await ann.ask(other, look)).result is None


async def test_several_requests_that_finish_it_at_once_merge_once(site: Farm) -> None:
    """Requests with the new id that come at the same time, to several processes."""
    browser, _, third = await _break_off(site)
    fourth = site.worker()
    async with browser.held(third, items) as one, browser.held(fourth, items) as another:
        pass
    found = {"n": 12, "log": ["begun", "other", "changed"], "note": "gift"}
    assert one.result == another.result == (await browser.ask(third, items)).result == found


async def test_a_strict_key_is_no_reason_to_fail_every_request(site: Farm) -> None:
    """No handler is there that could be told of the conflict: the change of id stands, and an event says so."""

    def change(session: Session) -> None:
        session["note"] = "mine"
        session.regenerate()

    browser, _, third = await _break_off(site, change, strict_merge=True)
    answer = await browser.ask(third, items)
    assert (answer.status, answer.result["note"], answer.result["n"]) == (200, "mine", 2)
    assert "ValueOverwritten" in third.names()


async def test_together_they_may_be_larger_than_a_session(site: Farm) -> None:
    """What was acknowledged on both sides is kept, and so is the limit for what a handler writes."""

    def change(session: Session) -> None:
        session["blob"] = "x" * 700
        session.regenerate()

    browser, old, third = await _break_off(site, change, max_size=1000)
    await old.ask(third, lambda session: session.update(note="y" * 700))
    answer = await browser.ask(third, items)
    assert (answer.status, len(answer.result["blob"]), len(answer.result["note"])) == (200, 700, 700)


async def test_what_the_new_record_names_does_not_count_to_its_size(site: Farm) -> None:
    """A change of id fits wherever the session does."""
    shop = site.worker(max_size=1000)
    browser = await site.browser().begin(shop, blob="x" * 900)
    answer = await browser.ask(shop, lambda session: session.login("ann"))
    assert (answer.status, (await browser.ask(shop, look)).result) == (200, "ann")


@pytest.mark.parametrize("full", ["oldest_out", "refuse"])
async def test_a_change_of_id_under_way_is_one_session_to_a_limit(site: Farm, full: str) -> None:
    """Two sessions are allowed: a second browser logs in while the first has two records, and both stay."""
    browser, _, third = await _break_off(site, max_sessions=2, when_full=full)
    second = await site.browser().login(third)
    assert [(await each.ask(third, look)).result for each in (browser, second)] == ["ann", "ann"]


async def test_a_login_of_somebody_else_takes_nothing_along(site: Farm) -> None:
    """The old session is ended by whoever reads the new record, and nothing of it is merged."""

    def change(session: Session) -> None:
        session.login("bob")

    browser, old, third = await _break_off(site, change)
    assert (await browser.ask(third, lambda session: (session.subject, dict(session)))).result == ("bob", {})
    assert (await old.ask(third, look)).result is None


async def test_of_two_cookies_a_login_ends_both_in_the_end(site: Farm) -> None:
    """A login that came with two sessions and could not end them: the next request in any process ends both."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    one = await site.browser().login(other, "one")
    two = await site.browser().login(other, "two")
    name = next(iter(one.cookies))
    both = {"cookie": f"{name}={one.cookies[name]}; {name}={two.cookies[name]}"}
    ann = site.browser()
    store.arm("dies before", END_OF_OLD)
    answer = await ann.ask(shop, lambda session: session.login("ann"), headers=both)
    store.heal()
    assert answer.status == 200
    assert (await one.ask(other, look)).result == "one"
    assert (await ann.ask(site.worker(), look)).result == "ann"
    assert [(await each.ask(other, look)).result for each in (one, two)] == [None, None]


class _Counting(Unlucky):
    """Counts the calls that read and those that write."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.calls: Counter[str] = Counter()

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        self.calls["reads" if name.startswith("load") else "writes"] += 1
        return await super()._call(name, behind, given, more)

    def take(self) -> tuple[int, int]:
        """Return how many there were since the last time."""
        taken, self.calls = self.calls, Counter()
        return taken["reads"], taken["writes"]


@pytest.fixture
def counted() -> tuple[_Counting, Farm]:
    """A site over a store that counts."""
    store = _Counting(MemoryStore())
    return store, Farm("counted", lambda: store)


async def test_the_first_write_after_a_change_of_id_looks_once(counted: tuple[_Counting, Farm]) -> None:
    """It asks for the old id, finds it dead and leaves it out: from then on a write is two round trips again."""
    store, site = counted
    shop = site.worker()
    browser = await site.browser().begin(shop, n=0)
    await browser.ask(shop, lambda session: session.login("ann"))
    store.take()
    cost = []
    for _ in range(3):
        await browser.ask(shop, lambda session: session.increment("n"))
        cost.append(store.take())
    assert cost == [(2, 1), (1, 1), (1, 1)]
    await site.close()


async def test_who_only_reads_looks_until_the_next_touch(counted: tuple[_Counting, Farm]) -> None:
    """A reader writes nothing for it; the touch that is due anyhow writes down that the old id has ended."""
    store, site = counted
    shop = site.worker()
    browser = await site.browser().begin(shop, n=0)
    await browser.ask(shop, lambda session: session.login("ann"))
    store.take()
    cost = []
    for seconds in (0, 0, 3600, 0):
        site.clock.advance(seconds)
        await browser.ask(shop, look)
        cost.append(store.take())
    assert cost[:2] == [(2, 0), (2, 0)]
    assert cost[2][1] == 1
    assert cost[3] == (1, 0)
    await site.close()


CHANGES: dict[str, Handler] = {
    "regenerate": lambda session: session.regenerate(),
    "login": lambda session: session.login("ann"),
}


@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
@pytest.mark.parametrize("last_save", [False, True])
async def test_two_changes_of_id_in_one_request_end_the_id_that_the_browser_had(
    site: Farm, first: str, second: str, last_save: bool
) -> None:
    """A save between them, and perhaps one after: one session is left, with what other tabs wrote meanwhile."""
    shop = site.worker()
    browser = await site.browser().login(shop)
    await browser.ask(shop, lambda session: session.update(n=1))
    thief = browser.copy()

    async def other_tab(session: Session) -> None:
        await thief.ask(shop, lambda there: (there.increment("n"), there.update(note="gift")))

    save: Handler = lambda session: session.save()  # noqa: E731
    grow: Handler = lambda session: session.increment("n", 10)  # noqa: E731
    changes = [grow, CHANGES[first], save, other_tab, grow, CHANGES[second], *([save, grow] if last_save else [])]
    assert (await browser.ask(shop, steps(*changes))).status == 200
    assert (await thief.ask(shop, look)).result is None
    assert (await browser.ask(shop, items)).result == {"n": 32 if last_save else 22, "note": "gift"}
    assert len(await shop.manager.sessions_of("ann")) == 1


async def test_a_request_that_fails_after_two_changes_of_id_keeps_the_first_id(site: Farm) -> None:
    """The browser has what it had, with what was saved."""
    shop = site.worker()
    browser = await site.browser().login(shop)

    async def fails(session: Session) -> None:
        session.regenerate()
        session["n"] = 1
        await session.save()
        session.regenerate()
        await session.save()
        raise RuntimeError("a mistake")

    before = browser.ids
    assert (await browser.ask(shop, fails)).status == 500
    assert browser.ids == before
    assert (await browser.ask(shop, lambda session: (session.subject, dict(session)))).result == ("ann", {"n": 1})
    assert len(await shop.manager.sessions_of("ann")) == 1


async def test_a_record_does_not_grow_with_each_change_of_id(site: Farm) -> None:
    """What a new record names as its predecessor is kept without what that one named itself."""
    shop = site.worker()
    browser = await site.browser().login(shop)
    sizes: list[int] = []
    for _ in range(12):
        await browser.ask(shop, Session.regenerate)
        key = await browser.public_id(shop)
        record = await shop.manager.engine.storage.load(key)
        sizes.append(0 if record is None else len(record.payload))
    assert max(sizes[2:]) <= sizes[1] + 16


def _begin(site: Site, *ids: str) -> Session:
    name = site.manager.cookie_name
    return site.manager.begin([(b"cookie", "; ".join(f"{name}={one}" for one in ids).encode())])


async def _unread(site: Site, token: str) -> None:
    session = _begin(site, token)
    session.logout()
    await site.manager.commit(session)


async def _beside_another(site: Site, token: str) -> None:
    session = _begin(site, token, await site.login("bob"))
    await site.manager.load(session)
    session.logout()
    await site.manager.commit(session)


async def _in_a_job(site: Site, token: str) -> None:
    ids = site.manager.engine.ids
    async with site.manager.open(ids.key_of(ids.verify(token) or b"")) as session:
        session.logout()


@pytest.mark.parametrize("log_out", [_unread, _beside_another, _in_a_job])
async def test_a_logout_ends_what_its_change_of_id_was_to_end(site: Farm, log_out: Any) -> None:
    """A logout that has not read the session, or not alone, or has no client, knows of the old id as well."""
    browser, old, third = await _break_off(site)
    (token,) = browser.ids
    await log_out(third, token)
    assert (await browser.ask(third, look)).result is None
    assert (await old.ask(third, look)).result is None


async def test_what_a_job_adds_under_the_new_id_counts_beside_what_another_tab_adds_under_the_old(site: Farm) -> None:
    """All three have added to one number: the change of id, the other tab, and a job with the new public id."""
    browser, _, third = await _break_off(site)
    ids = third.manager.engine.ids
    for _ in range(2):
        async with third.manager.open(ids.key_of(ids.verify(browser.ids[0]) or b"")) as session:
            session.increment("n", 100)
            await session.save()
            session.increment("n", 100)
    assert (await browser.ask(third, items)).result == {"n": 412, "log": ["begun", "other", "changed"], "note": "gift"}


async def test_a_job_finds_no_session_whose_old_id_was_logged_out_before_its_id_changed(site: Farm) -> None:
    """A logout was first, and the process that made the new id could not learn of it."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)
    old = browser.copy()
    async with browser.held(shop, Session.regenerate) as answer:
        store.arm("dies before", END_OF_OLD)
        await old.ask(other, Session.logout)
    store.heal()
    assert (answer.status, old.ids == browser.ids) == (200, False)
    ids = other.manager.engine.ids
    with pytest.raises(SessionEnded):
        async with other.manager.open(ids.key_of(ids.verify(browser.ids[0]) or b"")):
            pass
    assert (await browser.ask(other, look)).result is None


async def test_a_login_that_another_process_finishes_leaves_a_deadline_behind(site: Farm) -> None:
    """A deadline that another tab set under the old id meanwhile is none of the new login's."""
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    browser = await site.browser().login(other)
    old = browser.copy()
    async with browser.held(shop, lambda session: session.login("ann")) as answer:
        store.arm("dies before", END_OF_OLD)
    assert answer.status == 200
    store.heal()
    await old.ask(other, steps(lambda session: session.update(note="gift"), lambda session: session.expire_in(60)))
    assert (await browser.ask(other, items)).result == {"note": "gift"}
    site.clock.advance(600)
    assert (await browser.ask(other, look)).result == "ann"
