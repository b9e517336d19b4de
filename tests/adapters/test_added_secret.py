"""An application that ran without a secret gets one, in adapters that make their manager themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import blacksheep
import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from limpet import ConfigurationError, SessionManager
from limpet.adapters import blacksheep as on_blacksheep
from limpet.adapters import flask as on_flask
from limpet.adapters import nexios as on_nexios
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.testing import client

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"


@contextmanager
def blacksheep_site(url: str, secret: str | None) -> Any:
    """The secret is in the environment alone."""
    app = on_blacksheep.Application(router=blacksheep.Router())
    app.use_sessions(url)

    @app.router.get("/")
    def visit(request: blacksheep.Request) -> str:
        return str(on_blacksheep.get_session(request).increment("n"))

    with client(app) as browser:
        yield browser


@contextmanager
def nexios_site(url: str, secret: str | None) -> Any:
    """The secret is the application's."""
    app = on_nexios.NexiosApp()
    app.add_middleware(on_nexios.SessionMiddleware(manager=url, secret_key=secret))

    @app.get("/")
    async def visit(req: on_nexios.Request, res: on_nexios.Response) -> Any:
        return res.text(str(on_nexios.get_session(req).increment("n")))

    with client(app) as browser:
        yield browser


@contextmanager
def starlette_site(url: str, secret: str | None) -> Any:
    """The secret is in the environment alone."""

    async def visit(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(get_session(request).increment("n")))

    app = Starlette(routes=[Route("/", visit)], middleware=[Middleware(SessionMiddleware, manager=url)])
    with client(app) as browser:
        yield browser


@contextmanager
def flask_site(url: str, secret: str | None) -> Any:
    """The secret is the application's."""
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = secret
    on_flask.Limpet(app, url)
    app.add_url_rule("/", view_func=lambda: str(on_flask.session.increment("n")))
    with httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url="https://testserver") as browser:
        yield browser


SITES: dict[str, Callable[[str, str | None], Any]] = {
    "blacksheep": blacksheep_site,
    "flask": flask_site,
    "nexios": nexios_site,
    "starlette": starlette_site,
}


@pytest.mark.parametrize("kind", SITES)
def test_a_secret_is_added(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``LIMPET_UNSIGNED_UNTIL`` beside the new secret lets everyone stay; the log says so where it is missing."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"

    def visit(secret: str | None, cookie: str | None) -> tuple[str, str]:
        """Return the count, and the cookie that the browser has afterwards."""
        with SITES[kind](url, secret) as browser:
            answer = browser.get("/", headers={} if cookie is None else {"cookie": cookie})
        return answer.text, answer.headers.get("set-cookie", cookie).partition(";")[0]

    count, before = visit(None, None)
    assert count == "1"
    monkeypatch.setenv("LIMPET_SECRET", SECRET)
    with caplog.at_level(logging.WARNING, "limpet"):
        assert visit(SECRET, before)[0] == "1", "the id went out before there was a secret"
    assert "LIMPET_UNSIGNED_UNTIL=2030-01-31" in caplog.text
    monkeypatch.setenv("LIMPET_UNSIGNED_UNTIL", "2130-01-31")
    count, signed = visit(SECRET, before)
    assert count == "2"
    assert signed != before
    monkeypatch.delenv("LIMPET_UNSIGNED_UNTIL")
    assert visit(SECRET, signed) == ("3", signed)


@pytest.mark.parametrize("text", ["soon", "2030-01-31T00:00:00", "2030-13-01"])
def test_an_end_date_in_the_environment_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when the manager is made, with what to write."""
    monkeypatch.setenv("LIMPET_UNSIGNED_UNTIL", text)
    with pytest.raises(ConfigurationError, match=r"LIMPET_UNSIGNED_UNTIL=.*2030"):
        SessionManager("memory:", secret=SECRET)
