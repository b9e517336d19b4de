"""The middleware with the arguments of Starlette's own, and the same sessions, cookie and life."""

from __future__ import annotations

import inspect
import logging
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as Theirs
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from limpet import ConfigurationError, CookieTooLarge, Keyring, Session, SessionManager
from limpet.adapters.starlette import get_session
from limpet.adapters.starlette.middleware.sessions import Session as TheirName
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware
from limpet.testing import client

SECRET = "a secret of a test that is long enough to be one, 0123456789"
KNOWS_PARTITIONED = "partitioned" in inspect.signature(Theirs).parameters
OTHER = "another secret of a test that is long enough, 0123456789 too"


async def show(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


async def write(request: Request) -> JSONResponse:
    request.session.update(request.query_params)
    return JSONResponse(dict(request.session))


async def grow(request: Request) -> JSONResponse:
    request.session.setdefault("cart", []).append("tea")
    return JSONResponse(dict(request.session))


async def clear(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse(dict(request.session))


async def plain(request: Request) -> JSONResponse:
    return JSONResponse("no session")


async def login(request: Request) -> JSONResponse:
    get_session(request).login("ann")
    return JSONResponse(get_session(request).subject)


ROUTES = [Route(f"/{view.__name__}", view) for view in (show, write, grow, clear, plain, login)]


def app_of(middleware: Any = SessionMiddleware, **settings: Any) -> Starlette:
    settings.setdefault("secret_key", SECRET)
    return Starlette(routes=ROUTES, middleware=[Middleware(middleware, **settings)])


@pytest.fixture(params=["cookie", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return {"cookie": None, "memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/sessions.db"}[request.param]


def test_a_session_as_with_starlettes(store: str | None) -> None:
    """Written, changed inside, read and cleared, on the cookie and on a store."""
    with client(app_of(store=store)) as browser:
        assert browser.get("/write?some=data").json() == {"some": "data"}
        browser.get("/grow")
        assert browser.get("/grow").json() == {"some": "data", "cart": ["tea", "tea"]}
        assert browser.get("/show").json() == {"some": "data", "cart": ["tea", "tea"]}
        browser.get("/clear")
        assert "session" not in browser.cookies
        assert browser.get("/show").json() == {}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"https_only": True},
        *([{"https_only": True, "same_site": "none", "partitioned": True}] if KNOWS_PARTITIONED else []),
        {"max_age": 60, "path": "/in", "session_cookie": "sid"},
        {"max_age": None, "same_site": "strict"},
        {"domain": ".example.com"},
    ],
    ids=str,
)
def test_the_cookie_is_starlettes(settings: dict[str, Any]) -> None:
    """Name, attributes and their spelling are those that Starlette's middleware sends for the same arguments."""

    def attributes(middleware: Any) -> tuple[str, set[str]]:
        app = app_of(middleware, **settings)
        with client(app, base_url="https://www.example.com", manager=SessionManager("memory:")) as browser:
            first, *rest = browser.get("/write?a=1").headers["set-cookie"].split("; ")
        return first.partition("=")[0], set(rest)

    assert attributes(SessionMiddleware) == attributes(Theirs)


def test_headers_only_where_they_are_needed(store: str | None) -> None:
    """A read sends no cookie; a route that leaves the session alone says nothing of cookies at all."""
    with client(app_of(store=store)) as browser:
        assert "set-cookie" in browser.get("/write?a=1").headers
        read = browser.get("/show").headers
        assert "set-cookie" not in read
        assert read["vary"] == "Cookie"
        assert "vary" not in browser.get("/plain").headers


def test_another_secret_reads_nothing_and_several_read_all() -> None:
    """Secrets are changed as everywhere: newest first, all are read."""
    with client(app_of()) as browser:
        browser.get("/write?a=1")
        cookie = {"cookie": f"session={browser.cookies['session']}"}
    for secrets, seen in (([OTHER], {}), ([OTHER, SECRET], {"a": "1"}), (Keyring([OTHER, SECRET]), {"a": "1"})):
        with client(app_of(secret_key=secrets)) as browser:
            assert browser.get("/show", headers=cookie).json() == seen


def test_forged_cookies_are_anonymous() -> None:
    """What this secret has not sealed is no session and no error; nor is a cookie that Starlette signed."""
    with client(app_of(Theirs), manager=SessionManager("memory:")) as browser:
        browser.get("/write?a=1")
        signed = browser.cookies["session"]
    with client(app_of()) as browser:
        for value in ("invalid", "null", "x" * 5000, signed):
            answer = browser.get("/show", headers={"cookie": f"session={value}"})
            assert (answer.status_code, answer.json()) == (200, {})


def test_sessions_of_starlettes_middleware_are_taken_over(store: str | None) -> None:
    """With ``old_until`` nobody is logged out by the change of one line; after that day nothing old is read."""
    with client(app_of(Theirs), manager=SessionManager("memory:")) as browser:
        browser.get("/write?user_id=ann")
        signed = browser.cookies["session"]
    with client(app_of(store=store, old_until=date(2200, 1, 1))) as browser:
        browser.cookies.set("session", signed, domain="testserver.local")
        for _ in range(3):
            assert browser.get("/show").json() == {"user_id": "ann"}
        browser.get("/clear")
        assert browser.get("/show").json() == {}
    with client(app_of(store=store, old_until=date(2020, 1, 1))) as browser:
        assert browser.get("/show", headers={"cookie": f"session={signed}"}).json() == {}


def test_too_much_for_a_cookie_is_said() -> None:
    """What a browser would drop in silence is an error that names the way out; with a store there is no such limit."""
    big = "x" * 6000
    with client(app_of(), raise_server_exceptions=True) as browser:
        with pytest.raises(CookieTooLarge):
            browser.get("/write", params={"big": big})
    with client(app_of(store="memory:")) as browser:
        browser.get("/write", params={"big": big})
        assert browser.get("/show").json() == {"big": big}


def test_what_ours_can_beyond_starlettes(store: str | None) -> None:
    """The session has everything that ours have: a login changes the id, and ends the old one on a store."""
    with client(app_of(store=store)) as browser:
        browser.get("/write?a=1")
        before = browser.cookies["session"]
        assert browser.get("/login").json() == "ann"
        assert browser.cookies["session"] != before
        with browser.session() as session:
            assert isinstance(session, Session)
            assert (session.subject, session["a"]) == ("ann", "1")
        if store is not None:
            browser.cookies.clear()
            assert browser.get("/show", headers={"cookie": f"session={before}"}).json() == {}


def test_a_weak_secret_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The short keys of examples work, and the log says what to do; so does it for sessions over plain http."""
    with caplog.at_level(logging.WARNING, "limpet"), client(app_of(secret_key=Secret("example"))) as browser:
        browser.get("/write?a=1")
        assert browser.get("/show").json() == {"a": "1"}
    said = "\n".join(caplog.messages)
    assert "limpet keygen" in said
    assert "https_only=True" in said
    assert "example" not in said


def test_a_good_setting_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said where there is nothing to mend."""
    with caplog.at_level(logging.WARNING, "limpet"), client(app_of(https_only=True)) as browser:
        browser.get("/write?a=1")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({"secret_key": None}, "limpet keygen"),
        ({"secret_key": []}, "limpet keygen"),
        ({"max_age": 0}, "browser is closed"),
        ({"max_age": -1}, "browser is closed"),
        ({"same_site": "none"}, "secure=True"),
        ({"session_cookie": "a b"}, "token"),
        ({"secret_key": Keyring(SECRET), "old_until": date(2200, 1, 1)}, "as text"),
    ],
    ids=str,
)
def test_settings_that_cannot_work(settings: dict[str, Any], cure: str) -> None:
    """They are refused when the application starts, with the cure."""
    with pytest.raises(ConfigurationError, match=cure):
        SessionMiddleware(app_of(), **{"secret_key": SECRET, **settings})


def test_the_rest_of_the_package_is_starlettes() -> None:
    """Under the prefix, everything but the sessions is Starlette's own object."""
    from starlette.middleware.gzip import GZipMiddleware

    from limpet.adapters.starlette import middleware
    from limpet.adapters.starlette.middleware import gzip

    assert middleware.Middleware is Middleware
    assert gzip.GZipMiddleware is GZipMiddleware


def test_a_session_without_a_request() -> None:
    """Tests of handlers can make one of a dict, as they can with Starlette's; it knows what was changed."""
    session = TheirName({"a": 1, "cart": ["tea"]})
    assert isinstance(session, dict)
    before = session.modified
    session["cart"].append("milk")
    assert (before, session.modified) == (False, True)
    assert session == {"a": 1, "cart": ["tea", "milk"]}
    session = TheirName()
    session.setdefault("b", 2)
    assert session.modified
