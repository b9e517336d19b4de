"""Updates that are lost: 20 requests of one session at once, each of which sets a key of its own; how many are kept.

Every layer runs in its own framework. Each request reads the session, waits until all 20 have read it, then writes; a
browser keeps the cookie that came last, and with that the keys are counted. Where a framework is synchronous (Flask,
Django), each request has a thread of its own, as in a threaded server. A cookie that holds the session itself knows
what one request knew: more than 1 of 20 is not to be had there.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.drive import SECRET, Call, asgi_call, wsgi_call
from limpet import SessionManager
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["measure"]

_KEYS = tuple(f"k{number}" for number in range(20))
_PATHS = ("seed", "count", *_KEYS)
_RUNS = 3
_PATIENCE = 20.0  # seconds until all have read: a layer that lets one request in at a time would wait for ever


class _Race:
    """What the handlers do, and how many keys the last count found."""

    def __init__(self) -> None:
        self.kept = 0
        self._tasks = asyncio.Barrier(len(_KEYS))
        self._threads = threading.Barrier(len(_KEYS), timeout=_PATIENCE)

    def _read(self, path: str, session: Any) -> bool:
        """Return whether the request has something to write once all have read."""
        if path == "seed":
            session["started"] = True
        elif path == "count":
            self.kept = sum(key in session for key in _KEYS)
        elif not session.get("started"):
            raise RuntimeError(f"the request {path} was given an empty session: its cookie was not understood")
        return path in _KEYS

    async def run(self, path: str, session: Any) -> None:
        """Handle a request in a task."""
        if self._read(path, session):
            async with asyncio.timeout(_PATIENCE):
                await self._tasks.wait()
            session[path] = True

    def run_in_thread(self, path: str, session: Any) -> None:
        """Handle a request in a thread."""
        if self._read(path, session):
            self._threads.wait()
            session[path] = True


Layer = Callable[[_Race], AbstractAsyncContextManager[Call]]
"""Runs an application whose handlers are those of the race."""


@asynccontextmanager
async def _starlette(race: _Race, middleware: Any, **settings: Any) -> AsyncIterator[Call]:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def handler(request: Request) -> PlainTextResponse:
        if "session_handler" in request.scope:
            from starsessions import load_session

            await load_session(request)
        await race.run(request.path_params["path"], request.session)
        return PlainTextResponse("ok")

    yield asgi_call(Starlette(routes=[Route("/{path}", handler)], middleware=[Middleware(middleware, **settings)]))


@asynccontextmanager
async def _starlette_own(race: _Race) -> AsyncIterator[Call]:
    from starlette.middleware.sessions import SessionMiddleware

    async with _starlette(race, SessionMiddleware, secret_key=SECRET, https_only=True) as call:
        yield call


def _starsessions(kind: str) -> Layer:
    @asynccontextmanager
    async def layer(race: _Race) -> AsyncIterator[Call]:
        import starsessions
        from redis.asyncio import Redis
        from starsessions.stores.redis import RedisStore

        redis = Redis.from_url(kind) if kind.startswith("redis:") else None
        store: Any = starsessions.CookieStore(SECRET) if kind == "cookie" else starsessions.InMemoryStore()
        if redis is not None:
            store = RedisStore(connection=redis)
        try:
            async with _starlette(race, starsessions.SessionMiddleware, store=store, lifetime=3600) as call:
                yield call
        finally:
            if redis is not None:
                await redis.aclose()

    return layer


@asynccontextmanager
async def _manager(url: str) -> AsyncIterator[SessionManager]:
    manager = SessionManager(url, secret=SECRET if url.startswith("cookie") else None)
    try:
        yield manager
    finally:
        await manager.shutdown()


def _limpet(url: str) -> Layer:
    @asynccontextmanager
    async def layer(race: _Race) -> AsyncIterator[Call]:
        from limpet.adapters.starlette import SessionMiddleware

        async with _manager(url) as manager, _starlette(race, SessionMiddleware, manager=manager) as call:
            yield call

    return layer


@asynccontextmanager
async def _litestar(race: _Race, **settings: Any) -> AsyncIterator[Call]:
    from litestar import Litestar, MediaType, Request, get

    def route(path: str) -> Any:
        @get(f"/{path}", media_type=MediaType.TEXT)
        async def handler(request: Request[Any, Any, Any]) -> str:
            await race.run(path, request.session)
            return "ok"

        return handler

    app = Litestar([route(path) for path in _PATHS], openapi_config=None, logging_config=None, **settings)
    async with app.lifespan():
        yield asgi_call(app)


@asynccontextmanager
async def _litestar_cookie(race: _Race) -> AsyncIterator[Call]:
    from litestar.middleware.session.client_side import CookieBackendConfig

    config = CookieBackendConfig(secret=SECRET[:32].encode(), secure=True)
    async with _litestar(race, middleware=[config.middleware]) as call:
        yield call


@asynccontextmanager
async def _litestar_memory(race: _Race) -> AsyncIterator[Call]:
    from litestar.middleware.session.server_side import ServerSideSessionConfig

    async with _litestar(race, middleware=[ServerSideSessionConfig(secure=True).middleware]) as call:
        yield call


@asynccontextmanager
async def _litestar_limpet(race: _Race) -> AsyncIterator[Call]:
    from limpet.adapters.litestar import SessionPlugin

    async with _manager("memory:") as manager, _litestar(race, plugins=[SessionPlugin(manager)]) as call:
        yield call


@asynccontextmanager
async def _blacksheep(race: _Race, make: Any, sessions: Any) -> AsyncIterator[Call]:
    import blacksheep
    from blacksheep import Request, Response, TextContent

    app = make(router=blacksheep.Router())
    app.use_sessions(sessions)

    def handler(path: str) -> Any:
        async def handle(request: Request) -> Response:
            await race.run(path, request.session)
            return Response(200, content=TextContent("ok"))

        handle.__annotations__ = {"request": Request, "return": Response}  # BlackSheep looks for these names globally
        return handle

    for path in _PATHS:
        app.router.add_get(f"/{path}", handler(path))
    await app.start()
    try:
        yield asgi_call(app)
    finally:
        await app.stop()


@asynccontextmanager
async def _blacksheep_cookie(race: _Race) -> AsyncIterator[Call]:
    from blacksheep import Application

    async with _blacksheep(race, Application, SECRET) as call:
        yield call


@asynccontextmanager
async def _blacksheep_memory(race: _Race) -> AsyncIterator[Call]:
    from blacksheep import Application
    from blacksheep.sessions.memory import InMemorySessionStore

    async with _blacksheep(race, Application, InMemorySessionStore()) as call:
        yield call


@asynccontextmanager
async def _blacksheep_limpet(race: _Race) -> AsyncIterator[Call]:
    from limpet.adapters.blacksheep import Application

    async with _manager("memory:") as manager, _blacksheep(race, Application, manager) as call:
        yield call


@asynccontextmanager
async def _nexios(race: _Race) -> AsyncIterator[Call]:
    from nexios import NexiosApp
    from nexios.http import Request, Response
    from nexios.session import SessionMiddleware

    app = NexiosApp(debug=False)
    app.add_middleware(SessionMiddleware(secret_key=SECRET))

    def route(path: str) -> None:
        async def handler(request: Request, response: Response) -> Any:
            await race.run(path, request.session)
            return response.text("ok")

        app.get(f"/{path}")(handler)

    for path in _PATHS:
        route(path)
    yield asgi_call(app)


@asynccontextmanager
async def _threaded(app: Any) -> AsyncIterator[Call]:
    """Call a WSGI application in a thread for each of the requests."""
    inner, loop = wsgi_call(app), asyncio.get_running_loop()

    async def one(path: str, cookie: bytes) -> list[bytes]:
        return await inner(path, cookie)

    with ThreadPoolExecutor(len(_KEYS)) as threads:

        async def call(path: str, cookie: bytes) -> list[bytes]:
            return await loop.run_in_executor(threads, lambda: asyncio.run(one(path, cookie)))

        yield call


@asynccontextmanager
async def _flask_session(race: _Race) -> AsyncIterator[Call]:
    import flask
    from cachelib import SimpleCache
    from flask_session import Session

    app = flask.Flask("bench")
    app.config.update(SECRET_KEY=SECRET, SESSION_COOKIE_SECURE=True)
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache(), SESSION_PERMANENT=False)
    Session(app)

    def handler(path: str) -> str:
        race.run_in_thread(path, flask.session)
        return "ok"

    app.add_url_rule("/<path>", "handler", handler)
    async with _threaded(app) as call:
        yield call


@asynccontextmanager
async def _django_db(race: _Race) -> AsyncIterator[Call]:
    from benchmarks.frameworks import SUBJECTS

    next(subject for subject in SUBJECTS if subject.name == "Django, db (SQLite)").make()  # settings, once a process
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.core.handlers.wsgi import WSGIRequest
    from django.db import connections
    from django.http import HttpResponse

    def respond(request: Any) -> HttpResponse:
        race.run_in_thread(request.path[1:], request.session)
        return HttpResponse(b"ok")

    middleware: Any = SessionMiddleware(respond)
    middleware.SessionStore = SessionStore

    def app(environ: Any, start: Any) -> Any:
        response = middleware(WSGIRequest(environ))  # closing the response closes the thread's connection
        cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
        start(f"{response.status_code} OK", [*response.items(), *cookies])
        return response

    connections.close_all()
    async with _threaded(app) as call:
        yield call


async def _kept(race: _Race, call: Call) -> int:
    """Return how many of the keys one browser finds again."""
    jar: dict[bytes, bytes] = {}

    async def visit(path: str, cookie: bytes) -> None:
        for answer in await call(f"/{path}", cookie):
            name, _, value = answer.partition(b";")[0].partition(b"=")
            jar[name] = value

    def cookie() -> bytes:
        return b"; ".join(name + b"=" + value for name, value in jar.items())

    await visit("seed", b"")
    before = cookie()
    await asyncio.gather(*(visit(key, before) for key in _KEYS))
    await visit("count", cookie())
    return race.kept


async def _measure(layers: dict[str, Layer]) -> dict[str, int]:
    kept: dict[str, int] = {}
    for name, layer in layers.items():
        race = _Race()
        async with layer(race) as call:
            kept[name] = statistics.median_low([await _kept(race, call) for _ in range(_RUNS)])
    return kept


def measure() -> dict[str, int]:
    """Start the servers and return how many of 20 concurrent updates of one session each layer keeps."""
    with (
        tempfile.TemporaryDirectory(prefix="limpet-bench-") as folder,
        ValkeyServer() as valkey,
        PostgresServer() as postgres,
    ):
        layers: dict[str, Layer] = {
            "Starlette, cookie": _starlette_own,
            "starsessions, cookie": _starsessions("cookie"),
            "starsessions, memory": _starsessions("memory"),
            "starsessions, Redis": _starsessions(valkey.url),
            "Litestar, cookie": _litestar_cookie,
            "Litestar, memory": _litestar_memory,
            "BlackSheep, cookie": _blacksheep_cookie,
            "BlackSheep, memory": _blacksheep_memory,
            "Nexios, cookie": _nexios,
            "Flask-Session, memory (threads)": _flask_session,
            "Django, db (SQLite, threads)": _django_db,
            "limpet, cookie": _limpet("cookie:"),
            "limpet, memory": _limpet("memory:"),
            "limpet, file": _limpet(f"file:{Path(folder) / 'sessions'}"),
            "limpet, SQLite": _limpet(f"sqlite:///{Path(folder) / 'sessions.db'}"),
            "limpet, Redis": _limpet(valkey.url),
            "limpet, PostgreSQL": _limpet(postgres.url),
            "Litestar, limpet memory": _litestar_limpet,
            "BlackSheep, limpet memory": _blacksheep_limpet,
        }
        return asyncio.run(_measure(layers))
