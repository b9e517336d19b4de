"""A login under the id that the session has, as Django's is, stands or leaves the session as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet import Session, StoreUnavailable
from limpet._core.mapping import state_of
from limpet._core.state import EAGER
from limpet.events import LimitReached
from tests.laws.farm import Farm
from tests.laws.unlucky import Unlucky
from tests.site import Browser, Handler, Site, steps


class Unsure(Unlucky):
    """After the next update, what is asked next does not come back; and then the next write neither, if told so."""

    def arm_look(self, writes: str = "land") -> None:
        """Say what becomes of the write after the look: it lands, its reply is lost, or it never arrives."""
        self._wrote, self._looks, self._writes, self.met = False, 1, writes, False

    _wrote, _looks, _writes = False, 0, "land"
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _call(self, name: str, behind: Callable[..., Awaitable[Any]], given: Any, more: Any) -> Any:
        if name.startswith("load") and self._wrote and self._looks:
            self._looks, self.met = 0, True
            if self.meanwhile is not None:
                await self.meanwhile()
            raise StoreUnavailable("the connection is gone")
        if name in {"update", "replace"} and self.met and self._writes != "land":
            if self._writes == "reply lost":
                await behind(*given, **more)
            raise StoreUnavailable("the connection is gone")
        outcome = await behind(*given, **more)
        self._wrote = self._wrote or name == "update"
        return outcome

    def heal(self) -> None:
        super().heal()
        self._looks, self._writes = 0, "land"


class Overtaken(Unlucky):
    """Before the next update arrives, something else happens."""

    first: Callable[[], Awaitable[object]] | None = None

    async def _call(self, name: str, behind: Callable[..., Awaitable[Any]], given: Any, more: Any) -> Any:
        if name == "update" and self.first is not None:
            happens, self.first = self.first, None
            await happens()
        return await behind(*given, **more)


def _logs_in(session: Session) -> None:
    """Log in as Django does: under the id that the session has, since it has changed that by itself."""
    session["cart"].append("bread")
    session.increment("visits")
    session.login("ann")
    state_of(session).flags |= EAGER


async def _tries_twice(session: Session) -> None:
    _logs_in(session)
    with pytest.raises(StoreUnavailable):
        await session.save()


async def _tries_and_goes_on(session: Session) -> None:
    await _tries_twice(session)
    session.increment("visits")


async def _begun(site: Farm, other: Site) -> Browser:
    browser = site.browser()
    await browser.ask(other, lambda session: session.update(cart=["tea"], visits=1))
    return browser


async def _held(browser: Browser, shop: Site) -> tuple[str | None, dict[str, Any]]:
    held: tuple[str | None, dict[str, Any]] = (
        await browser.ask(shop, lambda session: (session.subject, dict(session)))
    ).result
    return held


BEFORE = (None, {"cart": ["tea"], "visits": 1})
AFTER = ("ann", {"cart": ["tea", "bread"], "visits": 2})


@pytest.mark.parametrize("writes", ["land", "reply lost", "never arrive"])
async def test_a_login_that_could_not_be_looked_at_leaves_the_session(site: Farm, writes: str) -> None:
    """It cannot be told whether it was revoked, so that there is none; what was there before is."""
    store, other = Unsure(site.connect()), site.worker()
    shop, browser = site.worker(store=store), await _begun(site, other)
    store.arm_look(writes)
    answer = await browser.ask(shop, _logs_in)
    assert answer.status == 503
    assert store.met
    store.heal()
    assert await _held(browser, other) == (AFTER if writes == "never arrive" else BEFORE)


@pytest.mark.parametrize("writes", ["land", "reply lost", "never arrive"])
async def test_a_second_try_in_the_same_request_counts_once(site: Farm, writes: str) -> None:
    """The handler saves, is told that the store failed, and goes on: the response carries the login, whole."""
    store, other = Unsure(site.connect()), site.worker()
    shop, browser = site.worker(store=store), await _begun(site, other)
    store.arm_look(writes)
    answer = await browser.ask(shop, steps(_tries_twice, lambda session: store.heal()))
    assert answer.status == 200
    assert not store.met
    assert await _held(browser, other) == AFTER


@pytest.mark.parametrize(("handler", "visits"), [(_logs_in, 12), (_tries_twice, 12), (_tries_and_goes_on, 13)])
async def test_what_another_request_saved_meanwhile_stays(site: Farm, handler: Handler, visits: int) -> None:
    """It has merged with the login, so that both stay, and all is counted once."""
    store, other = Unsure(site.connect()), site.worker()
    shop, browser = site.worker(store=store), await _begun(site, other)
    store.arm_look()
    store.meanwhile = lambda: browser.ask(other, lambda beside: beside.increment("visits", 10))
    answer = await browser.ask(shop, handler)
    assert store.met
    assert answer.status == (503 if handler is _logs_in else 200)
    assert await _held(browser, other) == ("ann", {"cart": ["tea", "bread"], "visits": visits})


async def test_a_login_that_a_limit_refuses_late_leaves_the_session(site: Farm) -> None:
    """Its lock ended while it was written, and another took the last place: there is no login, all else is there."""
    rules = {"max_sessions": 1, "when_full": "refuse"}
    store = Overtaken(site.connect())
    shop, other = site.worker(store=store, **rules), site.worker(**rules)
    browser, rival = await _begun(site, other), site.browser()

    async def overtake() -> None:
        site.clock.advance(10 * 60)
        await rival.login(other)

    store.first = overtake
    answer = await browser.ask(shop, _logs_in)
    assert answer.status == 409
    assert any(isinstance(event, LimitReached) for event in shop.heard)
    assert (await _held(rival, other))[0] == "ann"
    assert await _held(browser, other) == BEFORE
