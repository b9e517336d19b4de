"""SQLAdmin, with its stock authentication and with ours instead of its own sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from limpet import SessionManager
from limpet.adapters.fastapi import SessionMiddleware
from limpet.testing import async_client
from tests.packages.provider import SECRET, oauth_over, provider


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Products(ModelView, model=Product):
    column_list = [Product.id, Product.name]


class Passwords(AuthenticationBackend):
    """The login of SQLAdmin's documentation."""

    async def login(self, request: Request) -> bool:
        form = await request.form()
        if form["password"] != "right":
            return False
        request.session.update({"token": str(form["username"])})
        return True

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return bool(request.session.get("token"))


OPENED: list[Engine] = []


@pytest.fixture(autouse=True)
def _databases() -> Iterator[None]:
    """Close what an application has opened."""
    yield
    while OPENED:
        OPENED.pop().dispose()


def site(manager: SessionManager, backend: AuthenticationBackend) -> FastAPI:
    """Return an application with sessions and an admin at ``/admin``."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    OPENED.append(engine)
    Base.metadata.create_all(engine)
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=manager)
    Admin(app, engine, authentication_backend=backend).add_view(Products)

    @app.get("/cart")
    async def cart(request: Request) -> Any:
        request.session["cart"] = request.session.get("cart", 0) + 1
        return dict(request.session)

    return app


@pytest.mark.parametrize("own", [True, False], ids=["its own sessions", "ours"])
async def test_password_login(manager: SessionManager, own: bool) -> None:
    """In and out again, with the stock backend, and with ours in the place of its sessions."""
    backend = Passwords(secret_key=SECRET)
    if not own:
        backend.middlewares = []
    async with async_client(site(manager, backend)) as browser:
        assert (await browser.get("/cart")).json() == {"cart": 1}
        answer = await browser.get("/admin/product/list")
        assert answer.status_code == 302
        assert answer.headers["location"].endswith("/admin/login")
        refused = await browser.post("/admin/login", data={"username": "ann", "password": "wrong"})
        assert refused.status_code == 400
        await browser.post("/admin/login", data={"username": "ann", "password": "right"})
        assert (await browser.get("/admin/product/list")).status_code == 200
        cart = (await browser.get("/cart")).json()
        assert cart == ({"cart": 2} if own else {"cart": 2, "token": "ann"})
        await browser.get("/admin/logout")
        assert (await browser.get("/admin/product/list")).status_code == 302
        # Its logout ends its own session, and the visitor's only where that is the same one.
        assert (await browser.get("/cart")).json() == {"cart": 3 if own else 1}


async def test_an_admin_creates_a_row(manager: SessionManager) -> None:
    """A form that is sent and the page after it work over our session."""
    backend = Passwords(secret_key=SECRET)
    backend.middlewares = []
    async with async_client(site(manager, backend)) as browser:
        await browser.post("/admin/login", data={"username": "ann", "password": "right"})
        answer = await browser.post("/admin/product/create", data={"name": "tea", "save": "Save"})
        assert answer.status_code == 302
        assert "tea" in (await browser.get("/admin/product/list")).text


class SingleSignOn(AuthenticationBackend):
    """The login by OAuth of SQLAdmin's documentation: routes outside of the admin do it, with Authlib."""

    oauth: Any = None

    async def login(self, request: Request) -> bool:
        return True

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> Any:
        if not request.session.get("user"):
            return await self.oauth.authorize_redirect(request, "https://testserver/auth/provider")
        return True


async def test_single_sign_on(manager: SessionManager, browse: Callable[..., Any]) -> None:
    """One line takes SQLAdmin's own session away, so that it sees the login of the application."""
    at = provider()
    backend = SingleSignOn(secret_key=SECRET)
    backend.middlewares = []  # this line
    backend.oauth = oauth_over(at)
    app = site(manager, backend)

    @app.get("/auth/provider")
    async def login(request: Request) -> RedirectResponse:
        token = await backend.oauth.authorize_access_token(request)
        request.session["user"] = dict(token["userinfo"])
        return RedirectResponse("/admin/")

    browser = browse(app, at, follow_redirects=True)
    page = await browser.get("/admin/")
    assert (page.status_code, str(page.url)) == (200, "https://testserver/admin/")
    assert (await browser.get("/cart")).json()["user"]["name"] == "Ann"
    answer = await browser.get("/admin/logout", follow_redirects=False)
    assert answer.status_code == 302
    assert "user" not in (await browser.get("/cart")).json()
