"""Every kind of event there is, as requests cause it: one scenario each, and none of the kinds without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any, Final

import pytest
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limpet import SessionManager, SessionPolicy, StoreUnavailable, events
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.contract import Record
from limpet.importers.starlette import StarletteCookies
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock, async_client
from limpet.testing.clients import AsyncSessionClient

OLD_SECRET = "the secret of the middleware that was there before"
DAY = 86_400


class Disk(MemoryStore):
    """A store that stops to answer when told to."""

    failing = False

    async def load(self, key: str) -> Record | None:
        if self.failing:
            raise StoreUnavailable("pulled out")
        return await super().load(key)


class Shop:
    """An application, its clock, and what its listener heard."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), Disk()
        policy = SessionPolicy(renewal_interval=600, renewal_grace=30, max_sessions=1)
        old = StarletteCookies(OLD_SECRET, until=date(2100, 1, 1), cookie="old", max_age=None)
        self.manager = SessionManager(self.store, policy=policy, importers=[old], dev=False, clock=self.clock)
        self.heard: list[events.Event] = []
        self.manager.listen(self.heard.append)
        self.both = asyncio.Barrier(2)
        routes = [
            Route("/login/{name}", self.login),
            Route("/logout", self.logout),
            Route("/regenerate", self.regenerate),
            Route("/set/{key}/{value}", self.set, methods=["GET", "POST"]),
            Route("/slow/{key}/{value}", self.slow),
            Route("/read", self.read),
        ]
        self.app = Starlette(routes=routes)
        self.app.add_middleware(SessionMiddleware, manager=self.manager)

    async def login(self, request: Request) -> Response:
        get_session(request).login(request.path_params["name"])
        return PlainTextResponse("in")

    async def logout(self, request: Request) -> Response:
        get_session(request).logout()
        return PlainTextResponse("out")

    async def regenerate(self, request: Request) -> Response:
        get_session(request).regenerate()
        return PlainTextResponse("new")

    async def set(self, request: Request) -> Response:
        get_session(request)[request.path_params["key"]] = request.path_params["value"]
        return PlainTextResponse("set")

    async def slow(self, request: Request) -> Response:
        await self.both.wait()  # both requests have loaded the session
        return await self.set(request)

    async def read(self, request: Request) -> Response:
        return PlainTextResponse(get_session(request).subject or "nobody")

    def browser(self) -> AsyncSessionClient:
        """Return a visitor's browser."""
        return async_client(self.app, self.manager)

    async def visitor(self, name: str = "ann") -> AsyncSessionClient:
        """Return the browser of somebody who is signed in."""
        browser = self.browser()
        await browser.get(f"/login/{name}")
        return browser

    def copy(self, browser: AsyncSessionClient) -> AsyncSessionClient:
        """Return another browser with the same cookie, as whoever copied it has."""
        other = self.browser()
        other.cookies.update(browser.cookies)
        return other


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop in memory."""
    shop = Shop()
    yield shop
    await shop.manager.shutdown()


async def created(shop: Shop) -> None:
    await shop.browser().get("/set/a/1")


async def logged_in(shop: Shop) -> None:
    await shop.visitor()


async def logged_out(shop: Shop) -> None:
    await (await shop.visitor()).get("/logout")


async def regenerated(shop: Shop) -> None:
    await (await shop.visitor()).get("/regenerate")


async def renewed(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.clock.advance(601)
    await browser.get("/read")


async def reused(shop: Shop) -> None:
    browser = await shop.visitor()
    thief = shop.copy(browser)
    shop.clock.advance(601)
    await browser.get("/read")
    await browser.get("/read")  # the new id is shown: the grace begins
    shop.clock.advance(31)
    assert (await thief.get("/read")).text == "nobody"


async def expired(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.clock.advance(DAY + 1)
    await browser.get("/read")


async def imported(shop: Shop) -> None:
    browser = shop.browser()
    browser.cookies.set("old", TimestampSigner(OLD_SECRET).sign(b"eyJjYXJ0IjogMX0=").decode())  # {"cart": 1}
    await browser.get("/set/a/1")


async def revoked(shop: Shop) -> None:
    await shop.visitor()
    await shop.manager.revoke_all("ann")


async def two_at_once(shop: Shop, one: str, other: str) -> None:
    browser = await shop.visitor()
    answers = await asyncio.gather(browser.get(f"/slow/{one}"), shop.copy(browser).get(f"/slow/{other}"))
    assert [answer.text for answer in answers] == ["set", "set"]


async def merged(shop: Shop) -> None:
    await two_at_once(shop, "a/1", "b/1")


async def overwritten(shop: Shop) -> None:
    await two_at_once(shop, "a/first-value", "a/second-value")


async def written_after_end(shop: Shop) -> None:
    browser = await shop.visitor()
    late = asyncio.create_task(shop.copy(browser).get("/slow/a/1"))
    while not shop.both.n_waiting:
        await asyncio.sleep(0)
    await browser.get("/logout")
    await shop.both.wait()
    await late


async def corrupt(shop: Shop) -> None:
    browser = await shop.visitor()
    async with browser.session() as session:
        key = session.public_id or ""
    record = await shop.store.load(key)
    assert record is not None
    damaged = record._replace(version=record.version ^ 1, payload=record.payload[:-1] + b"\0")
    await shop.store.update(key, damaged, record.version, now=shop.clock())
    assert (await browser.get("/read")).text == "nobody"


async def store_failed(shop: Shop) -> None:
    browser = await shop.visitor()
    shop.store.failing = True
    assert (await browser.get("/read")).status_code == 503


async def ambiguous(shop: Shop) -> None:
    values = [(await shop.visitor(name)).cookies[shop.manager.cookie_name] for name in ("ann", "bob")]
    cookie = "; ".join(f"{shop.manager.cookie_name}={value}" for value in values)
    assert (await shop.browser().get("/read", headers={"cookie": cookie})).text == "nobody"


async def limited(shop: Shop) -> None:
    first = await shop.visitor()
    shop.clock.advance(1)
    await shop.visitor()
    assert (await first.get("/read")).text == "nobody"


async def swept(shop: Shop) -> None:
    await shop.visitor()
    shop.clock.advance(20 * DAY)
    await shop.browser().get("/read")  # without a lifespan, a request lets the sweeper run when it is due
    await shop.manager.runtime.drain(5)  # type: ignore[attr-defined]


async def dropped(shop: Shop) -> None:
    """Another site posts a form without our cookie, and the handler writes."""
    await shop.browser().post("/set/a/b", headers={"sec-fetch-site": "cross-site"})


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
    answers: list[Any] = [await browser.get("/read") for _ in range(3)]
    assert [answer.text for answer in answers] == ["ann"] * 3
    assert shop.heard == []
