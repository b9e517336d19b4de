"""What came first is decided by what the store orders: clocks of hosts that differ change nothing that a user sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet import Session, SessionBusy, SessionManager
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock
from tests.laws.conftest import cookie_store
from tests.laws.farm import Farm
from tests.site import Handler, look, nothing, steps

REVOKE: dict[str, Callable[[SessionManager], Awaitable[Any]]] = {
    "revoke_all": lambda manager: manager.revoke_all("ann"),
    "revoke_everyone": lambda manager: manager.revoke_everyone(),
    "revoke by tag": lambda manager: manager.revoke(tag=("device", "phone")),
}
SKEWS = [-45, -20, -1, 1, 20, 45]


class Clocks:
    """The clocks of two hosts, that run at the same speed."""

    def __init__(self, skew: float) -> None:
        self.one, self.other = FakeClock(), FakeClock()
        self.other.advance(skew)

    def advance(self, seconds: float) -> None:
        self.one.advance(seconds)
        self.other.advance(seconds)


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("how", REVOKE)
async def test_a_revocation_ends_what_was_there_before(site: Farm, how: str, skew: float) -> None:
    """A session that began on one host before the revocation on the other is ended, and still is hours later."""
    clocks = Clocks(skew)
    here, there = site.worker(clock=clocks.other), site.worker(clock=clocks.one)
    thief = await site.browser().login(here, tags={"device": "phone"})
    clocks.advance(2)
    await REVOKE[how](there.manager)
    for wait in (0, 60, 3600):
        clocks.advance(wait)
        assert (await thief.ask(here, look)).result is None
        assert (await thief.ask(there, look)).result is None


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("how", REVOKE)
async def test_a_login_after_a_revocation_counts(site: Farm, how: str, skew: float) -> None:
    """Nobody is answered 200 for a login that is void: one just after a revocation on another host holds."""
    clocks = Clocks(skew)
    here, there = site.worker(clock=clocks.one), site.worker(clock=clocks.other)
    await site.browser().login(there, tags={"device": "phone"})
    await REVOKE[how](there.manager)
    for seconds in (0, 2, 10):
        clocks.advance(seconds)
        browser = await site.browser().login(here, tags={"device": "phone"})
        assert (await browser.ask(here, look)).result == "ann"
        assert (await browser.ask(there, look)).result == "ann"


@pytest.mark.parametrize("how", REVOKE)
async def test_an_operator_whose_laptop_is_five_minutes_ahead(site: Farm, how: str) -> None:
    """The site's logins hold from the first moment after the operator signed everybody out."""
    operator = site.worker(clock=FakeClock(site.clock.now + 300_000))
    shop = site.worker()
    before = await site.browser().login(shop, tags={"device": "phone"})
    await REVOKE[how](operator.manager)
    for _minute in range(7):
        browser = await site.browser().login(shop)
        assert (await browser.ask(shop, look)).result == "ann"
        site.clock.advance(60)
    assert (await before.ask(shop, look)).result is None


@pytest.mark.parametrize("step", [-1, -5, -50])
@pytest.mark.parametrize("how", REVOKE)
async def test_a_clock_that_is_set_back(any_site: Farm, how: str, step: float) -> None:
    """One host whose clock is corrected between a login and a revocation, and between a revocation and a login."""
    shop = any_site.worker()
    thief = await any_site.browser().login(shop, tags={"device": "phone"})
    any_site.clock.advance(step)
    await REVOKE[how](shop.manager)
    assert (await thief.ask(shop, look)).result is None
    any_site.clock.advance(step)
    ann = await any_site.browser().login(shop)
    assert (await ann.ask(shop, look)).result == "ann"
    any_site.clock.advance(3600)
    assert (await thief.ask(shop, look)).result is None
    assert (await ann.ask(shop, look)).result == "ann"


@pytest.mark.parametrize("skew", SKEWS)
async def test_the_newer_login_stays(site: Farm, skew: float) -> None:
    """With one session for each user the later login ends the earlier one, whatever the hosts' clocks say."""
    clocks = Clocks(skew)
    policy = {"max_sessions": 1}
    here, there = site.worker(clock=clocks.other, **policy), site.worker(clock=clocks.one, **policy)
    for first, second in ((here, there), (there, here)):
        phone = await site.browser().login(first)
        clocks.advance(0.5)
        laptop = await site.browser().login(second)
        assert (await laptop.ask(first, look)).result == "ann"
        assert (await phone.ask(second, look)).result is None
        clocks.advance(60)


