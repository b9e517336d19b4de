"""Sessions of others beside ours in a Litestar application: each keeps what is its own."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from litestar import Litestar, Request, Router, asgi, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.middleware import DefineMiddleware
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.security.session_auth import SessionAuth
from litestar.types import ASGIApp, Receive, Scope, Send
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from limpet.adapters.litestar import SessionDep, SessionPlugin, fresh_login, get_session
from limpet.testing import client
from tests.adapters.litestar_app import AnyRequest, app_of, data

SECRET = "a secret of a test that is long enough to be one, 0123456789"


@post("/login")
async def login(request: AnyRequest) -> None:
    request.session.update(user_id="ann", cart=["tea"])


async def _theirs(request: StarletteRequest) -> PlainTextResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return PlainTextResponse(str(request.session["seen"]))


async def _their_logout(request: StarletteRequest) -> PlainTextResponse:
    request.session.clear()
    return PlainTextResponse("")


STARLETTE = Starlette(
    routes=[Route("/", _theirs), Route("/logout", _their_logout)],
    middleware=[Middleware(StarletteSessions, secret_key="k" * 40, session_cookie="theirs")],
)


@get("/")
async def _their_page(request: AnyRequest) -> str:
    request.set_session({"seen": request.session.get("seen", 0) + 1})
    return str(request.session["seen"])


@get("/logout")
async def _their_clear(request: AnyRequest) -> str:
    request.clear_session()
    return ""


LITESTAR = Litestar(
    [_their_page, _their_clear],
    middleware=[CookieBackendConfig(secret=secrets.token_bytes(16), key="theirs").middleware],
)


def _mounted(path: str, inner: Any, copy_scope: bool | None) -> Any:
    """Return the inner application at a path; one that knows no mounts sees paths of its own."""

    @asgi(path, is_mount=True, copy_scope=copy_scope)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = "/" + scope["path"].removeprefix(path).strip("/")
        await inner(scope, receive, send)

    return mounted


@pytest.mark.filterwarnings("ignore:.*copy_scope:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*copy_scope:litestar.exceptions.LitestarWarning")
@pytest.mark.parametrize("inner", [STARLETTE, LITESTAR], ids=["starlette", "litestar"])
@pytest.mark.parametrize("copy_scope", [True, False, None])
def test_a_mounted_application_keeps_its_own_sessions(inner: ASGIApp, copy_scope: bool | None) -> None:
    """What a mounted application does to its sessions, logout included, does nothing to the user's session here."""
    with client(app_of(login, _mounted("/admin", inner, copy_scope))) as browser:
        browser.post("/login")
        mine = browser.get("/data").json()
        assert mine == {"user_id": "ann", "cart": ["tea"]}
        assert [browser.get("/admin").text for _ in range(2)] == ["1", "2"]
        assert browser.get("/data").json() == mine
        browser.get("/admin/logout")
        assert browser.get("/data").json() == mine
        assert browser.get("/admin").text == "1"


def test_a_mounted_application_without_sessions_uses_ours() -> None:
    """What a mounted application does to our session itself counts."""
    inner = Starlette(routes=[Route("/", _theirs), Route("/logout", _their_logout)])
    with client(app_of(_mounted("/in", inner, True))) as browser:
        assert [browser.get("/in").text for _ in range(2)] == ["1", "2"]
        assert browser.get("/data").json() == {"seen": 2}
        browser.get("/in/logout")
        assert browser.get("/data").json() == {}


OWN: list[Any] = [
    CookieBackendConfig(secret=secrets.token_bytes(16), key="theirs"),
    ServerSideSessionConfig(key="theirs"),
]


@pytest.mark.parametrize("own", OWN, ids=["cookie", "server"])
def test_litestar_sessions_on_a_route(own: Any) -> None:
    """On a route with Litestar's own sessions, `request.session` is Litestar's, the dependency ours; none mix."""

    @get("/own/both", middleware=[own.middleware])
    async def both(request: AnyRequest, session: SessionDep) -> list[Any]:
        assert get_session(request) is session
        request.session["theirs"] = request.session.get("theirs", 0) + 1
        return [sorted(request.session), session.get("user_id"), session.increment("ours")]

    leave = get("/own/logout", middleware=[own.middleware])(_their_clear.fn)
    with client(app_of(login, both, leave)) as browser:
        browser.post("/login")
        assert browser.get("/own/both").json() == [["theirs"], "ann", 1]
        assert browser.get("/own/both").json() == [["theirs"], "ann", 2]
        mine = {"user_id": "ann", "cart": ["tea"], "ours": 2}
        assert browser.get("/data").json() == mine
        browser.get("/own/logout")
        assert browser.get("/data").json() == mine


