"""How middlewares and managers are put together, where that decides whether a browser can bind a session."""

from __future__ import annotations

import logging
import re
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from limpet import CookiePolicy, SessionManager, asgi, wsgi
from limpet.adapters.flask import Limpet
from limpet.errors import ConfigurationError
from tests.bound.device import Browser
from tests.bound.device import asgi as over_asgi
from tests.bound.device import wsgi as over_wsgi
from tests.security.site import SECRET


def bound(name: str | None = None, label: str | None = None) -> SessionManager:
    """Return a manager whose sessions are bound to devices."""
    return SessionManager("memory:", secret=SECRET, bound=True, cookie=CookiePolicy(name=name), label=label)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def plainly(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


def of_flask(exclude: Any) -> None:
    app = flask.Flask("shop")
    app.secret_key = SECRET
    limpet = Limpet(app, "memory:", bound=True, exclude=exclude)
    with app.app_context():
        assert limpet.manager.guard is not None


EXCLUDING = {
    "asgi": lambda exclude: asgi.SessionMiddleware(nothing, bound(), exclude=exclude),
    "wsgi": lambda exclude: wsgi.SessionMiddleware(plainly, bound(), exclude=exclude),
    "flask": of_flask,
}


@pytest.mark.parametrize("exclude", [["/device-bound-session"], [re.compile(".*/refresh$")]], ids=["path", "pattern"])
@pytest.mark.parametrize("place", EXCLUDING)
def test_the_paths_that_browsers_need_are_not_left_out(place: str, exclude: Any) -> None:
    with pytest.raises(ConfigurationError, match="where browsers bind sessions"):
        EXCLUDING[place](exclude)
    EXCLUDING[place](["/static", "/device"])


def two(place: str, inner: SessionManager, outer: SessionManager, mount: str = "") -> Any:
    """Return an application with two managers, and what sends it a request."""
    if place == "wsgi":
        return over_wsgi(wsgi.SessionMiddleware(wsgi.SessionMiddleware(plainly, inner, environ_key="inner"), outer))
    deep: Any = asgi.SessionMiddleware(nothing, inner, scope_key="inner")
    if mount:
        deep = Starlette(routes=[Mount(mount, deep)])
    return over_asgi(asgi.SessionMiddleware(deep, outer))


@pytest.mark.parametrize("place", ["asgi", "wsgi"])
async def test_two_managers_that_bind_at_one_path_are_told_of(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once: what a browser sends for the inner one's sessions would reach the outer one, which refuses it."""
    browser = Browser(two(place, bound("a"), bound("b")))
    with caplog.at_level(logging.WARNING):
        await browser.get("/")
        await browser.get("/")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "/device-bound-session/registration" in told[0]
    assert "label='admin'" in told[0]


@pytest.mark.parametrize("place", ["asgi", "wsgi"])
async def test_with_a_label_or_below_a_mount_they_have_paths_of_their_own(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert (await Browser(two(place, bound(label="admin"), bound())).get("/")).status == 200
        if place == "asgi":
            assert (await Browser(two(place, bound("a"), bound("b"), "/deep")).get("/deep/")).status == 200
    assert caplog.records == []
