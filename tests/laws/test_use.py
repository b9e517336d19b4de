"""What counts as a use, and what does not: polling, long requests, sockets that stay open."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from blacksheep import Router
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import Session, SessionManager, SessionPolicy
from limpet._moments import moment
from limpet.adapters.blacksheep import Application
from limpet.adapters.fastmvc import SessionMiddleware as FastMVCSessions
from limpet.adapters.litestar import SessionDep, SessionPlugin
from limpet.adapters.nexios import NexiosApp
from limpet.adapters.nexios import SessionMiddleware as NexiosSessions
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.asgi import session_in
from limpet.events import WriteAfterEnd
from limpet.stores import MemoryStore
from limpet.testing import FakeClock, client
from tests.laws.farm import Farm
from tests.site import look, steps

SECRET = "one secret of all workers, long enough 0123456789"


def manager(clock: FakeClock, **settings: Any) -> SessionManager:
    policy = SessionPolicy(idle_timeout=1800, anonymous_timeout=1800)
    return SessionManager(settings.pop("store", "memory:"), policy=policy, clock=clock, dev=False, **settings)


async def _show(request: Any) -> JSONResponse:
    session = get_session(request)
    return JSONResponse([session.get("n"), session.increment("n") if "write" in request.url.path else None])


def on_starlette(kept: SessionManager) -> Any:
    paths = ("/write", "/read", "/poll/news")
    middleware = [Middleware(SessionMiddleware, manager=kept, passive=("/poll",))]
    return Starlette(routes=[Route(path, _show) for path in paths], middleware=middleware)


def on_fastmvc(kept: SessionManager) -> Any:
    async def show(request: Request) -> JSONResponse:
        session = session_in(request.scope)
        return JSONResponse([session.get("n"), session.increment("n") if "write" in request.url.path else None])

    paths = ("/write", "/read", "/poll/news")
    middleware = [Middleware(FastMVCSessions, manager=kept, passive=(re.compile("/p"),))]
    return Starlette(routes=[Route(path, show) for path in paths], middleware=middleware)


def on_litestar(kept: SessionManager) -> Any:
    @get(["/write", "/read", "/poll/news"])
    async def show(request: LitestarRequest[Any, Any, Any], session: SessionDep) -> list[Any]:
        return [session.get("n"), session.increment("n") if "write" in request.url.path else None]

    return Litestar([show], plugins=[SessionPlugin(kept, passive=("/poll",))])


def on_blacksheep(kept: SessionManager) -> Any:
    app = Application(router=Router())
    app.use_sessions(kept, passive=("/poll",))

    async def show(request: Any) -> list[Any]:
        session = request.session
        return [session.get("n"), session.increment("n") if b"write" in request.url.path else None]

    for path in ("/write", "/read", "/poll/news"):
        app.router.add_get(path, show)
    return app


def on_nexios(kept: SessionManager) -> Any:
    app = NexiosApp()
    app.add_middleware(NexiosSessions(manager=kept, passive=("/poll",)))

    async def show(req: Any, res: Any) -> Any:
        session = req.session
        return res.json([session.get("n"), session.increment("n") if "write" in req.scope["path"] else None])

    for path in ("/write", "/read", "/poll/news"):
        app.get(path)(show)
    return app


@pytest.mark.parametrize("build", [on_starlette, on_fastmvc, on_litestar, on_blacksheep, on_nexios])
def test_polling_keeps_no_session_alive(build: Any) -> None:
    """A page that polls a passive path sees the session until its idle deadline, and does not move that."""
    clock = FakeClock()
    with client(build(manager(clock))) as browser:
        browser.get("/write")
        for _ in range(2):
            clock.advance(minutes(14))
            assert browser.get("/poll/news").json() == [1, None]
        clock.advance(minutes(3))
        assert browser.get("/poll/news").json() == [None, None]
    clock = FakeClock()
    with client(build(manager(clock))) as browser:
        browser.get("/write")
        for _ in range(4):
            clock.advance(minutes(14))
            assert browser.get("/read").json() == [1, None]


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
def test_a_use_counts_from_when_the_request_began(store: str) -> None:
    """A request that begins before the idle deadline and ends after it has not lost its session, nor its write."""
    clock = FakeClock()

    async def slow(request: Request) -> JSONResponse:
        session = get_session(request)
        seen = session.get("n")
        clock.advance(minutes(6) if request.url.path == "/slow" else 0)
        return JSONResponse([seen, session.increment("n")])

    kept = manager(clock, store=store, secret=SECRET)
    app = Starlette(
        routes=[Route("/", slow), Route("/slow", slow)], middleware=[Middleware(SessionMiddleware, manager=kept)]
    )
    with client(app) as browser:
        browser.get("/")
        clock.advance(minutes(26))
        assert browser.get("/slow").json() == [1, 2]
        assert browser.get("/").json() == [2, 3]


def test_a_socket_keeps_its_session_alive_by_saving() -> None:
    """An open WebSocket is one request: ``await session.save()`` now and then is what counts as a use of it."""
    clock = FakeClock()
    saves = True

    async def begin(request: Request) -> JSONResponse:
        get_session(request).login("ann")
        return JSONResponse(None)

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        session = get_session(socket)
        async for _ in socket.iter_text():
            clock.advance(minutes(20))
            if saves:
                await session.save()
            await socket.send_json([session.subject, await session.is_live()])

    routes = [Route("/", begin), WebSocketRoute("/chat", chat)]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager(clock))])
    with client(app) as browser:
        browser.get("/")
        with browser.websocket_connect("/chat") as socket:
            for _ in range(4):
                socket.send_text("still here")
                assert socket.receive_json() == ["ann", True]
            saves = False
            for alive in (True, False):
                socket.send_text("still here")
                assert socket.receive_json()[1] is alive


def test_a_handler_that_says_passive_is_heard_from_the_second_request_of_its_path_on() -> None:
    """However many paths there are: one that is polled is not forgotten for others that were asked for before."""
    clock = FakeClock()

    async def poll(request: Request) -> JSONResponse:
        session = get_session(request)
        session.passive()
        return JSONResponse(session.get("n"))

    routes = [Route("/write", _show), Route("/orders/{number}", poll)]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager(clock))])
    with client(app) as browser:
        for number in range(1_001):
            browser.get(f"/orders/{number}")
        browser.get("/write")
        clock.advance(600)
        assert browser.get("/orders/1001").json() == 1  # read before the handler could say so: a use
        for left in (1, 1, None):
            clock.advance(700)
            assert browser.get("/orders/1001").json() == left


def test_the_current_session_was_seen_now() -> None:
    """A list of devices says of the one that asks that it is used now, although that is not written down yet."""
    clock = FakeClock()
    kept = manager(clock)

    async def login(request: Request) -> JSONResponse:
        get_session(request).login("ann")
        return JSONResponse(None)

    async def devices(request: Request) -> JSONResponse:
        session = get_session(request)
        if request.url.path == "/poll":
            session.passive()
        infos = await kept.sessions_of("ann", current=session)
        return JSONResponse([[info.current, info.last_seen.timestamp(), info.expires_at is not None] for info in infos])

    routes = [Route("/login", login), Route("/devices", devices), Route("/poll", devices)]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=kept)])
    with client(app) as ann, client(app, manager=kept) as phone:
        began = clock() / 1000
        ann.get("/login")
        clock.advance(1)
        phone.get("/login")
        clock.advance(20)  # less than a touch interval
        assert ann.get("/devices").json() == [[True, began + 21, True], [False, began + 1, True]]
        assert ann.get("/poll").json() == [[False, began + 1, True], [True, began, True]]


def test_fastmvc_has_an_id_after_save() -> None:
    """``session.id`` is None before the first save, and after ``await session.save()`` it is the store's key."""

    async def show(request: Request) -> JSONResponse:
        session: Any = session_in(request.scope)
        session["n"] = 1
        before = session.id
        await session.save()
        return JSONResponse([before, session.id])

    kept = SessionManager(MemoryStore(), dev=False)
    app = Starlette(routes=[Route("/", show)], middleware=[Middleware(FastMVCSessions, manager=kept)])
    with client(app) as browser:
        before, after = browser.get("/").json()
    assert before is None
    assert [after] == list(kept.store._records)  # type: ignore[union-attr]


