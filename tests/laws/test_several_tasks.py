"""Several tasks of one request that share its session: as if one had done it all, one step after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from limpet.stores import MemoryStore
from tests.asked import done
from tests.laws.conftest import cookie_store
from tests.laws.farm import Farm
from tests.laws.unlucky import Between, Slow, Unlucky
from tests.site import items, look, steps


async def _together(*tasks: Any) -> None:
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another request"])
@pytest.mark.parametrize("wait", [0.0, 0.003, 0.008])
async def test_increments_of_two_tasks_all_count(site: Farm, wait: float, beside: bool) -> None:
    """Each task adds one and saves, however their saves lie in time; another request's increment counts as well."""
    shop, other = site.worker(store=Slow(site.connect())), site.worker()
    ann = await site.browser().begin(other, n=0)

    async def handler(session: Session) -> None:
        async def task(delay: float) -> None:
            await asyncio.sleep(delay)
            session.increment("n")
            await session.save()

        if beside:
            await ann.copy().ask(other, lambda tab: tab.increment("n"))
        await _together(task(0), task(wait), task(wait * 2))

    assert (await ann.ask(shop, handler)).status == 200
    assert (await ann.ask(other, items)).result == {"n": 4 if beside else 3}


BESIDE: dict[str, Callable[[Session], Any]] = {
    "refresh": lambda session: session.refresh(),
    "save": lambda session: session.save(),
    "refresh twice": steps(lambda session: session.refresh(), lambda session: session.refresh()),
    "is_live": lambda session: session.is_live(),
}
CHANGE: dict[str, tuple[Callable[[Session], Any], Any]] = {
    "append": (lambda session: session["log"].append("once"), {"log": ["once"], "set": set(), "n": 0}),
    "add": (lambda session: session["set"].add("once"), {"log": [], "set": {"once"}, "n": 0}),
    "increment": (lambda session: session.increment("n"), {"log": [], "set": set(), "n": 1}),
    "new key": (lambda session: session.update(new=[1]), {"log": [], "set": set(), "n": 0, "new": [1]}),
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("change", CHANGE)
async def test_a_change_counts_once_while_another_task_refreshes(site: Farm, change: str, beside: str) -> None:
    """One task changes and saves while the other asks the store: the change is there once, at every moment."""
    handler, expected = CHANGE[change]
    for delay in (0.0, 0.003, 0.009):
        shop, other = site.worker(store=Slow(site.connect())), site.worker()
        ann = await site.browser().begin(other, log=[], set=set(), n=0)

        async def page(session: Session, delay: float = delay) -> None:
            async def writer() -> None:
                handler(session)
                await session.save()

            async def reader() -> None:
                await asyncio.sleep(delay)
                await BESIDE[beside](session)

            await _together(writer(), reader())

        assert (await ann.ask(shop, page)).status == 200
        assert (await ann.ask(other, items)).result == expected, delay


async def test_two_tasks_that_append_to_one_list_keep_their_list(site: Farm) -> None:
    """Both tasks hold the same list: what each adds before its save is saved once, and the list stays the session's."""
    shop, other = site.worker(store=Slow(site.connect())), site.worker()
    ann = await site.browser().begin(other, log=[])

    async def page(session: Session) -> bool:
        log = session["log"]

        async def task(name: str, delay: float) -> None:
            for turn in range(3):
                await asyncio.sleep(delay)
                log.append(f"{name}{turn}")
                await session.save()

        await ann.copy().ask(other, lambda tab: tab["log"].append("tab"))
        await _together(task("a", 0.001), task("b", 0.003))
        return session["log"] is log

    answer = await ann.ask(shop, page)
    assert answer.status == 200
    assert answer.result is True
    stored = (await ann.ask(other, items)).result["log"]
    assert sorted(stored) == ["a0", "a1", "a2", "b0", "b1", "b2", "tab"]


async def test_a_login_and_a_save_of_another_task(site: Farm) -> None:
    """One task logs in and saves while another saves data: the browser has one session, with both."""
    shop, other = site.worker(store=Slow(site.connect())), site.worker()
    ann = await site.browser().begin(other, cart=["tea"])

    async def page(session: Session) -> None:
        async def login() -> None:
            session.login("ann")
            await session.save()

        async def add() -> None:
            await asyncio.sleep(0.002)
            session["cart"].append("milk")
            await session.save()

        await _together(login(), add())

    assert (await ann.ask(shop, page)).status == 200
    state = (await ann.ask(other, lambda session: (session.subject, dict(session)))).result
    assert state == ("ann", {"cart": ["tea", "milk"]})
    assert len(await other.manager.sessions_of("ann")) == 1


NOTED: dict[str, tuple[Callable[[Session], None], str | None, str | None]] = {
    "login": (lambda session: session.login("ann"), None, "ann"),
    "login as another": (lambda session: session.login("bob"), "ann", "bob"),
    "logout": (lambda session: session.logout(), "ann", None),
}


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failing"])
@pytest.mark.parametrize("wait", [0.0, 0.002, 0.004, 0.008])
@pytest.mark.parametrize("noted", NOTED)
async def test_a_login_or_logout_while_the_save_of_another_task_waits(
    site: Farm, noted: str, wait: float, fails: bool
) -> None:
    """The save waits for its turn, as another request saves the session, or has to be merged with what that saved."""
    shop, (act, before, after) = site.worker(store=Slow(site.connect())), NOTED[noted]
    ann = await (site.browser().login(shop, before) if before else site.browser().begin(shop, n=0))
    old, tab = ann.copy(), ann.copy()

    async def page(session: Session) -> None:
        async def save() -> None:
            session["saved"] = 1
            await session.save()

        async def note() -> None:
            await asyncio.sleep(wait)
            act(session)

        await _together(save(), note())
        if fails:
            raise LookupError

    beside = asyncio.create_task(tab.ask(shop, lambda session: session.update(tab=1)))
    await asyncio.sleep(0.001)
    await ann.ask(shop, page)
    await beside
    kept = await old.ask(shop, lambda session: (session.subject, dict(session)))
    if not fails or noted == "logout":
        assert kept.result == (None, {})
        assert (await ann.ask(shop, look)).result == after
    else:
        assert kept.result[0] == before


class _LateTouch(Unlucky):
    """Answers late when a use was noted."""

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        outcome = await super()._call(name, behind, given, more)
        await asyncio.sleep(0.05 if name == "touch" else 0)
        return outcome


async def test_what_one_task_saved_is_not_taken_back_by_the_load_of_another(site: Farm) -> None:
    """Both tasks load a session whose use is noted on reading; the store answers to that note late."""
    shop, other = site.worker(store=_LateTouch(site.connect()), lazy=True), site.worker()
    shop.loads = False
    ann = await site.browser().begin(other, log=[])
    site.clock.advance(6 * 3600)

    async def page(session: Session) -> None:
        async def change() -> None:
            await asyncio.sleep(0.01)
            await session.load()
            session["log"].append("once")
            await session.save()

        await _together(session.load(), change())

    assert (await ann.ask(shop, page)).status == 200
    assert (await ann.ask(other, items)).result == {"log": ["once"]}


ENDS: dict[str, tuple[Callable[[Session], Any], Any]] = {
    "logout": (lambda session: session.logout(), (None, {})),
    "logout, then a write": (steps(lambda session: session.logout(), lambda session: session.update(new=1)), None),
    "login as another": (lambda session: session.login("bob"), ("bob", {})),
}


@pytest.mark.parametrize("how", ENDS)
async def test_an_end_stands_while_another_task_refreshes(site: Farm, how: str) -> None:
    """What another request has saved is on its way to the refresh: none of it comes into what was begun anew."""
    act, expected = ENDS[how]
    store = Between(site.connect())
    shop, other = site.worker(store=store), site.worker()
    ann = await site.browser().login(other)
    await ann.ask(other, lambda session: session.update(secret="ann's"))
    tab = ann.copy()

    async def page(session: Session) -> None:
        await tab.ask(other, lambda there: there.update(more="ann's"))

        async def end() -> None:
            await done(act(session))

        store.meanwhile = end
        await session.refresh()

    assert (await ann.ask(shop, page)).status == 200
    found = (await ann.ask(other, lambda session: (session.subject, dict(session)))).result
    assert found == (expected or (None, {"new": 1}))
    assert await other.manager.sessions_of("ann") == []


@pytest.mark.parametrize("wait", [0.001, 0.003, 0.006])
async def test_a_logout_while_the_login_of_another_task_is_saved_for_the_first_time(site: Farm, wait: float) -> None:
    """The record is on its way to the store: it ends with the response, and no cookie goes out."""
    shop = site.worker(store=Slow(site.connect()))
    ann = site.browser()

    async def page(session: Session) -> None:
        async def login() -> None:
            session.login("ann")
            await session.save()

        async def logout() -> None:
            await asyncio.sleep(wait)
            session.logout()

        await _together(login(), logout())

    assert (await ann.ask(shop, page)).status == 200
    assert (ann.ids, await shop.manager.sessions_of("ann")) == ([], [])


async def test_a_login_by_a_key_while_the_save_of_another_task_is_merged(site: Farm) -> None:
    """A key of ``rotate_on`` is set while the store answers to the save: the id changes, and the old one is dead."""
    store = Between(site.connect())
    shop, other = site.worker(store=store), site.worker()
    ann = await site.browser().begin(other, n=0)
    old, tab = ann.copy(), ann.copy()

    async def page(session: Session) -> None:
        await tab.ask(other, lambda there: there.update(tab=1))

        async def sign_in() -> None:
            session["user_id"] = 7

        session["saved"] = 1
        store.meanwhile = sign_in
        await session.save()

    assert (await ann.ask(shop, page)).status == 200
    assert (await ann.ask(other, items)).result == {"n": 0, "tab": 1, "saved": 1, "user_id": 7}
    assert (await old.ask(other, items)).result == {}


@pytest.mark.parametrize("kind", ["denylist", "epoch"])
@pytest.mark.parametrize("wait", [0.001, 0.003, 0.006])
async def test_a_logout_while_another_task_saves_a_session_in_its_cookie(kind: str, wait: float) -> None:
    """The store of revocations answers late: copies of the cookie are dead after the logout."""
    notes = MemoryStore()
    site = Farm(kind, lambda: cookie_store(kind, Slow(notes)))
    shop = site.worker(secret="one secret of all workers, long enough 0123456789")
    ann = await site.browser().login(shop)
    copy = ann.copy()

    async def page(session: Session) -> None:
        async def save() -> None:
            session["saved"] = 1
            await session.save()

        async def logout() -> None:
            await asyncio.sleep(wait)
            session.logout()

        await _together(save(), logout())

    assert (await ann.ask(shop, page)).status == 200
    assert (await ann.ask(shop, look)).result is None
    assert (await copy.ask(shop, look)).result is None
    await site.close()
