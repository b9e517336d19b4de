"""`limpet.testing.client` and `async_client`: seeding and reading the session of an application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import ConfigurationError, CookiePolicy, LimpetWarning, SessionManager
from limpet.asgi import SessionMiddleware
from limpet.testing import FakeClock, async_client, client
from limpet.testing.clients import WebSocketClosed
from limpet.transports import HeaderTransport

SECRET = "a secret of a test that is long enough to be one, 0123456789"


async def show(request: Request) -> JSONResponse:
    session = request.session
    return JSONResponse({"data": dict(session), "subject": cast(Any, session).subject})


async def count(request: Request) -> JSONResponse:
    return JSONResponse(cast(Any, request.session).increment("count"))


async def leave(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse(None)


async def where(request: Request) -> JSONResponse:
    return JSONResponse(getattr(request.state, "started", None))


async def talk(websocket: WebSocket) -> None:
    if websocket.query_params.get("refuse"):
        await websocket.close(4001)
        return
    websocket.session["seen"] = websocket.query_params.get("seen", "socket")
    await websocket.accept()
    await websocket.send_json(dict(websocket.session))
    await websocket.close()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"started": True}


def build(*managers: SessionManager | str) -> Starlette:
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/show", show),
            Route("/count", count),
            Route("/leave", leave),
            Route("/where", where),
            WebSocketRoute("/talk", talk),
        ],
        middleware=[
            Middleware(SessionMiddleware, manager=manager, scope_key="session" if not number else f"session{number}")
            for number, manager in enumerate(managers)
        ],
    )


@pytest.fixture(params=["memory", "sqlite", "cookie", "header"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    kinds: dict[str, Callable[[], SessionManager]] = {
        "memory": lambda: SessionManager("memory:"),
        "sqlite": lambda: SessionManager(f"sqlite:///{tmp_path}/sessions.db"),
        "cookie": lambda: SessionManager("cookie:", secret=SECRET),
        "header": lambda: SessionManager("memory:", transport=HeaderTransport()),
    }
    return kinds[request.param]()


def test_a_seeded_session_is_the_one_that_the_application_sees(manager: SessionManager) -> None:
    """What a test writes into the session is what the next request reads."""
    c = client(build(manager))
    with c.session() as session:
        session.login("ann")
        session["cart"] = ["tea"]
    assert c.get("/show").json() == {"data": {"cart": ["tea"]}, "subject": "ann"}


def test_the_session_can_be_read_after_a_request(manager: SessionManager) -> None:
    """A test can look at what a request stored."""
    c = client(build(manager))
    if isinstance(manager.engine.transport, HeaderTransport):
        c.headers["X-Session-ID"] = c.get("/count").headers["x-session-id"]
    else:
        c.get("/count")
    c.get("/count")
    with c.session() as session:
        assert session["count"] == 2


def test_it_works_while_the_application_is_started(manager: SessionManager) -> None:
    """Inside ``with client`` the session is opened on the application's own event loop."""
    with client(build(manager)) as c:
        assert c.get("/where").json() is True
        with c.session() as session:
            session["count"] = 41
        assert c.get("/count").json() == 42
        with c.session() as session:
            assert session["count"] in (41, 42)
            session.logout()
        assert c.get("/show").json() == {"data": {}, "subject": None}


async def test_the_asynchronous_client_does_the_same(manager: SessionManager) -> None:
    """`async_client` starts the application up, seeds the session and reads it."""
    async with async_client(build(manager)) as c:
        assert (await c.get("/where")).json() is True
        async with c.session() as session:
            session.login("ann")
            session["count"] = 41
        assert (await c.get("/count")).json() == 42
        assert (await c.get("/show")).json()["subject"] == "ann"
        async with c.session() as session:
            session.logout()
        assert (await c.get("/show")).json() == {"data": {}, "subject": None}


def test_looking_writes_nothing() -> None:
    """A block that only reads neither creates a session nor touches one."""
    manager = SessionManager("memory:", clock=(clock := FakeClock()))
    c = client(build(manager))
    with c.session() as session:
        assert dict(session) == {}
        assert session.is_new
    assert not c.cookies
    with c.session() as session:
        session["count"] = 1
    clock.advance(3600)
    with c.session() as session:
        before = session.expires_at
        assert session["count"] == 1
    with c.session() as session:
        assert session.expires_at == before


def test_a_block_that_raises_saves_nothing() -> None:
    """An assertion that fails in the block leaves the session as it was."""
    c = client(build(SessionManager("memory:")))

    def block() -> None:
        with c.session() as session:
            session["count"] = 1
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert c.get("/show").json()["data"] == {}


