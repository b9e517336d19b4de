"""The Starlette adapter."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as Theirs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import ConfigurationError, SessionManager, SessionNotLoaded
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.asgi import ASGIApp
from limpet.testing import AdapterSuite, async_client, client
from limpet.testing.suite_adapter import AppSpec


class TestStarlette(AdapterSuite):
    """Every promise, through Starlette."""

    def build(self, spec: AppSpec) -> ASGIApp:
        async def page(request: Request) -> Response:
            reply = await spec.run(request.path_params["name"], request.query_params, lambda: get_session(request))
            background = BackgroundTask(reply.background) if reply.background else None
            if reply.stream is not None:
                return StreamingResponse(reply.stream)
            return Response(reply.text, reply.status, reply.headers, "application/json", background)

        async def socket(socket: WebSocket) -> None:
            await spec.converse(
                socket.query_params, lambda: get_session(socket), socket.accept, socket.receive_text, socket.send_text
            )
            await socket.close()

        return Starlette(
            routes=[Route("/{name}", page), WebSocketRoute("/socket", socket)],
            middleware=[Middleware(SessionMiddleware, spec.manager, exclude=spec.exclude, lazy=spec.lazy)],
        )


async def test_get_session_is_request_session_with_its_type() -> None:
    """`get_session` and ``request.session`` are one object, in http and in WebSockets."""
    seen: list[bool] = []

    async def page(request: Request) -> Response:
        seen.append(get_session(request) is request.session)
        seen.append(get_session(request) is request.state.session)
        return Response()

    async def socket(socket: WebSocket) -> None:
        seen.append(get_session(socket) is socket.session)
        await socket.accept()
        await socket.close()

    app = Starlette(
        routes=[Route("/", page), WebSocketRoute("/socket", socket)],
        middleware=[Middleware(SessionMiddleware, manager="memory:")],
    )
    async with async_client(app) as c:
        await c.get("/")
        async with c.websocket_connect("/socket"):
            pass
    assert seen == [True, True, True]


async def test_without_a_middleware_the_error_names_the_cure() -> None:
    """`get_session` without `SessionMiddleware` says what to add."""

    async def page(request: Request) -> Response:
        get_session(request)
        return Response()

    async with async_client(Starlette(routes=[Route("/", page)])) as c:
        with pytest.raises(ConfigurationError, match="add SessionMiddleware"):
            await c.get("/")


async def test_lazy_reading_before_loading_names_both_cures() -> None:
    """With ``lazy=True`` a synchronous read raises `SessionNotLoaded`, and ``await session.load()`` is the cure."""

    async def page(request: Request) -> Response:
        with pytest.raises(SessionNotLoaded):
            request.session.get("n")
        session = await get_session(request).load()
        return Response(str(session["n"]))

    app = Starlette(routes=[Route("/", page)], middleware=[Middleware(SessionMiddleware, manager="memory:", lazy=True)])
    async with async_client(app) as c:
        async with c.session() as session:
            session["n"] = 5
        assert (await c.get("/")).text == "5"


async def test_several_managers_in_one_application() -> None:
    """Two middlewares with two managers: each has its scope key, its cookie and its records."""
    shop, admin = SessionManager("memory:"), SessionManager("memory:", label="admin")

    async def page(request: Request) -> Response:
        get_session(request)["where"] = "shop"
        get_session(request, scope_key="admin")["where"] = "admin"
        assert get_session(request, admin) is request.state.admin
        session: Any = request.session
        assert get_session(request, shop) is session
        return Response()

    app = Starlette(
        routes=[Route("/", page)],
        middleware=[
            Middleware(SessionMiddleware, shop),
            Middleware(SessionMiddleware, admin, scope_key="admin"),
        ],
    )
    async with async_client(app) as c:
        response = await c.get("/")
        names = sorted(line.partition("=")[0] for line in response.headers.get_list("set-cookie"))
        assert names == ["__Host-Http-session", "__Host-Http-session-admin"]
        assert response.headers.get_list("vary") == ["Cookie"]
        async with c.session(shop) as session:
            assert dict(session) == {"where": "shop"}
        async with c.session(admin) as session:
            assert dict(session) == {"where": "admin"}


async def test_a_mounted_application_shares_the_session() -> None:
    """An application mounted below the middleware has the same session; a second middleware of one manager is none."""
    manager = SessionManager("memory:")

    async def page(request: Request) -> Response:
        request.session["n"] = request.session.get("n", 0) + 1
        return Response(str(request.session["n"]))

    inner = Starlette(routes=[Route("/", page)], middleware=[Middleware(SessionMiddleware, manager)])
    app = Starlette(
        routes=[Route("/", page), Mount("/inner", inner)], middleware=[Middleware(SessionMiddleware, manager)]
    )
    async with async_client(app) as c:
        assert (await c.get("/")).text == "1"
        response = await c.get("/inner/")
        assert response.text == "2"
        assert len(response.headers.get_list("set-cookie")) == 0
        assert (await c.get("/")).text == "3"


async def test_of_two_managers_with_one_cookie_the_last_added_serves(caplog: pytest.LogCaptureFixture) -> None:
    """They would overwrite each other's cookie: one steps aside, and one warning names the cure; a label is it."""
    outer = SessionManager("memory:")

    async def page(request: Request) -> Response:
        return Response(str(get_session(request).increment("n")))

    def site(label: str | None) -> ASGIApp:
        return Starlette(
            routes=[Route("/", page)],
            middleware=[
                Middleware(SessionMiddleware, outer),
                Middleware(SessionMiddleware, SessionManager("memory:", label=label), scope_key="admin"),
            ],
        )

    async with async_client(site("admin"), outer) as browser:
        assert [(await browser.get("/")).text for _ in range(2)] == ["1", "2"]
    assert caplog.messages == []
    async with async_client(site(None), outer) as browser:
        assert [(await browser.get("/")).text for _ in range(3)] == ["1", "2", "3"]
        async with browser.session() as kept:
            assert dict(kept) == {"n": 3}
    [told] = caplog.messages
    assert "label='admin'" in told


def test_get_session_beside_sessions_of_others() -> None:
    """An inner session middleware of others takes ``request.session``; ours is still to be had, and is saved."""

    async def both(request: Request) -> JSONResponse:
        request.session["theirs"] = True
        return JSONResponse([get_session(request).increment("ours"), sorted(request.session)])

    inner = [Middleware(SessionMiddleware, manager="memory:"), Middleware(Theirs, secret_key="k" * 40)]
    with client(Starlette(routes=[Route("/", both)], middleware=inner)) as browser:
        assert browser.get("/").json() == [1, ["theirs"]]
        assert browser.get("/").json() == [2, ["theirs"]]