def test_adding_a_secret_logs_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    """With ``unsigned_until`` ids from before are read and signed; without it the log names the setting, once."""
    store, clock = MemoryStore(), FakeClock()

    def release(**settings: Any) -> Any:
        middleware = [Middleware(SessionMiddleware, manager=manager(clock, store=store, **settings))]
        return client(Starlette(routes=[Route("/write", _show)], middleware=middleware))

    with release() as old:
        old.get("/write")
        (cookie,) = old.cookies.jar
    sent = {"cookie": f"{cookie.name}={cookie.value}"}
    soon = datetime.fromtimestamp(clock() / 1000, UTC) + timedelta(days=14)
    with release(secret=SECRET, unsigned_until=soon) as new:
        answer = new.get("/write", headers=sent)
        assert answer.json() == [1, 2]
        assert len(answer.headers["set-cookie"].partition(";")[0]) > len(sent["cookie"])  # signed from now on
        signed = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
        assert new.get("/write", headers=signed).json() == [2, 3]
    with release() as back:  # and taking it back does not either
        assert back.get("/write", headers=signed).json() == [3, 4]
    with caplog.at_level(logging.WARNING, "limpet"), release(secret=SECRET) as hasty:
        for _ in range(2):
            assert hasty.get("/write", headers=sent).json() == [None, 1]
    (said,) = (line for line in caplog.messages if "unsigned_until" in line)
    assert said.startswith("a cookie holds an id without a signature")


