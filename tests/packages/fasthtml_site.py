"""A FastHTML application, served by `test_fasthtml` in a process of its own: importing FastHTML changes Starlette.

``FASTHTML_SESSIONS`` names the way in which it has our sessions. FastHTML knows its special parameters by their
names, and only where they have no annotation.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# pyright: reportMissingParameterType=false, reportUntypedFunctionDecorator=false, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import functools
import os
from typing import Any

import httpx
from fasthtml.common import Beforeware, FastHTML, P, RedirectResponse, add_toast, fast_app, setup_toasts
from starlette.middleware import Middleware

from limpet import CookiePolicy, SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn

__all__ = ["app"]

SECRET = "a secret of a test that is long enough to be one, 0123456789"


def guard(req, sess) -> Any:
    """Let in who has ``auth``, as FastHTML's documentation does it."""
    auth = req.scope["auth"] = sess.get("auth", None)
    return None if auth else RedirectResponse("/login", status_code=303)


def made(way: str) -> FastHTML:
    """Return an application with our sessions."""
    before: Any = Beforeware(guard, skip=[r"/(login|toast|cart|data|me|sign-in).*"])
    manager = SessionManager("memory:", cookie=CookiePolicy(name="ours", secure=False))
    if way == "class":
        return FastHTML(sess_cls=DropIn, secret_key=SECRET, before=before)
    if way == "store":
        return FastHTML(sess_cls=functools.partial(DropIn, store="memory:"), secret_key=SECRET, before=before)
    if way == "fast_app":
        return fast_app(bodykw={"sess_cls": DropIn}, secret_key=SECRET, before=before)[0]
    return FastHTML(
        sess_cls=None, secret_key=SECRET, middleware=[Middleware(SessionMiddleware, manager=manager)], before=before
    )


app = made(os.environ.get("FASTHTML_SESSIONS", "class"))
setup_toasts(app, duration=100)


@app.get("/data")
def data() -> Any:
    return P("no session")


@app.get("/cart/add")
def add(session) -> Any:
    session.setdefault("cart", []).append("tea")
    return P("added")


@app.get("/cart")
def cart(sess) -> Any:
    sess["seen"] = sess.get("seen", 0) + 1
    return P(f"{len(sess['cart'])} in the cart, seen {sess['seen']}")


@app.get("/")
def home(auth) -> Any:
    return P(f"hello {auth}")


@app.get("/login/{name}")
def login(name: str, sess) -> Any:
    sess["auth"] = name
    return RedirectResponse("/", status_code=303)


@app.get("/login")
def form() -> Any:
    return P("please log in")


@app.get("/logout")
def logout(sess) -> Any:
    del sess["auth"]
    return RedirectResponse("/login", status_code=303)


@app.get("/toast/say")
def say(session) -> Any:
    add_toast(session, "It is saved", "success")
    return RedirectResponse("/toast", status_code=303)


@app.get("/toast")
def toast(session) -> Any:
    return P("toasts")


@app.get("/toast/meanwhile")
async def meanwhile(req) -> Any:
    """Show the toasts that were there, while another request of the same browser leaves one more."""
    transport, cookie = httpx.ASGITransport(app), {"cookie": req.headers["cookie"]}
    async with httpx.AsyncClient(transport=transport, base_url=os.environ["ADDRESS"]) as other:
        await other.get("/toast/say", headers=cookie)
    return P("toasts")


@app.get("/sign-in")
def sign_in(req) -> Any:
    get_session(req).login("ann")
    return P("welcome")


@app.get("/me")
def me(session) -> Any:
    return P(f"{session.subject}")
