"""One session for several frameworks: each application has a manager of its own over one store, under one secret."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from quart import Quart

from limpet import SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.adapters.flask import Limpet as FlaskLimpet
from limpet.adapters.quart import Limpet as QuartLimpet
from limpet.adapters.quart import get_session
from limpet.keyring import generate_secret
from limpet.testing import async_client
from limpet.wsgi import SessionMiddleware as WSGISessions
from tests.wsgi.client import Browser, application
from tests.wsgi.test_threads import url_of

SECRET = generate_secret()


def flask_app(url: str) -> Any:
    """Return the part of the site that stays in Flask for now."""
    app = flask.Flask(__name__)
    FlaskLimpet(app, SessionManager(url, secret=SECRET))
    held: Any = flask.session

    @app.get("/login")
    def login() -> str:
        held.login("ann")
        return "hello"

    @app.get("/add")
    def add() -> str:
        return str(held.increment("n"))

    @app.get("/who")
    def who() -> str:
        return str(held.subject)

    return app


def fast_app(url: str) -> FastAPI:
    """Return the part that has moved to FastAPI."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=SessionManager(url, secret=SECRET))

    @app.get("/add")
    async def add(session: SessionDep) -> int:
        return int(session.increment("n"))

    @app.get("/who")
    async def who(session: SessionDep) -> str | None:
        return session.subject

    @app.get("/logout")
    async def logout(session: SessionDep) -> None:
        session.logout()

    return app


def quart_app(url: str) -> Quart:
    """Return the part that is in Quart."""
    app = Quart(__name__)
    QuartLimpet(app, SessionManager(url, secret=SECRET))

    @app.get("/add")
    async def add() -> str:
        return str(get_session().increment("n"))

    @app.get("/who")
    async def who() -> str:
        return str(get_session().subject)

    return app


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
async def test_a_login_in_one_is_a_login_in_all(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Written by four frameworks at once the session is one: counts are exact, and a logout ends it in all."""
    url = url_of(kind, request, tmp_path)
    flask_site, plain = Browser(flask_app(url)), SessionManager(url, secret=SECRET)
    await asyncio.to_thread(flask_site.get, "/login")
    cookies = flask_site.cookies
    (cookie,) = (f"{name}={value}" for name, value in cookies.items())
    plain_site = Browser(WSGISessions(application(lambda session: session.increment("n")), plain), cookies=cookies)
    async with async_client(fast_app(url), plain) as fast, async_client(quart_app(url), plain) as quart:
        for browser in (fast, quart):
            browser.headers["cookie"] = cookie
            assert "ann" in (await browser.get("/who")).text

        async def blocking(site: Browser) -> None:
            for _ in range(10):
                assert (await asyncio.to_thread(site.get, "/add")).status == 200

        async def waiting(browser: Any) -> None:
            for _ in range(10):
                assert (await browser.get("/add")).status_code == 200

        await asyncio.gather(blocking(flask_site), waiting(fast), blocking(plain_site), waiting(quart))
        assert (await fast.get("/add")).json() == 41
        assert (await fast.get("/logout")).status_code == 200
        assert (await quart.get("/who")).text == "None"
        assert (await asyncio.to_thread(flask_site.get, "/who")).text == "None"
    assert await asyncio.to_thread(plain.blocking.sessions_of, "ann") == []
