"""FastHTML: its ``session`` parameter, its guards and its toasts, over our sessions.

FastHTML knows its special parameters by their names, and only where they have no annotation.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# pyright: reportMissingParameterType=false, reportUntypedFunctionDecorator=false, reportUnusedFunction=false

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from fasthtml.common import Beforeware, FastHTML, P, RedirectResponse, add_toast, fast_app, setup_toasts
from starlette.middleware import Middleware

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.testing import client
from tests.packages.provider import SECRET

DROP_IN = {"sess_https_only": True, "secret_key": SECRET}


def with_class(**options: Any) -> FastHTML:
    return FastHTML(sess_cls=DropIn, **DROP_IN, **options)


def with_class_and_store(**options: Any) -> FastHTML:
    return FastHTML(sess_cls=functools.partial(DropIn, store="memory:"), **DROP_IN, **options)


def with_fast_app(**options: Any) -> FastHTML:
    app, _ = fast_app(bodykw={"sess_cls": DropIn}, static_path="tests", **DROP_IN, **options)
    return app


def with_manager(**options: Any) -> FastHTML:
    manager = SessionManager("memory:")
    return FastHTML(sess_cls=None, middleware=[Middleware(SessionMiddleware, manager=manager)], **options)


@pytest.fixture(params=[with_class, with_class_and_store, with_fast_app, with_manager], ids=lambda way: way.__name__)
def make(request: pytest.FixtureRequest) -> Callable[..., FastHTML]:
    made: Callable[..., FastHTML] = request.param
    return made


def test_the_session_parameter(make: Callable[..., FastHTML]) -> None:
    """A handler's ``session``, or ``sess``, is our session: counted, changed inside, kept."""
    app = make()

    @app.get("/")
    def home(session) -> Any:
        session.setdefault("cart", []).append("tea")
        return P(f"{session['cart']}")

    @app.get("/again")
    def again(sess) -> Any:
        sess["visits"] = sess.get("visits", 0) + 1
        return P(f"{len(sess['cart'])} {sess['visits']}")

    with client(app) as browser:
        browser.get("/")
        assert "['tea', 'tea']" in browser.get("/").text
        browser.get("/again")
        assert "2 2" in browser.get("/again").text


def test_a_guard(make: Callable[..., FastHTML]) -> None:
    """The login of FastHTML's documentation: a beforeware that lets in who has ``auth``, and a logout by ``del``."""

    def user_auth_before(req, sess) -> Any:
        auth = req.scope["auth"] = sess.get("auth", None)
        return None if auth else RedirectResponse("/login", status_code=303)

    app = make(before=Beforeware(user_auth_before, skip=[r"/login.*"]))

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

    with client(app) as browser:
        assert "please log in" in browser.get("/").text
        assert "hello ann" in browser.get("/login/ann").text
        assert "please log in" in browser.get("/logout").text
        assert "please log in" in browser.get("/").text


def test_toasts(make: Callable[..., FastHTML]) -> None:
    """A toast is kept over a redirect, with its type, and shown once."""
    app = make()
    setup_toasts(app, duration=100)

    @app.get("/save")
    def save(session) -> Any:
        add_toast(session, "It is saved", "success")
        return RedirectResponse("/", status_code=303)

    @app.get("/")
    def home(session) -> Any:
        return P("home")

    with client(app) as browser:
        page = browser.get("/save").text
        assert "It is saved" in page
        assert 'class="fh-toast fh-toast-success"' in page
        assert "It is saved" not in browser.get("/").text


def test_what_ours_can_beyond() -> None:
    """With a manager, a handler has the whole session: here a login that ends the id from before."""
    app = with_manager()

    @app.get("/login")
    def login(req) -> Any:
        get_session(req).login("ann")
        return P("welcome")

    @app.get("/me")
    def me(session) -> Any:
        return P(f"{session.subject}")

    with client(app) as browser:
        assert "None" in browser.get("/me").text
        browser.get("/login")
        assert "ann" in browser.get("/me").text
