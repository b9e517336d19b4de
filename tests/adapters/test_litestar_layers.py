"""The middleware on routers, controllers and single routes; Litestar's authentication and its test client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from litestar import Controller, Litestar, MediaType, Response, Router, WebSocket, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.middleware.base import DefineMiddleware
from litestar.security.session_auth import SessionAuth
from litestar.testing import AsyncTestClient, TestClient, create_test_client

from limpet import LimpetWarning, SessionManager
from limpet.adapters.litestar import Session, SessionDep, SessionPlugin
from limpet.stores.memory import MemoryStore
from limpet.testing import client
from tests.adapters.litestar_app import AnyRequest, data, visits

SECRET = "a secret of a test that is long enough to be one, 0123456789"
HTTPS = "https://testserver.local"


@get("/has")
async def has(request: AnyRequest) -> bool:
    return "session" in request.scope


class Desk(Controller):
    path = "/desk"

    @get("/one")
    async def one(self, session: SessionDep) -> int:
        return int(session.increment("visits"))

    @get("/two")
    async def two(self, session: SessionDep) -> int:
        return int(session.increment("visits"))


@pytest.mark.parametrize("where", ["router", "nested router", "controller", "route"])
@pytest.mark.parametrize("registered", [True, False])
def test_middleware_of_a_layer(where: str, registered: bool) -> None:
    """``middleware=[sessions.middleware]`` gives sessions to what is below it: one store, and none elsewhere."""
    store = MemoryStore()
    sessions = SessionPlugin(SessionManager(store), everywhere=False)
    one, two, path = get("/one")(visits.fn), get("/two")(visits.fn), ""
    inner: list[Any]
    if where == "route":
        inner = [get(f"/{name}", middleware=[sessions.middleware])(visits.fn) for name in ("one", "two")]
    elif where == "controller":
        inner = [type("Guarded", (Desk,), {"middleware": [sessions.middleware]})]
        path = "/desk"
    else:
        router = Router("/in", route_handlers=[one, two], middleware=[sessions.middleware])
        inner, path = [router], "/in"
        if where == "nested router":
            inner, path = [Router("/out", route_handlers=[router])], "/out/in"
    if registered:
        app = Litestar([*inner, has], plugins=[sessions])
    else:
        from litestar.di import Provide

        async def session(request: AnyRequest) -> Session:
            found: Any = request.session
            return await found.load()  # type: ignore[no-any-return]

        app = Litestar([*inner, has], dependencies={"session": Provide(session)})
    with client(app, manager=sessions.manager) as browser:
        assert browser.get(f"{path}/one").json() == 1
        assert browser.get(f"{path}/two").json() == 2
        assert browser.get("/has").json() is False
        assert len(store._records) == 1


def test_middleware_of_a_layer_beside_the_one_around_all() -> None:
    """Where the plugin is around every route already, the same middleware further in changes nothing."""
    sessions = SessionPlugin("memory:")

    @post("/set", middleware=[sessions.middleware])
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})

    with client(Litestar([put, data], plugins=[sessions])) as browser:
        browser.post("/set")
        assert browser.get("/data").json() == {"a": 1}


def test_set_session_under_a_layer() -> None:
    """Litestar's own words work there too, and in WebSockets."""
    sessions = SessionPlugin("memory:", everywhere=False)

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any]) -> None:
        socket.clear_session()
        await socket.accept()
        await socket.close()

    router = Router("/in", route_handlers=[put, data, socket], middleware=[sessions.middleware])
    with client(Litestar([router], plugins=[sessions])) as browser:
        browser.post("/in/set")
        assert browser.get("/in/data").json() == {"a": 1}
        with browser.websocket_connect("/in/socket"):
            pass
        assert browser.get("/in/data").json() == {}


@pytest.mark.parametrize("media_type", [MediaType.JSON, MediaType.MESSAGEPACK])
def test_a_session_is_returned(media_type: MediaType) -> None:
    """A handler may return the session, alone or inside of other values, in every format that Litestar writes."""
    import msgspec

    @get("/session", media_type=media_type)
    async def session_(request: AnyRequest) -> dict[str, Any]:
        return request.session

    @get("/nested", media_type=media_type)
    async def nested(session: SessionDep) -> dict[str, Any]:
        return {"session": session, "list": [session]}

    @get("/response")
    async def response(session: SessionDep) -> Response[Any]:
        session["late"] = {"nested": [1, 2]}
        return Response(session, media_type=media_type)

    decode: Any = msgspec.json.decode if media_type is MediaType.JSON else msgspec.msgpack.decode
    with client(Litestar([session_, nested, response, visits], plugins=[SessionPlugin("memory:")])) as browser:
        assert decode(browser.get("/session").content) == {}
        browser.get("/visits")
        assert decode(browser.get("/session").content) == {"visits": 1}
        assert decode(browser.get("/nested").content) == {"session": {"visits": 1}, "list": [{"visits": 1}]}
        assert decode(browser.get("/response").content) == {"visits": 1, "late": {"nested": [1, 2]}}
        assert decode(browser.get("/session").content) == {"visits": 1, "late": {"nested": [1, 2]}}


