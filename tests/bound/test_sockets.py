"""A WebSocket lives no longer than the proof with which it was opened, where sockets are closed with their sessions."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import SessionManager, events
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.bound import BoundPolicy
from limpet.testing import async_client
from limpet.testing.clients import WebSocketClosed
from tests.bound.device import Browser, asgi
from tests.bound.sites import Site
from tests.security.site import SECRET

CLOSED = (1008, "its device is to be proven again")


async def talk(socket: WebSocket) -> None:
    """Say whose session it is and whether it is live, whenever the client asks."""
    session = get_session(socket)
    await socket.accept()
    while True:
        await socket.send_text(f"{session.subject} {await session.is_live()}")
        await socket.receive_text()


async def act(request: Request) -> Response:
    session = get_session(request)
    if request.url.path.startswith("/login"):
        session.login("ann")
    elif request.url.path == "/logout":
        session.logout()
    return JSONResponse(session.subject)


def built(close_sockets: float | None = 0.02, bound: BoundPolicy | bool = True) -> tuple[Starlette, Site]:
    """Return an application, and the same as a site."""
    manager = SessionManager("memory:", secret=SECRET, bound=bound, dev=False)
    routes = [WebSocketRoute("/talk", talk), *(Route(path, act) for path in ("/login/ann", "/logout", "/me"))]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager, close_sockets=close_sockets)])
    return app, Site(asgi(app), manager)


def cookies_of(browser: Browser) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


async def how_it_closes(socket: Any) -> tuple[int, str]:
    """Wait for the server to close a socket."""
    try:
        while True:
            await asyncio.wait_for(socket.receive(), 5)
    except WebSocketClosed as closed:
        return closed.code, closed.reason


async def test_a_copied_socket_ends_with_its_proof_though_the_owner_goes_on() -> None:
    app, site = built()
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann.thief())) as socket:
        assert await socket.receive() == "ann True"
        site.clock.advance(500)
        assert (await ann.refresh()).status == 200
        site.clock.advance(95)
        await asyncio.sleep(0.1)
        await socket.send("")
        assert await socket.receive() == "ann True", "within a tenth of the time, as for a request"
        site.clock.advance(61)
        assert await how_it_closes(socket) == CLOSED
        assert await ann.whose() == "ann"
        assert site.seen(events.DeviceUnproven) == [], "a socket that is closed in time is nobody's attempt"
        async with c.websocket_connect("/talk", headers=cookies_of(ann)) as again:
            assert await again.receive() == "ann True"


async def test_a_logout_is_told_as_such() -> None:
    app, site = built()
    ann = await Browser(site.send).log_in()
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann)) as socket:
        assert (await ann.get("/logout")).status == 200
        assert await how_it_closes(socket) == (1008, "the session has ended")


async def test_a_socket_from_before_the_first_proof_is_borne_for_a_moment() -> None:
    app, site = built()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann)) as socket:
        assert (await ann.register()).status == 200
        assert (await ann.refresh()).status == 200
        site.clock.advance(29)
        await asyncio.sleep(0.1)
        assert await socket.receive() == "ann True"
        await socket.send("")
        assert await socket.receive() == "ann True"
        site.clock.advance(2)
        assert await how_it_closes(socket) == CLOSED


async def test_a_browser_that_cannot_keeps_its_socket() -> None:
    app, site = built()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann)) as socket:
        site.clock.advance(3600)
        await asyncio.sleep(0.1)
        for _ in range(2):
            await socket.send("")
            assert await socket.receive() == "ann True"


async def test_where_a_device_is_required_a_socket_without_one_ends() -> None:
    app, site = built(bound=BoundPolicy(required=True))
    ann = Browser(site.send)
    await ann.get("/login/ann")
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann)) as socket:
        site.clock.advance(91)
        assert await how_it_closes(socket) == CLOSED


async def test_nothing_is_closed_where_nobody_asked_for_it_but_a_handler_can_ask() -> None:
    app, site = built(close_sockets=None)
    ann = await Browser(site.send).log_in()
    async with async_client(app) as c, c.websocket_connect("/talk", headers=cookies_of(ann)) as socket:
        site.clock.advance(661)
        assert await socket.receive() == "ann True"
        await socket.send("")
        assert await socket.receive() == "ann False"
