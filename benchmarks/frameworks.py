"""The same handler in other frameworks, with their own sessions, with limpet's, and without any."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from benchmarks.drive import LARGE, SECRET, SMALL, Call, Subject, asgi_call, folder, wsgi_call
from limpet import SessionManager
from tests.servers.valkey import ValkeyServer

__all__ = ["SUBJECTS", "starlette_app"]

_PATHS = ("untouched", "read", "write", "seed", "seed2k")


def use(path: str, session: Any) -> None:
    """Do with a session what the path says."""
    if path == "read":
        session.get("user")
    elif path == "write":
        session["n"] = session.get("n", 0) + 1
    elif path == "seed":
        session.update(SMALL)
    elif path == "seed2k":
        session.update(LARGE)


def starlette_app(kind: str | None = None) -> Any:
    """Return a Starlette application; ``starlette``: with its own sessions, a store's URL: with limpet's."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from limpet.adapters.starlette import SessionMiddleware

    def route(path: str) -> Route:
        async def handler(request: Request) -> PlainTextResponse:
            if path != "untouched":
                use(path, request.session if kind else dict(SMALL))
            return PlainTextResponse("ok")

        return Route(f"/{path}", handler)

    middleware: list[Middleware] = []
    if kind == "starlette":
        from starlette.middleware.sessions import SessionMiddleware as Own

        middleware = [Middleware(Own, secret_key=SECRET, https_only=True)]
    elif kind:
        middleware = [Middleware(SessionMiddleware, manager=_manager(kind))]
    return Starlette(routes=[route(path) for path in _PATHS], middleware=middleware)


def _starlette(kind: str | None = None) -> Call:
    return asgi_call(starlette_app(kind))


def _manager(kind: str) -> SessionManager:
    return SessionManager(kind, secret=SECRET if kind.startswith("cookie") else None)


def _litestar(kind: str | None = None) -> Call:
    from litestar import Litestar, MediaType, Request, get
    from litestar.middleware.session.client_side import CookieBackendConfig
    from litestar.middleware.session.server_side import ServerSideSessionConfig

    def route(path: str) -> Any:
        @get(f"/{path}", media_type=MediaType.TEXT)
        async def handler(request: Request[Any, Any, Any]) -> str:
            if path != "untouched":
                use(path, request.session if kind else dict(SMALL))
            return "ok"

        return handler

    settings: dict[str, Any] = {}
    if kind == "own cookie":
        settings["middleware"] = [CookieBackendConfig(secret=SECRET[:32].encode(), secure=True).middleware]
    elif kind == "own memory":
        settings["middleware"] = [ServerSideSessionConfig(secure=True).middleware]
    elif kind:
        from limpet.adapters.litestar import SessionPlugin

        settings["plugins"] = [SessionPlugin(_manager(kind))]
    app = Litestar([route(path) for path in _PATHS], openapi_config=None, logging_config=None, **settings)
    return asgi_call(app)


def _blacksheep(kind: str | None = None) -> Call:
    import blacksheep
    from blacksheep import Request, Response, TextContent
    from blacksheep.sessions.memory import InMemorySessionStore

    app: Any
    if kind and not kind.startswith("own"):
        from limpet.adapters.blacksheep import Application

        app = Application(router=blacksheep.Router())
        app.use_sessions(_manager(kind))
    else:
        app = blacksheep.Application(router=blacksheep.Router())
        if kind == "own cookie":
            app.use_sessions(SECRET)
        elif kind == "own memory":
            app.use_sessions(InMemorySessionStore())

    def handler(path: str) -> Any:
        async def handle(request: Request) -> Response:
            if path != "untouched":
                use(path, request.session if kind else dict(SMALL))
            return Response(200, content=TextContent("ok"))

        handle.__annotations__ = {"request": Request, "return": Response}  # BlackSheep looks for these names globally
        return handle

    for path in _PATHS:
        app.router.add_get(f"/{path}", handler(path))
    inner = asgi_call(app)
    started = False

    async def call(path: str, cookie: bytes) -> list[bytes]:
        nonlocal started
        if not started:
            started = True
            await app.start()
        return await inner(path, cookie)

    return call


def _nexios(kind: str | None = None) -> Call:
    import nexios
    from nexios.http import Request, Response

    from limpet.adapters import nexios as ours

    if kind is None or kind == "own cookie":
        app = nexios.NexiosApp(debug=False)
    else:
        app = ours.NexiosApp(debug=False)
        app.add_middleware(ours.SessionMiddleware(manager=_manager(kind)))
    if kind == "own cookie":
        from nexios.session import SessionMiddleware

        app.add_middleware(SessionMiddleware(secret_key=SECRET))

    def route(path: str) -> None:
        async def handler(request: Request, response: Response) -> Any:
            if path in ("seed", "seed2k") and kind == "own cookie":
                for key, value in (SMALL if path == "seed" else LARGE).items():
                    request.session[key] = value
            elif path != "untouched":
                use(path, request.session if kind else dict(SMALL))
            return response.text("ok")

        app.get(f"/{path}")(handler)

    for path in _PATHS:
        route(path)
    return asgi_call(app)


_DJANGO_ENGINES = {
    f"own {name}": f"django.contrib.sessions.backends.{module}"
    for name, module in (("cookie", "signed_cookies"), ("db", "db"), ("cached_db", "cached_db"), ("cache", "cache"))
}


