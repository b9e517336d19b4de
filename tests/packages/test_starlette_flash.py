"""starlette-flash keeps its messages in the session, which it asks to be a dict."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette_flash import flash

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.testing import client
from tests.packages.provider import SECRET

MIDDLEWARES = {
    "memory": Middleware(SessionMiddleware, manager="memory:"),
    "cookie": Middleware(SessionMiddleware, manager=SessionManager("cookie:", secret=SECRET)),
    "drop-in": Middleware(DropIn, secret_key=SECRET, https_only=True),
}


async def save(request: Request) -> Response:
    flash(request).success("It is saved").error("It is too late")
    return RedirectResponse("/")


async def home(request: Request) -> Response:
    shown: list[Any] = [[each["category"], each["message"]] for each in flash(request)]
    return JSONResponse(shown)


@pytest.mark.parametrize("middleware", MIDDLEWARES.values(), ids=MIDDLEWARES)
def test_messages_are_shown_once(middleware: Middleware) -> None:
    """What one request says, the next page shows, and the one after it does not."""
    app = Starlette(routes=[Route("/save", save), Route("/", home)], middleware=[middleware])
    with client(app) as browser:
        assert browser.get("/save").json() == [["success", "It is saved"], ["error", "It is too late"]]
        assert browser.get("/").json() == []
