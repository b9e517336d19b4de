"""Every kind of event there is, as requests cause it: one scenario each, and none of the kinds without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any, Final

import pytest
from itsdangerous import TimestampSigner

from limpet import Session, StoreUnavailable, events
from limpet.contract import Record
from limpet.importers.starlette import StarletteCookies
from limpet.stores.memory import MemoryStore
from tests.site import Browser, Handler, Site

OLD_SECRET = "the secret of the middleware that was there before"
DAY = 86_400


class Disk(MemoryStore):
    """A store that stops to answer when told to."""

    failing = False

    async def load(self, key: str) -> Record | None:
        if self.failing:
            raise StoreUnavailable("pulled out")
        return await super().load(key)


class Shop(Site):
    """A site whose disk can fail, that knows the sessions of another middleware, and where two requests can meet."""

    def __init__(self) -> None:
        self.disk, self.both = Disk(), asyncio.Barrier(2)
        old = StarletteCookies(OLD_SECRET, until=date(2100, 1, 1), cookie="old", max_age=None)
        super().__init__(self.disk, importers=[old], renewal_interval=600, renewal_grace=30, max_sessions=1)

    def slowly(self, **data: Any) -> Handler:
        """Return a handler that writes when both requests have loaded the session."""

        async def handler(session: Session) -> None:
            await self.both.wait()
            session.update(data)

        return handler

    async def visitor(self, name: str = "ann") -> Browser:
        """Return the browser of somebody who is signed in."""
        return await Browser().login(self, name)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop in memory."""
    shop = Shop()
    yield shop
    await shop.manager.shutdown()


async def created(shop: Shop) -> None:
    await Browser().begin(shop, a=1)


async def logged_in(shop: Shop) -> None:
    await shop.visitor()


async def logged_out(shop: Shop) -> None:
    await (await shop.visitor()).ask(shop, lambda session: session.logout())


async def regenerated(shop: Shop) -> None:
    await (await shop.visitor()).ask(shop, lambda session: session.regenerate())