@pytest.mark.parametrize("life", [timedelta.max, 1e12, 1e300])
async def test_a_deadline_that_no_calendar_has_is_a_hundred_years_away(site: Farm, life: float | timedelta) -> None:
    """Whoever asks for it, and whoever lists the session, is answered."""
    shop = site.worker(absolute_timeout=None)

    def stay(session: Session) -> Any:
        session.login("ann")
        session.expire_in(life)
        return session.expires_at

    answer = await site.browser().ask(shop, stay)
    (listed,) = await shop.manager.sessions_of("ann")
    assert answer.status == 200
    assert answer.result == listed.expires_at == moment(site.clock()) + timedelta(days=36_525)


def test_a_moment_that_no_calendar_has() -> None:
    """A record may hold one; it is shown as the end of the last year."""
    assert moment(10**15).year == 9999
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("before", [None, 7 * 86_400], ids=["sooner than the idle timeout", "back to the idle timeout"])
async def test_a_deadline_that_came_nearer_holds_for_who_met_the_session_alive(site: Farm, before: int | None) -> None:
    """A save long after the session's own deadline, or its idle one, revives nothing, whatever the store was told."""
    shop = site.worker()
    ann = await site.browser().login(shop)
    await ann.ask(shop, lambda session: session.expire_in(before))
    await ann.ask(shop, lambda session: session.expire_in(600 if before is None else None))
    late = ann.copy()
    async with late.held(
        shop, steps(lambda session: session.update(note="late"), lambda session: session.expire_in(7200))
    ):
        site.clock.advance(700 if before is None else 86_400 + 100)
        assert (await ann.ask(shop, look)).result is None
    assert (await ann.ask(shop, look)).result is None


async def test_a_request_that_outlasts_the_absolute_deadline_of_a_cookie_session(cookie_site: Farm) -> None:
    """As with a session in a store: what it wrote is said to be lost, and no cookie that is dead already goes out."""
    shop = cookie_site.worker(absolute_timeout=3600)
    ann = await cookie_site.browser().login(shop)

    def page(session: Session) -> None:
        session["late"] = True
        cookie_site.clock.advance(4000)

    assert (await ann.ask(shop, page)).cookies == []
    assert shop.said(WriteAfterEnd) == 1
    if cookie_site.kind in {"denylist", "epoch"}:
        strict = cookie_site.worker(absolute_timeout=3600, on_ended="raise")
        late = await (await cookie_site.browser().login(strict)).ask(strict, page)
        assert (late.status, late.cookies) == (409, [])
