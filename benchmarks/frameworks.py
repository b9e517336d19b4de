"""The same handler in other frameworks, with their own sessions, with limpet's, and without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.blocking_frameworks import django_call, flask_call
from benchmarks.drive import LARGE, PATHS, SECRET, SMALL, Call, Subject, asgi_call, use
from limpet import SessionManager

__all__ = ["SUBJECTS", "starlette_app"]


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
    return Starlette(routes=[route(path) for path in PATHS], middleware=middleware)


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
    app = Litestar([route(path) for path in PATHS], openapi_config=None, logging_config=None, **settings)
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

    for path in PATHS:
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

    for path in PATHS:
        route(path)
    return asgi_call(app)


def _family(name: str, make: Callable[..., Call], kinds: dict[str, tuple[str, str]]) -> list[Subject]:
    """Return the subject without sessions, and one for each kind: ``kind: (name, group)``; ``kind/again``: a twin."""
    without = Subject(name=f"{name} without", make=make, base=f"{name} without", group="none")

    def subject(kind: str, title: str, group: str) -> Subject:
        return Subject(name=title, make=lambda: make(kind.partition("/again")[0]), base=without.name, group=group)

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
        django_call,
        {
            "own cookie": ("Django, cookie", "cookie"),
            "own db": ("Django, db (SQLite)", "database"),
            "own db/again": ("Django, db (SQLite) again (A/A control)", "database"),
            "own db on PostgreSQL": ("Django, db (PostgreSQL)", "database"),
            "own cached_db": ("Django, cached_db (SQLite)", "database"),
            "own cache": ("Django, cache (memory)", "memory"),
            "limpet memory": ("Django, limpet memory", "memory"),
            "limpet SQLite": ("Django, limpet SQLite", "database"),
            "limpet PostgreSQL": ("Django, limpet PostgreSQL", "database"),
        },
    ),
    *_family(
        "Flask",
        flask_call,
        {
            "own cookie": ("Flask, cookie", "cookie"),
            "own cookie/again": ("Flask, cookie again (A/A control)", "cookie"),
            "own memory": ("Flask-Session, memory", "memory"),
            "own redis": ("Flask-Session, Redis", "database"),
            "own redis/again": ("Flask-Session, Redis again (A/A control)", "database"),
            "cookie:signed": ("Flask, limpet signed", "cookie"),
            "cookie:": ("Flask, limpet encrypted", "cookie"),
            "memory:": ("Flask, limpet memory", "memory"),
            "redis:": ("Flask, limpet Redis", "database"),
        },
    ),
)