async def renewed(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.clock.advance(601)
    await browser.ask(shop)


async def reused(shop: Shop) -> None:
    browser = await shop.visitor()
    thief = browser.copy()
    shop.clock.advance(601)
    await browser.ask(shop)
    await browser.ask(shop)  # the new id is shown: the grace begins
    shop.clock.advance(31)
    assert (await thief.ask(shop)).result is None


async def expired(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.clock.advance(DAY + 1)
    await browser.ask(shop)


async def imported(shop: Shop) -> None:
    signed = TimestampSigner(OLD_SECRET).sign(b"eyJjYXJ0IjogMX0=").decode()  # {"cart": 1}
    await Browser({"old": signed}).begin(shop, a=1)


async def revoked(shop: Shop) -> None:
    await shop.visitor()
    await shop.manager.revoke_all("ann")


async def two_at_once(shop: Shop, one: Handler, other: Handler) -> None:
    browser = await shop.visitor()
    answers = await asyncio.gather(browser.ask(shop, one), browser.copy().ask(shop, other))
    assert [answer.status for answer in answers] == [200, 200]


async def merged(shop: Shop) -> None:
    await two_at_once(shop, shop.slowly(a=1), shop.slowly(b=1))


async def overwritten(shop: Shop) -> None:
    await two_at_once(shop, shop.slowly(a="first-value"), shop.slowly(a="second-value"))


async def written_after_end(shop: Shop) -> None:
    browser = await shop.visitor()
    async with browser.copy().held(shop, lambda session: session.update(a=1)):
        await browser.ask(shop, lambda session: session.logout())


async def corrupt(shop: Shop) -> None:
    browser = await shop.visitor()
    key = (await browser.ask(shop, lambda session: session.public_id)).result
    record = await shop.disk.load(key)
    assert record is not None
    damaged = record._replace(version=record.version ^ 1, payload=record.payload[:-1] + b"\0")
    await shop.disk.update(key, damaged, record.version, now=shop.clock())
    assert (await browser.ask(shop)).result is None


async def store_failed(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.disk.failing = True
    assert (await browser.ask(shop)).status == 503


async def ambiguous(shop: Shop) -> None:
    values = [(await shop.visitor(name)).cookies[shop.manager.cookie_name] for name in ("ann", "bob")]
    cookie = "; ".join(f"{shop.manager.cookie_name}={value}" for value in values)
    answer = await Browser().ask(shop, headers={"cookie": cookie})
    assert (answer.status, answer.result) == (200, None)


async def limited(shop: Shop) -> None:
    first = await shop.visitor()
    shop.clock.advance(1)
    await shop.visitor()
    assert (await first.ask(shop)).result is None


async def swept(shop: Shop) -> None:
    await shop.visitor()
    shop.clock.advance(20 * DAY)
    await Browser().ask(shop)  # without a lifespan, a request lets the sweeper run when it is due
    await shop.manager.runtime.drain(5)  # type: ignore[attr-defined]


async def dropped(shop: Shop) -> None:
    """Another site posts a form without our cookie, and the handler writes."""
    await Browser().ask(shop, lambda session: session.update(a="b"), headers={"sec-fetch-site": "cross-site"})


SCENARIOS: Final[dict[type[events.Event], Callable[[Shop], Awaitable[None]]]] = {
    events.SessionCreated: created,
    events.SessionLoggedIn: logged_in,
    events.SessionLoggedOut: logged_out,
    events.SessionRegenerated: regenerated,
    events.SessionRenewed: renewed,
    events.SessionReused: reused,
    events.SessionExpired: expired,
    events.SessionImported: imported,
    events.SessionRevoked: revoked,
    events.SessionMerged: merged,
    events.ValueOverwritten: overwritten,
    events.WriteAfterEnd: written_after_end,
    events.WriteDropped: dropped,
    events.CorruptRecord: corrupt,
    events.StoreFailed: store_failed,
    events.AmbiguousCookie: ambiguous,
    events.LimitReached: limited,
    events.SessionsSwept: swept,
}


def test_every_kind_has_its_scenario() -> None:
    """A new kind of event comes with the requests that cause it."""
    public = [getattr(events, name) for name in events.__all__]
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, events.Event)}
    by_others = {events.RevocationSeen}  # takes a second process: tests/test_acting.py
    by_clients = {events.ClientChanged, events.UnknownId}  # tests/security/test_s37_… and test_s38_…
    by_devices = {kind for kind in kinds if kind.__name__.startswith("Device")}  # tests/bound
    assert set(SCENARIOS) == kinds - {events.Event} - by_others - by_clients - by_devices


@pytest.mark.parametrize("kind", SCENARIOS, ids=lambda kind: kind.__name__)
async def test_requests_cause_it_once(kind: type[events.Event], shop: Shop) -> None:
    """It is told once, with the time and at most eight digits of the key, and no cookie or value is in it."""
    await SCENARIOS[kind](shop)
    [event] = [event for event in shop.heard if type(event) is kind]
    assert event.at == shop.clock()
    assert event.tag is None or len(event.tag) == 8
    assert "-value" not in repr(event)


@pytest.mark.parametrize("kind", SCENARIOS, ids=lambda kind: kind.__name__)
async def test_a_listener_that_fails_breaks_no_request(kind: type[events.Event], shop: Shop) -> None:
    """Each scenario goes the same way when a listener raises at every event, and others still hear of it."""

    def fails(event: events.Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    shop.manager.engine.emitter._listeners.insert(0, fails)
    await SCENARIOS[kind](shop)
    assert any(type(event) is kind for event in shop.heard)


async def test_nothing_is_told_of_a_mere_read(shop: Shop) -> None:
    """A request that only reads is no event."""
    browser = await shop.visitor()
    shop.heard.clear()
    answers = [await browser.ask(shop) for _ in range(3)]
    assert [answer.result for answer in answers] == ["ann"] * 3
    assert shop.heard == []
