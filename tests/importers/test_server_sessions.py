"""Sessions that other libraries keep on the server move in, as those libraries really make them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp_session
import pytest
import redis.asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer as AiohttpServer
from aiohttp_session.redis_storage import RedisStorage
from cachelib import FileSystemCache
from flask import Flask, session
from flask_session import Session as FlaskSession
from litestar import Litestar, Request, get
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.memory import MemoryStore
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starsessions import InMemoryStore, SessionAutoloadMiddleware
from starsessions import SessionMiddleware as StarSessions

from limpet import ConfigurationError, SessionManager, importers
from limpet.adapters.starlette import SessionMiddleware
from limpet.importers.server_side import Fetch, ServerSessions
from limpet.testing import async_client

# aiohttp-session names the storage of a request by a string, about which aiohttp warns once.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
DATA: dict[str, Any] = {"user_id": 7, "cart": [{"sku": "tea", "n": 2}]}
Origin = Callable[[], Awaitable[tuple[str, str, Fetch]]]
"""Makes a session with a library; returns the name of its cookie, its value, and what looks it up."""


@pytest.fixture
def litestar() -> Origin:
    @get("/")
    async def login(request: Request[Any, Any, Any]) -> None:
        request.set_session(dict(DATA))

    async def make() -> tuple[str, str, Fetch]:
        store = MemoryStore()
        app = Litestar([login], middleware=[ServerSideSessionConfig().middleware], stores={"sessions": store})
        with LitestarClient(app) as browser:
            browser.get("/")
            value = browser.cookies["session"]

        async def fetch(session_id: str) -> Any:
            stored = await store.get(session_id)
            return None if stored is None else json.loads(stored)

        return "session", value, fetch

    return make


@pytest.fixture
def starsessions() -> Origin:
    async def login(request: StarletteRequest) -> Response:
        request.session.update(DATA)
        return Response()

    async def make() -> tuple[str, str, Fetch]:
        store = InMemoryStore()
        app = Starlette(
            routes=[Route("/", login)],
            middleware=[
                Middleware(StarSessions, store=store, lifetime=3600, cookie_https_only=False),
                Middleware(SessionAutoloadMiddleware),
            ],
        )
        with TestClient(app) as browser:
            browser.get("/")
            value = browser.cookies["session"]

        async def fetch(session_id: str) -> Any:
            stored = await store.read(session_id, 3600)
            data = json.loads(stored) if stored else {}
            return {key: data[key] for key in data if key != "__metadata__"} or None

        return "session", value, fetch

    return make


@pytest.fixture
def flask_session(tmp_path: Path) -> Origin:
    async def make() -> tuple[str, str, Fetch]:
        cache = FileSystemCache(str(tmp_path / "sessions"))
        app = Flask(__name__)
        app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        FlaskSession(app)

        @app.get("/")
        def login() -> str:
            session.update(DATA)
            return ""

        browser = app.test_client()
        browser.get("/")
        cookie = browser.get_cookie("session")
        assert cookie is not None

        async def fetch(session_id: str) -> Any:
            found = cache.get(f"session:{session_id}")
            return None if found is None else {key: found[key] for key in found if key != "_permanent"}

        return "session", cookie.value, fetch

    return make


@pytest.fixture
def aiohttp(redis_url: str, redis_prefix: str) -> Origin:
    async def login(request: web.Request) -> web.Response:
        held = await aiohttp_session.get_session(request)
        held.update(DATA)
        return web.Response()

    async def make() -> tuple[str, str, Fetch]:
        server, name = redis.asyncio.from_url(redis_url), redis_prefix.strip(":")
        app = web.Application()
        aiohttp_session.setup(app, RedisStorage(server, cookie_name=name))
        app.router.add_get("/", login)
        async with AiohttpClient(AiohttpServer(app)) as browser:
            answer = await browser.get("/")
            value = answer.cookies[name].value

        async def fetch(session_id: str) -> Any:
            stored = await server.get(f"{name}_{session_id}")
            return None if stored is None else json.loads(stored)["session"]

        return name, value, fetch

    return make


@pytest.fixture(params=["litestar", "starsessions", "flask_session", "aiohttp"])
async def made(request: pytest.FixtureRequest) -> tuple[str, str, Fetch]:
    make: Origin = request.getfixturevalue(request.param)
    return await make()


def _site(importer: ServerSessions) -> Starlette:
    async def show(request: StarletteRequest) -> Response:
        return JSONResponse([request.session, getattr(request.session, "subject", None)])

    async def clear(request: StarletteRequest) -> Response:
        request.session.clear()
        return Response()

    manager = SessionManager("memory:", importers=[importer])
    return Starlette(
        routes=[Route("/", show), Route("/clear", clear)], middleware=[Middleware(SessionMiddleware, manager)]
    )


async def test_a_session_moves_once(made: tuple[str, str, Fetch]) -> None:
    """The owner comes by with the old cookie and has the session, with the subject; then the old cookie is deleted."""
    cookie, value, fetch = made
    asked: list[str] = []

    async def counted(session_id: str) -> Mapping[str, Any] | None:
        asked.append(session_id)
        return await fetch(session_id)

    importer = ServerSessions(cookie=cookie, fetch=counted, until=date(2200, 1, 1), subject="user_id")
    async with async_client(_site(importer)) as browser:
        answer = await browser.get("/", headers={"cookie": f"{cookie}={value}"})
        assert answer.json() == [DATA, "7"]
        assert any(line.startswith(f"{cookie}=;") for line in answer.headers.get_list("set-cookie"))
        assert (await browser.get("/")).json() == [DATA, "7"]
        assert asked == [value]


async def test_nothing_else_moves(made: tuple[str, str, Fetch]) -> None:
    """An id that the old library does not know is anonymous; what looks like none is not even looked up."""
    cookie, value, fetch = made
    asked: list[str] = []

    async def counted(session_id: str) -> Mapping[str, Any] | None:
        asked.append(session_id)
        return await fetch(session_id)

    importer = ServerSessions(cookie=cookie, fetch=counted, until=date(2200, 1, 1))
    async with async_client(_site(importer)) as browser:
        for junk in ("short", "../../etc/passwd-passwd", "a*b" * 8, "x" * 300, "null"):
            assert (await browser.get("/", headers={"cookie": f"{cookie}={junk}"})).json() == [{}, None]
        assert asked == []
        unknown = value[::-1]
        assert (await browser.get("/", headers={"cookie": f"{cookie}={unknown}"})).json() == [{}, None]
        assert asked == [unknown]


async def test_after_the_end_date(made: tuple[str, str, Fetch]) -> None:
    """Then the old cookie means nothing any more."""
    cookie, value, fetch = made
    importer = ServerSessions(cookie=cookie, fetch=fetch, until=date(2020, 1, 1))
    async with async_client(_site(importer)) as browser:
        assert (await browser.get("/", headers={"cookie": f"{cookie}={value}"})).json() == [{}, None]


async def test_a_logout_deletes_the_old_cookie(made: tuple[str, str, Fetch]) -> None:
    """Whoever logs out at once is logged out, of the old session too."""
    cookie, value, fetch = made
    importer = ServerSessions(cookie=cookie, fetch=fetch, until=date(2200, 1, 1))
    async with async_client(_site(importer)) as browser:
        answer = await browser.get("/clear", headers={"cookie": f"{cookie}={value}"})
        assert any(line.startswith(f"{cookie}=;") for line in answer.headers.get_list("set-cookie"))
        assert (await browser.get("/")).json() == [{}, None]


def test_what_cannot_work_is_refused() -> None:
    """A `fetch` that is no function is named at construction; the class is among the importers."""
    assert importers.ServerSessions is ServerSessions
    with pytest.raises(ConfigurationError, match="coroutine function"):
        ServerSessions(cookie="session", fetch={}, until=date(2200, 1, 1))  # type: ignore[arg-type]


class _Records:
    """What an application may give for its old records, wrongly."""

    def blocking(self, session_id: str) -> Any:
        return dict(DATA)

    async def text(self, session_id: str) -> Any:
        return json.dumps(DATA)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocking", "write `async def blocking"),
        ("text", "text returned str: it is to return the old session as a dict"),
    ],
)
async def test_a_fetch_that_returns_something_else_is_told_what_to_return(name: str, said: str) -> None:
    """A function that does not wait, and one that leaves the JSON to others."""
    importer = ServerSessions(cookie="session", fetch=getattr(_Records(), name), until=date(2200, 1, 1))
    with pytest.raises(ConfigurationError, match=said):
        await importer.read("0123456789abcdef", 0)