@pytest.mark.parametrize("skew", [-300, -31, 31, 300])
async def test_one_at_a_time_holds_a_lock(site: Farm, skew: float) -> None:
    """A lock of thirty seconds is not given to a second host because its clock is ahead."""
    clocks = Clocks(skew)
    here, there = site.worker(clock=clocks.one), site.worker(clock=clocks.other)
    ann = await site.browser().login(here)

    async def second(session: Session) -> None:
        async with session.exclusive("report", wait=0.1):
            raise AssertionError("two hold one lock")

    async def first(session: Session) -> int:
        async with session.exclusive("report"):
            return (await ann.copy().ask(there, second)).status

    assert (await ann.ask(here, first)).result == 503
    async with here.manager.exclusive("nightly"):
        with pytest.raises(SessionBusy):
            async with there.manager.exclusive("nightly", wait=0.1):
                raise AssertionError("two hold one lock")


@pytest.mark.parametrize("begun_by", [None, "ann", "bob"])
async def test_a_login_ends_the_old_id_though_its_deadline_has_passed_here_alone(
    site: Farm, begun_by: str | None
) -> None:
    """A host that is five minutes behind has shortened the session's life meanwhile, and would still serve it."""
    clocks = Clocks(-300)
    here, behind = site.worker(clock=clocks.one), site.worker(clock=clocks.other)
    ann = site.browser()
    await (ann.begin(here, cart=1) if begun_by is None else ann.login(here, begun_by))
    late = ann.copy()
    async with ann.held(here, lambda session: session.login("ann")) as answer:
        assert (await late.ask(behind, lambda session: session.expire_in(60))).status == 200
    assert (await late.ask(behind, lambda session: (session.subject, dict(session)))).result == (None, {})
    assert (answer.status, (await ann.ask(here, look)).result) == (200, "ann")


async def test_one_browser_is_one_session_whatever_a_host_in_between_shows(site: Farm) -> None:
    """What an id led to over a host that is five minutes behind is known: a later login takes the place of it."""
    clocks, policy = Clocks(-300), {"max_sessions": 1}
    here, behind = site.worker(clock=clocks.one, **policy), site.worker(clock=clocks.other, **policy)
    tab = await site.browser().login(here)
    late = tab.copy()
    await tab.login(here)
    await tab.login(behind, "bob")
    await late.login(here, "bob")
    assert (await late.ask(here, look)).result == "bob"
    assert (await tab.ask(here, look)).result is None
    assert len(await here.manager.sessions_of("bob")) == 1


async def test_a_sweep_by_a_host_that_is_ahead_deletes_nothing_that_others_go_by(site: Farm) -> None:
    """Neither an id that was just replaced, nor one that is served for the grace, nor a session that is alive."""
    clocks = Clocks(300)
    policy = {"idle_timeout": 1800, "renewal_interval": 1200, "renewal_grace": 30}
    here, ahead = site.worker(clock=clocks.one, **policy), site.worker(clock=clocks.other, **policy)
    ann, renewed, idle = [await site.browser().login(here) for _ in range(3)]
    clocks.advance(1201)
    late, old = ann.copy(), renewed.copy()
    await ann.ask(here, lambda session: session.regenerate())
    for _ in range(2):
        await renewed.ask(here, look)
    await ahead.manager.sweep()
    assert (await late.ask(here, lambda session: session.update(late=1))).cookies == []
    assert (await old.ask(here, look)).result == "ann"
    clocks.advance(598)
    await ahead.manager.sweep()
    assert (await idle.ask(here, look)).result == "ann"


@pytest.mark.parametrize("skew", [-45, 45])
async def test_a_logout_on_another_host_holds(any_site: Farm, skew: float) -> None:
    """A logout on one host ends the session for the others, and a login beside it is not undone."""
    clocks = Clocks(skew)
    here, there = any_site.worker(clock=clocks.one), any_site.worker(clock=clocks.other)
    ann = await any_site.browser().login(here)
    copy = ann.copy()
    async with ann.held(here, lambda session: session.update(late=1)) as late:
        await copy.ask(there, lambda session: session.logout())
    assert late.cookies == []
    for wait in (0, 61, 3600):
        clocks.advance(wait)
        assert (await ann.ask(here, look)).result is None


AWAY: dict[str, tuple[float, float]] = {
    "over": (300, 1530),
    "its own deadline": (290, 20),
    "from the future": (-120, 1),  # only a cookie says when it was made
}
"""By how many seconds the clock of the host that logs out is ahead, and how long after the login that is."""


async def begin(session: Session) -> None:
    """Begin a session in place of the one that is none here, and save it before the handler goes on."""
    session["note"] = 1
    await session.save()


FIRST: dict[str, Handler] = {"at once": nothing, "after a save of its own": begin}
"""What a request does before it logs out."""