def _django(kind: str | None = None) -> Call:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpResponse

    engine = _DJANGO_ENGINES.get(kind or "", "limpet.adapters.django")
    if not settings.configured:
        settings.configure(
            SECRET_KEY=SECRET,
            SESSION_COOKIE_SECURE=True,
            INSTALLED_APPS=["django.contrib.sessions"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder() / "django.db")}},
            ALLOWED_HOSTS=["*"],
            LOGGING_CONFIG=None,
        )
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    from django.contrib.sessions.middleware import SessionMiddleware

    made: Any = None  # Django's settings are global, and so is limpet's manager there: each subject brings its own
    if kind and kind.startswith("limpet"):
        from limpet.adapters.django import _settings, manager
        from limpet.adapters.django.middleware import SessionMiddleware as Ours

        SessionMiddleware = Ours  # noqa: N806
        store = "memory:" if kind == "limpet memory" else f"sqlite:///{folder() / 'sessions.db'}"
        settings.LIMPET = {"store": store}
        made, _settings._made.manager = _settings._made, None
        kept = manager()

    def respond(request: Any) -> HttpResponse:
        path = request.path[1:]
        if path != "untouched":
            use(path, request.session if kind else dict(SMALL))
        return HttpResponse("ok")

    handle: Callable[[Any], Any] = respond
    if kind:
        middleware = SessionMiddleware(respond)
        middleware.SessionStore = import_module(engine).SessionStore
        handle = middleware

    def app(environ: Any, start: Any) -> Any:
        if made is not None:
            made.manager = kept
        response = handle(WSGIRequest(environ))
        cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
        start(f"{response.status_code} OK", [*response.items(), *cookies])
        return response

    return wsgi_call(app)


def _flask(kind: str | None = None) -> Call:
    import flask
    from flask.sessions import SecureCookieSessionInterface

    app = flask.Flask("bench")
    app.config.update(SECRET_KEY=SECRET, SESSION_COOKIE_SECURE=True)

    class Nothing(SecureCookieSessionInterface):
        def open_session(self, app: Any, request: Any) -> Any:
            return None

        def save_session(self, app: Any, session: Any, response: Any) -> None:
            return None

    if kind in ("own memory", "own redis"):
        from cachelib import SimpleCache
        from flask_session import Session
        from redis import Redis

        if kind == "own memory":
            app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache(), SESSION_PERMANENT=False)
        else:
            client = Redis.from_url(redis_url())
            app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_PERMANENT=False)
        Session(app)
    elif kind and kind != "own cookie":
        from limpet.adapters.flask import Limpet

        Limpet(app, redis_url() if kind == "redis:" else kind)
    elif kind is None:
        app.session_interface = Nothing()

    def view(path: str) -> None:
        def handler() -> str:
            if path != "untouched":
                use(path, flask.session if kind else dict(SMALL))
            return "ok"

        app.add_url_rule(f"/{path}", path, handler)

    for path in _PATHS:
        view(path)
    return wsgi_call(app)


@cache
def redis_url() -> str:
    """Return the URL of a server that runs until the process ends."""
    server = ValkeyServer()
    server.start()
    atexit.register(server.stop)
    return server.url


def _family(name: str, make: Callable[..., Call], kinds: dict[str, tuple[str, str]]) -> list[Subject]:
    """Return the subject without sessions, and one for each kind: ``kind: (name, group)``."""
    without = Subject(name=f"{name} without", make=make, base=f"{name} without", group="none")

    def subject(kind: str, title: str, group: str) -> Subject:
        return Subject(name=title, make=lambda: make(kind), base=without.name, group=group)

    return [without, *(subject(kind, title, group) for kind, (title, group) in kinds.items())]


SUBJECTS = (
    *_family(
        "Starlette app",
        _starlette,
        {
            "starlette": ("Starlette app, its own", "cookie"),
            "cookie:signed": ("Starlette app, limpet signed", "cookie"),
            "memory:": ("Starlette app, limpet memory", "memory"),
        },
    ),
    *_family(
        "Litestar",
        _litestar,
        {
            "own cookie": ("Litestar, cookie (AES-GCM)", "cookie"),
            "own memory": ("Litestar, memory", "memory"),
            "cookie:": ("Litestar, limpet encrypted", "cookie"),
            "memory:": ("Litestar, limpet memory", "memory"),
        },
    ),
    *_family(
        "BlackSheep",
        _blacksheep,
        {
            "own cookie": ("BlackSheep, cookie", "cookie"),
            "own memory": ("BlackSheep, memory (shallow copies)", "memory"),
            "cookie:signed": ("BlackSheep, limpet signed", "cookie"),
            "memory:": ("BlackSheep, limpet memory", "memory"),
        },
    ),
    *_family(
        "Nexios",
        _nexios,
        {"own cookie": ("Nexios, cookie", "cookie"), "cookie:signed": ("Nexios, limpet signed", "cookie")},
    ),
    *_family(
        "Django",
        _django,
        {
            "own cookie": ("Django, cookie", "cookie"),
            "own db": ("Django, db (SQLite)", "database"),
            "own cached_db": ("Django, cached_db (SQLite)", "database"),
            "own cache": ("Django, cache (memory)", "memory"),
            "limpet memory": ("Django, limpet memory", "memory"),
            "limpet SQLite": ("Django, limpet SQLite", "database"),
        },
    ),
    *_family(
        "Flask",
        _flask,
        {
            "own cookie": ("Flask, cookie", "cookie"),
            "own memory": ("Flask-Session, memory", "memory"),
            "own redis": ("Flask-Session, Redis", "database"),
            "cookie:signed": ("Flask, limpet signed", "cookie"),
            "cookie:": ("Flask, limpet encrypted", "cookie"),
            "memory:": ("Flask, limpet memory", "memory"),
            "redis:": ("Flask, limpet Redis", "database"),
        },
    ),
)
