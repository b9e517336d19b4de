"""S34: WebSockets and long streams go on with a session that has ended."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import SessionClosed, SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.csrf import CSRFMiddleware
from limpet.testing import async_client
from limpet.testing.clients import WebSocketClosed


async def talk(socket: WebSocket) -> None:
    """Do what the client says: ``save``, ``new id`` or ``live``."""
    session = get_session(socket)
    await socket.accept()
    while True:
        word = await socket.receive_text()
        try:
            if word == "save":
                session["late"] = 1
                await session.save()
            elif word == "new id":
                session.regenerate()
            await socket.send_text(f"live={await session.is_live()}")
        except SessionClosed:
            await socket.send_text("closed")


async def logout(request: Request) -> Response:
    request.session.clear()
    return Response()


async def dump(request: Request) -> Response:
    return JSONResponse(dict(request.session))


def application(close_sockets: float | None = None) -> Starlette:
    """Return an application with a socket and a logout."""
    return Starlette(
        routes=[WebSocketRoute("/talk", talk), Route("/logout", logout), Route("/dump", dump)],
        middleware=[
            Middleware(SessionMiddleware, SessionManager("memory:"), close_sockets=close_sockets),
            Middleware(CSRFMiddleware),
        ],
    )


async def test_a_late_write_is_saved_or_refused() -> None:
    """With an id, a write after the acceptance is saved; what would need a new cookie raises `SessionClosed`."""
    async with async_client(application()) as c:
        async with c.session() as session:
            session["n"] = 1
        async with c.websocket_connect("/talk") as socket:
            await socket.send("save")
            assert await socket.receive() == "live=True"
            await socket.send("new id")
            assert await socket.receive() == "closed"
        assert (await c.get("/dump")).json() == {"n": 1, "late": 1}


async def test_without_a_session_a_late_write_is_refused() -> None:
    """There is no cookie to hand out any more: an error, never a silent loss."""
    async with async_client(application()) as c, c.websocket_connect("/talk") as socket:
        await socket.send("save")
        assert await socket.receive() == "closed"


async def test_a_logout_shows_in_the_socket() -> None:
    """`Session.is_live` is False after a logout elsewhere."""
    async with async_client(application()) as c:
        async with c.session() as session:
            session.login("ann")
        async with c.websocket_connect("/talk") as socket:
            await socket.send("live")
            assert await socket.receive() == "live=True"
            await c.get("/logout")
            await socket.send("live")
            assert await socket.receive() == "live=False"


async def test_a_logout_closes_the_socket() -> None:
    """With ``close_sockets`` the server closes it, with 1008, within that time."""
    async with async_client(application(close_sockets=0.05)) as c:
        async with c.session() as session:
            session.login("ann")
        async with c.websocket_connect("/talk") as socket:
            await c.get("/logout")
            with pytest.raises(WebSocketClosed) as caught:
                await asyncio.wait_for(socket.receive(), 5)
            assert caught.value.code == 1008


async def test_a_handshake_from_another_origin_is_refused() -> None:
    """Browsers send cookies with it, so `CSRFMiddleware` looks at its Origin."""
    async with async_client(application()) as c:
        async with c.session() as session:
            session.login("ann")
        with pytest.raises(WebSocketClosed):
            async with c.websocket_connect("/talk", headers={"origin": "https://evil.example"}):
                pass
        async with c.websocket_connect("/talk", headers={"origin": "https://testserver"}) as socket:
            await socket.send("live")
            assert await socket.receive() == "live=True"