def test_an_encoder_of_the_application_comes_first() -> None:
    """An application that has its own way to encode a session keeps it."""

    @get("/session")
    async def session_(session: SessionDep) -> Any:
        return {"session": session}

    app = Litestar([session_], plugins=[SessionPlugin("memory:")], type_encoders={Session: lambda _: "mine"})
    with client(app) as browser:
        assert browser.get("/session").json() == {"session": "mine"}


# -- Litestar's SessionAuth


def _guarded(sessions: SessionPlugin, *, registered: bool) -> Litestar:
    async def user_of(session: dict[str, Any], connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        return session.get("user_id")

    @post("/login")
    async def login(request: AnyRequest) -> None:
        request.set_session({"user_id": "ann"})

    @post("/logout")
    async def logout(request: AnyRequest) -> None:
        request.clear_session()

    @get("/me")
    async def me(request: AnyRequest) -> list[Any]:
        return [request.user, dict(request.auth)]

    auth = SessionAuth[str, Any](
        retrieve_user_handler=user_of, session_backend_config=sessions.config, exclude=["^/login"]
    )
    return Litestar([login, logout, me], on_app_init=[auth.on_app_init], plugins=[sessions] if registered else [])


@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize("url", ["memory:", "cookie:"])
def test_session_auth(url: str, registered: bool) -> None:
    """Litestar's ``SessionAuth`` over our sessions: refused, logged in, logged out."""
    sessions = SessionPlugin(SessionManager(url, secret=SECRET))
    app = _guarded(sessions, registered=registered)
    with client(app, manager=sessions.manager) as browser:
        assert browser.get("/me").status_code == 401
        browser.post("/login")
        token = browser.cookies[sessions.manager.cookie_name]
        assert browser.get("/me").json() == ["ann", {"user_id": "ann"}]
        browser.post("/logout")
        assert browser.get("/me").status_code == 401
        if url == "memory:":
            browser.cookies.clear()
            cookie = {"cookie": f"{sessions.manager.cookie_name}={token}"}
            assert browser.get("/me", headers=cookie).status_code == 401


def test_session_auth_names_its_cookie() -> None:
    """The OpenAPI document of ``SessionAuth`` names our cookie."""
    sessions = SessionPlugin(SessionManager("memory:", label="shop"))
    schema = _guarded(sessions, registered=True).openapi_schema.to_schema()
    assert schema["components"]["securitySchemes"]["sessionCookie"]["name"] == sessions.manager.cookie_name


# -- Litestar's test client


@pytest.mark.parametrize("url", ["memory:", "cookie:"])
def test_session_helpers_of_the_test_client(url: str) -> None:
    """``set_session_data`` and ``get_session_data`` seed and read our sessions."""
    sessions = SessionPlugin(SessionManager(url, secret=SECRET))
    app = Litestar([visits, data], plugins=[sessions])
    with TestClient(app, base_url=HTTPS, session_config=sessions.config) as browser:
        assert browser.get_session_data() == {}
        browser.set_session_data({"visits": 4, "cart": ["tea"]})
        assert browser.get("/visits").json() == 5
        assert browser.get_session_data() == {"visits": 5, "cart": ["tea"]}
        browser.set_session_data({"cart": []})
        assert browser.get("/data").json() == {"cart": []}


def test_session_helpers_of_the_asynchronous_test_client() -> None:
    """So they do in the asynchronous client, and with the client that makes the application."""
    sessions = SessionPlugin(SessionManager("memory:"))

    async def seed() -> Any:
        app = Litestar([data], plugins=[sessions])
        async with AsyncTestClient(app, base_url=HTTPS, session_config=sessions.config) as browser:
            await browser.set_session_data({"a": 1})
            return (await browser.get("/data")).json(), await browser.get_session_data()

    assert asyncio.run(seed()) == ({"a": 1}, {"a": 1})
    with create_test_client([data], plugins=[sessions], base_url=HTTPS, session_config=sessions.config) as browser:
        browser.set_session_data({"b": 2})
        assert browser.get("/data").json() == {"b": 2}


def test_a_test_client_over_http_is_told_why() -> None:
    """Litestar's test client speaks http unless told otherwise; the warning names the cure."""
    sessions = SessionPlugin(SessionManager("memory:"))
    with TestClient(Litestar([visits], plugins=[sessions]), session_config=sessions.config) as browser:
        with pytest.warns(LimpetWarning, match="https"):
            browser.get("/visits")


def test_the_middleware_is_litestars_kind() -> None:
    """Both names give what Litestar lists among middlewares."""
    sessions = SessionPlugin("memory:")
    assert isinstance(sessions.middleware, DefineMiddleware)
    assert isinstance(sessions.config.middleware, DefineMiddleware)