async def _logs_out_where_it_is_none(site: Farm, why: str, first: Handler) -> None:
    (skew, later), policy = AWAY[why], {"idle_timeout": 1800}
    clocks = Clocks(skew)
    here, there = site.worker(clock=clocks.one, **policy), site.worker(clock=clocks.other, **policy)
    ann = await site.browser().login(here)
    if why == "its own deadline":
        await ann.ask(here, lambda session: session.expire_in(300))
    thief, reader = ann.copy(), ann.copy()
    clocks.advance(later)
    assert (await reader.ask(there, look)).result is None
    await ann.ask(there, steps(first, lambda session: session.logout()))
    assert (await thief.ask(here, look)).result is None


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("why", ["over", "its own deadline"])
async def test_a_logout_ends_what_another_host_would_still_open(any_site: Farm, why: str, first: str) -> None:
    """By the clock of the host that logs out there is no session, and by that of another it is alive."""
    await _logs_out_where_it_is_none(any_site, why, FIRST[first])


async def test_a_logout_with_two_cookies_ends_the_one_that_is_over_by_the_clock_of_its_host_alone(site: Farm) -> None:
    """Beside the session that is read there, another host would still open the other one."""
    clocks, policy = Clocks(300), {"idle_timeout": 1800}
    here, there = site.worker(clock=clocks.one, **policy), site.worker(clock=clocks.other, **policy)
    old = await site.browser().login(here)
    clocks.advance(1530)
    new = await site.browser().login(there)
    both = "; ".join(f"{name}={value}" for browser in (old, new) for name, value in browser.cookies.items())
    await site.browser().ask(there, lambda session: session.logout(), headers={"cookie": both})
    for browser in (old, new):
        assert (await browser.ask(here, look)).result is None


@pytest.mark.parametrize("cookie_site", ["denylist", "epoch"], indirect=True)
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("why", AWAY)
async def test_a_logout_ends_the_cookie_that_another_host_would_still_open(
    cookie_site: Farm, why: str, first: str
) -> None:
    """What holds for sessions in a store holds for those whose cookies can be revoked."""
    await _logs_out_where_it_is_none(cookie_site, why, FIRST[first])


@pytest.mark.parametrize("skew", [15, 45, 150, 300])
async def test_a_logout_with_a_renewed_id_ends_it_though_its_grace_is_over_here(any_site: Farm, skew: float) -> None:
    """A host that is ahead takes the old id for unknown, and another still serves it for the session's renewed one."""
    clocks, policy = Clocks(skew), {"renewal_interval": 600, "renewal_grace": 10}
    here, ahead = any_site.worker(clock=clocks.one, **policy), any_site.worker(clock=clocks.other, **policy)
    ann = await any_site.browser().login(here)
    clocks.advance(601)
    old = ann.copy()
    for _ in range(2):
        assert (await ann.ask(here, look)).result == "ann"
    assert old.ids != ann.ids
    await old.copy().ask(ahead, lambda session: session.logout())
    assert (await old.ask(here, look)).result is None
    assert (await ann.ask(here, look)).result is None


@pytest.mark.parametrize("cookie_site", ["denylist", "epoch"], indirect=True)
@pytest.mark.parametrize("skew", [-45, -5, 5, 45])
async def test_cookie_sessions_of_two_hosts(cookie_site: Farm, skew: float) -> None:
    """A logout of a cookie session on one host holds on the other, and the login after it counts on both."""
    clocks = Clocks(skew)
    here, there = cookie_site.worker(clock=clocks.one), cookie_site.worker(clock=clocks.other)
    thief = await cookie_site.browser().login(here)
    ann = thief.copy()
    clocks.advance(1)
    await ann.ask(there, lambda session: session.logout())
    for wait in (0, 60, 3600):
        clocks.advance(wait)
        assert (await thief.ask(here, look)).result is None
        assert (await thief.ask(there, look)).result is None
    again = await cookie_site.browser().login(here)
    assert (await again.ask(there, look)).result == "ann"
    assert (await again.ask(here, look)).result == "ann"


@pytest.mark.parametrize("skew", [-45, -5, 5, 45])
async def test_all_devices_of_cookie_sessions_of_two_hosts(skew: float) -> None:
    """``revoke_all`` on one host ends the cookies that another gave out, and those that it gives out later hold."""
    notes = MemoryStore()
    site = Farm("epoch", lambda: cookie_store("epoch", notes))
    site.settings = {"secret": "one secret of all workers, long enough 0123456789"}
    clocks = Clocks(skew)
    here, there = site.worker(clock=clocks.one), site.worker(clock=clocks.other)
    thief = await site.browser().login(here)
    clocks.advance(1)
    await there.manager.revoke_all("ann")
    assert (await thief.ask(here, look)).result is None
    for seconds in (0, 1, 10):
        clocks.advance(seconds)
        ann = await site.browser().login(here)
        assert (await ann.ask(there, look)).result == "ann"
        assert (await ann.ask(here, look)).result == "ann"
    clocks.advance(3600)
    assert (await thief.ask(there, look)).result is None
    await site.close()
