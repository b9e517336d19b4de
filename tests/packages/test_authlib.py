"""Authlib's client for Starlette and FastAPI keeps its state, and what the demos store, in the session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.asgi import ASGIApp
from limpet.testing import client
from tests.packages.provider import SECRET, oauth_over, provider


def site(keep: Callable[[Request, Any], Any], *, at: Any = None, middleware: Any) -> Starlette:
    """Return an application with Authlib's three routes; ``keep`` stores what came from the provider."""
    oauth = oauth_over(at or provider())

    async def login(request: Request) -> Any:
        return await oauth.authorize_redirect(request, "https://testserver/callback")

    async def callback(request: Request) -> Response:
        keep(request, await oauth.authorize_access_token(request))
        return RedirectResponse("/")

    async def home(request: Request) -> Response:
        return JSONResponse(request.session.get("user"))

    async def logout(request: Request) -> Response:
        request.session.pop("user", None)
        return RedirectResponse("/")

    async def keys(request: Request) -> Response:
        return JSONResponse(sorted(request.session))

    views = {"/login": login, "/callback": callback, "/": home, "/logout": logout, "/keys": keys}
    return Starlette(routes=[Route(*each) for each in views.items()], middleware=[middleware])


def keep_plain(request: Request, token: Any) -> None:
    request.session["user"] = dict(token["userinfo"])


def keep_claims(request: Request, token: Any) -> None:
    """As Authlib's own demo for Google does it: what it stores is a dict of a class of its own."""
    request.session["user"] = token.get("userinfo")


def keep_token(request: Request, token: Any) -> None:
    """With the tokens themselves, to call the provider's API later."""
    request.session["user"] = dict(token["userinfo"])
    request.session["token"] = dict(token) | {"userinfo": dict(token["userinfo"])}


@pytest.mark.parametrize("keep", [keep_plain, keep_token, keep_claims])
async def test_login_and_logout(manager: SessionManager, browse: Callable[..., Any], keep: Any) -> None:
    """OpenID Connect with PKCE and a nonce: there and back, the user is kept, the id changes, the logout holds."""
    at = provider()
    app = site(keep, at=at, middleware=Middleware(SessionMiddleware, manager))
    browser = browse(app, at, follow_redirects=True)
    assert (await browser.get("/")).json() is None
    await browser.get("/login", follow_redirects=False)
    before = browser.cookies[manager.cookie_name]
    assert (await browser.get("/login")).json()["name"] == "Ann"
    assert browser.cookies[manager.cookie_name] != before
    assert not [key for key in (await browser.get("/keys")).json() if key.startswith("_state")]
    assert (await browser.get("/logout")).json() is None
    assert (await browser.get("/")).json() is None


async def test_over_the_drop_in(browse: Callable[..., Any]) -> None:
    """The same with Starlette's arguments."""
    at = provider()
    app = site(keep_plain, at=at, middleware=Middleware(DropIn, secret_key=SECRET, https_only=True))
    assert (await browse(app, at, follow_redirects=True).get("/login")).json()["name"] == "Ann"


async def test_two_logins_at_once(browse: Callable[..., Any]) -> None:
    """Two tabs that begin a login at the same moment each keep their state: both come back."""
    at, both = provider(), asyncio.Barrier(2)
    inner = site(keep_plain, at=at, middleware=Middleware(_Meeting, both))
    browser = browse(SessionMiddleware(inner, "memory:"), at)
    await browser.get("/keep?a=1")
    begun = await asyncio.gather(*(browser.get("/login") for _ in range(2)))
    for answer in begun:
        back = (await browser.get(answer.headers["location"])).headers["location"]
        assert (await browser.get(back)).status_code == 307
    assert (await browser.get("/")).json()["name"] == "Ann"


class _Meeting:
    """Middleware inside of the session's, in which logins wait for each other: both sessions are read by then."""

    def __init__(self, app: ASGIApp, both: asyncio.Barrier) -> None:
        self.app, self.both = app, both

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/login":
            await self.both.wait()
        elif scope["path"] == "/keep":
            scope["session"]["a"] = 1
        await self.app(scope, receive, send)


def test_a_state_of_somebody_else_is_refused() -> None:
    """A callback with a state that this session did not begin logs nobody in."""
    app = site(keep_plain, middleware=Middleware(SessionMiddleware, manager="memory:"))
    with client(app, raise_server_exceptions=False, follow_redirects=False) as victim, client(app) as attacker:
        asked = attacker.get("/login", follow_redirects=False).headers["location"]
        state = parse_qs(urlsplit(asked).query)["state"][0]
        assert victim.get("/callback", params={"code": "code-0", "state": state}).status_code == 500
        assert victim.get("/").json() is None