def test_logging_out_of_band_removes_the_cookie() -> None:
    """A session ended in the block leaves the client without its cookie."""
    c = client(build(SessionManager("memory:")))
    c.get("/count")
    assert "__Host-Http-session" in c.cookies
    with c.session() as session:
        session.logout()
    assert "__Host-Http-session" not in c.cookies


def test_a_manager_is_found_from_its_middleware_and_given_where_it_cannot_be() -> None:
    """An application without a middleware, or with several, is told what to write."""
    first, second = SessionManager("memory:"), SessionManager("memory:", label="admin")
    with pytest.raises(ConfigurationError, match=r"client\(app, manager=sessions\)"):
        with client(build()).session():
            raise AssertionError("never entered")
    c = client(build(first, second))
    with pytest.raises(ConfigurationError, match="2 session managers"):
        with c.session():
            raise AssertionError("never entered")
    with c.session(manager=second) as session:
        session["role"] = "admin"
    assert "__Host-Http-session-admin" in c.cookies
    with client(build(first, second), second).session() as session:
        assert session.is_new


def test_a_url_in_the_middleware_is_enough(tmp_path: Path) -> None:
    """The manager that a middleware made of a URL is found too."""
    c = client(build(f"sqlite:///{tmp_path}/sessions.db"))
    with c.session() as session:
        session["count"] = 1
    assert c.get("/count").json() == 2


def test_a_cookie_with_a_path_is_kept_and_sent() -> None:
    """A session below a path is opened as a request below that path sees it."""
    manager = SessionManager("memory:", cookie=CookiePolicy(path="/app"))
    c = client(build(manager))
    with c.session() as session:
        session["count"] = 1
    with c.session() as session:
        assert session["count"] == 1


def test_plain_http_is_said_once() -> None:
    """A Secure cookie on an http client gives the warning that names the cure."""
    c = client(build(SessionManager("memory:")), base_url="http://testserver")
    with pytest.warns(LimpetWarning, match="https://testserver"), c.session() as session:
        session["count"] = 1


def test_a_websocket_carries_and_keeps_the_cookies() -> None:
    """A WebSocket of the client sends its Secure cookie, and a cookie of the acceptance stays."""
    with client(build(SessionManager("memory:"))) as c:
        with c.websocket_connect("/talk") as socket:
            assert socket.receive_json() == {"seen": "socket"}
        assert c.get("/show").json()["data"] == {"seen": "socket"}
        c.get("/count")
        with c.websocket_connect("/talk?seen=again") as socket:
            assert socket.receive_json() == {"seen": "again", "count": 1}


async def test_an_asynchronous_websocket_carries_and_keeps_the_cookies() -> None:
    """The same over `async_client`."""
    async with async_client(build(SessionManager("memory:"))) as c:
        async with c.websocket_connect("/talk") as socket:
            assert await socket.receive() == '{"seen":"socket"}'
            with pytest.raises(WebSocketClosed, match="1000"):
                await socket.receive()
        assert (await c.get("/show")).json()["data"] == {"seen": "socket"}
        with pytest.raises(WebSocketClosed, match="4001"):
            async with c.websocket_connect("/talk?refuse=1"):
                raise AssertionError("never accepted")


async def test_an_application_that_fails_to_start_says_so() -> None:
    """What a lifespan raises reaches the test."""

    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise LookupError("no database")
        yield

    with pytest.raises(LookupError, match="no database"):
        async with async_client(Starlette(lifespan=broken)):
            raise AssertionError("never entered")


async def test_an_application_without_a_lifespan_is_served() -> None:
    """A bare ASGI function that returns from its lifespan scope is fine."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["session"]["n"] = 1
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async with async_client(SessionMiddleware(app, manager="memory:")) as c:
        assert (await c.get("/")).status_code == 204
        async with c.session() as session:
            assert session["n"] == 1


def test_the_clock_moves_only_by_hand() -> None:
    """`FakeClock` is advanced by seconds or a timedelta and stands still otherwise."""
    clock = FakeClock(start_ms=1000)
    assert clock() == clock.now == 1000
    clock.advance(1.5)
    clock.advance(timedelta(minutes=1))
    assert clock() == clock() == 62_500


def test_nothing_is_imported_until_it_is_named() -> None:
    """``import limpet.testing`` needs neither pytest nor Starlette."""
    program = "import sys, limpet.testing; assert not {'pytest', 'starlette', 'httpx2', 'asyncio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
