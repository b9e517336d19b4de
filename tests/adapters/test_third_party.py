"""Packages that use ``request.session`` synchronously work unchanged: Authlib, SQLAdmin, starlette-admin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.integrations.starlette_client import OAuth
from sqladmin import Admin as SQLAdmin
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import create_engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.base import BaseAdmin
from starlette_admin.exceptions import LoginFailed

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.testing import async_client
from limpet.testing.clients import AsyncSessionClient

SECRET = "a secret of a test that is long enough to be one, 0123456789"


@pytest.fixture(params=["memory", "sqlite", "cookie"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/sessions.db", "cookie": "cookie:"}[request.param]
    return SessionManager(url, secret=SECRET)


async def _token(request: Request) -> JSONResponse:
    form = await request.form()
    assert form["code"] == "granted"
    return JSONResponse({"access_token": "for-ann", "token_type": "Bearer", "expires_in": 3600})


async def _userinfo(request: Request) -> JSONResponse:
    assert request.headers["authorization"] == "Bearer for-ann"
    return JSONResponse({"sub": "ann"})


async def test_authlib_keeps_its_state_in_the_session(manager: SessionManager) -> None:
    """An OAuth 2 login with PKCE: state and verifier survive the redirect, and the user id changes the session's id."""
    provider = Starlette(routes=[Route("/token", _token, methods=["POST"]), Route("/userinfo", _userinfo)])
    oauth = OAuth()
    oauth.register(
        "provider",
        client_id="client",
        client_secret="secret",
        authorize_url="https://provider/authorize",
        access_token_url="https://provider/token",
        userinfo_endpoint="https://provider/userinfo",
        client_kwargs={"code_challenge_method": "S256", "transport": httpx2.ASGITransport(provider)},
    )
    provider_client: Any = oauth.create_client("provider")

    async def login(request: Request) -> Any:
        return await provider_client.authorize_redirect(request, "https://testserver/callback")

    async def callback(request: Request) -> Response:
        token = await provider_client.authorize_access_token(request)
        user = await provider_client.userinfo(token=token)
        request.session["user"] = user["sub"]
        return JSONResponse(sorted(request.session))

    app = Starlette(
        routes=[Route("/login", login), Route("/callback", callback)],
        middleware=[Middleware(SessionMiddleware, manager)],
    )
    async with async_client(app) as c:
        response = await c.get("/login")
        assert response.status_code == 302
        state = parse_qs(urlsplit(response.headers["location"]).query)["state"][0]
        before = c.cookies.get(manager.cookie_name)
        response = await c.get("/callback", params={"code": "granted", "state": state})
        assert response.json() == ["user"]
        assert c.cookies.get(manager.cookie_name) != before
        async with c.session() as session:
            assert session["user"] == "ann"


class SQLAdminLogin(AuthenticationBackend):
    """As SQLAdmin's documentation shows; the session is the application's own."""

    def __init__(self) -> None:
        self.middlewares = []

    async def login(self, request: Request) -> bool:
        form = await request.form()
        request.session.update({"user_id": str(form["username"])})
        return form["password"] == "right"

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return "user_id" in request.session


async def test_sqladmin_logs_in_and_out(manager: SessionManager) -> None:
    """SQLAdmin's login, its pages and its logout go by the application's session."""
    app = Starlette(middleware=[Middleware(SessionMiddleware, manager)])
    SQLAdmin(app, create_engine("sqlite://"), authentication_backend=SQLAdminLogin())
    async with async_client(app) as c:
        response = await c.get("/admin/")
        assert response.status_code == 302
        assert response.headers["location"].endswith("/admin/login")
        response = await c.post("/admin/login", data={"username": "ann", "password": "right"})
        assert response.status_code == 302
        assert (await c.get("/admin/")).status_code == 200
        async with c.session() as session:
            assert session["user_id"] == "ann"
        await c.get("/admin/logout")
        assert (await c.get("/admin/")).status_code == 302


class StarletteAdminLogin(AuthProvider):
    """As starlette-admin's documentation shows."""

    async def login(self, username: str, password: str, remember_me: bool, request: Request) -> Response | None:
        if password != "right":
            raise LoginFailed("Invalid username or password")
        request.session["user_id"] = username
        return None

    async def logout(self, request: Request) -> Response | None:
        request.session.clear()
        return None

    async def authenticate(self, request: Request) -> AdminUser | None:
        name = request.session.get("user_id")
        return AdminUser(name) if name else None


async def test_starlette_admin_logs_in_and_out(manager: SessionManager) -> None:
    """starlette-admin's login, its pages and its logout go by the application's session."""
    app = Starlette(middleware=[Middleware(SessionMiddleware, manager)])
    BaseAdmin(auth_provider=StarletteAdminLogin(), secret_key=SECRET).mount_to(app)
    async with async_client(app) as c:
        response = await c.get("/admin/")
        assert response.status_code == 303
        assert "/admin/login" in response.headers["location"]
        assert (await _post(c, "/admin/login", "wrong")).status_code == 400
        assert (await _post(c, "/admin/login", "right")).status_code == 303
        page = await c.get("/admin/")
        assert page.status_code == 200
        assert "ann" in page.text
        async with c.session() as session:
            assert session["user_id"] == "ann"
        await _post(c, "/admin/logout", "", form="/admin/")
        assert (await c.get("/admin/")).status_code == 303


async def _post(c: AsyncSessionClient, path: str, password: str, form: str | None = None) -> Any:
    page = await c.get(form or path)
    found = re.search(r'name="(\w*csrf\w*)"[^>]*value="([^"]+)"', page.text)
    assert found is not None, page.text
    return await c.post(path, data={"username": "ann", "password": password, found[1]: found[2]})
