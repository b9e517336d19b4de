"""starlette-admin's login, its pages and its logout go by the application's session."""

from __future__ import annotations

import re
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.base import BaseAdmin
from starlette_admin.exceptions import LoginFailed

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.testing import async_client
from limpet.testing.clients import AsyncSessionClient
from tests.packages.provider import SECRET


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