@pytest.mark.parametrize("own", OWN, ids=["cookie", "server"])
def test_litestar_authentication_with_sessions_of_its_own(own: Any) -> None:
    """A refusal by ``SessionAuth`` over Litestar's own sessions ends those, not ours."""

    async def nobody(session: dict[str, Any], connection: Any) -> None:
        return None

    auth = SessionAuth[Any, Any](retrieve_user_handler=nobody, session_backend_config=own)
    router = Router("/own", route_handlers=[_their_page], middleware=[auth.middleware])
    with client(app_of(login, router)) as browser:
        browser.post("/login")
        assert browser.get("/own").status_code == 401
        assert browser.get("/data").json() == {"user_id": "ann", "cart": ["tea"]}


def test_a_middleware_that_answers_in_the_place_of_the_handler() -> None:
    """What a session middleware of others holds is not written into ours when another middleware answers."""

    def stop(app: ASGIApp) -> ASGIApp:
        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            held: Any = scope["session"]
            held["theirs"] = "secret"
            raise NotAuthorizedException

        return refuse

    own = DefineMiddleware(StarletteSessions, secret_key="k" * 40, session_cookie="theirs")  # type: ignore[arg-type]
    router = Router("/own", route_handlers=[_their_page], middleware=[own, stop])
    with client(app_of(login, router)) as browser:
        browser.post("/login")
        assert browser.get("/own").status_code == 401
        assert browser.get("/data").json() == {"user_id": "ann", "cart": ["tea"]}


@pytest.mark.parametrize("own", OWN, ids=["cookie", "server"])
def test_litestar_sessions_around_ours(own: Any) -> None:
    """Where Litestar's own sessions are on the application and ours on a router, each saves its own."""

    @get("/theirs")
    async def theirs(request: AnyRequest) -> int:
        request.session["theirs"] = request.session.get("theirs", 0) + 1
        return int(request.session["theirs"])

    @get("/ours")
    async def ours(request: AnyRequest) -> int:
        request.session["ours"] = request.session.get("ours", 0) + 1
        return int(request.session["ours"])

    sessions = SessionPlugin("memory:", everywhere=False)
    router = Router("/in", route_handlers=[ours, data], middleware=[sessions.middleware])
    app = Litestar([theirs, router], plugins=[sessions], middleware=[own.middleware])
    with client(app) as browser:
        for count in (1, 2):
            assert browser.get("/theirs").json() == count
            assert browser.get("/in/ours").json() == count
        assert browser.get("/in/data").json() == {"ours": 2}


def test_another_key_keeps_them_apart() -> None:
    """With a key of its own for ours, ``request.session`` and its words are Litestar's."""

    @get("/both")
    async def both(request: AnyRequest, visitor: SessionDep) -> list[int]:
        request.set_session({"theirs": request.session.get("theirs", 0) + 1})
        return [request.session["theirs"], visitor.increment("ours")]

    app = Litestar(
        [both], plugins=[SessionPlugin("memory:", scope_key="visitor")], middleware=[OWN[0].middleware], debug=False
    )
    with client(app) as browser:
        assert [browser.get("/both").json() for _ in range(2)] == [[1, 1], [2, 2]]


def test_request_type_is_untouched() -> None:
    """A handler may still put another object there, and that is then the session's new content."""

    @post("/swap")
    async def swap(request: Request[Any, Any, Any]) -> None:
        request.scope["session"] = {"swapped": True}

    with client(app_of(login, swap)) as browser:
        browser.post("/login")
        browser.post("/swap")
        assert browser.get("/data").json() == {"swapped": True}


def test_a_fresh_login_beside_sessions_of_others() -> None:
    """The guard asks our session, also where another one stands in its place."""

    @post("/sign-in")
    async def sign_in(session: SessionDep) -> None:
        session.login("ann")

    @post("/danger", middleware=[OWN[1].middleware], guards=[fresh_login(minutes=5)])
    async def danger() -> str:
        return "done"

    with client(app_of(sign_in, danger)) as browser:
        assert browser.post("/danger").status_code == 401
        browser.post("/sign-in")
        assert browser.post("/danger").text == "done"
