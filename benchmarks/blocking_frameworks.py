"""The same handler in Django and Flask, with their own sessions, with limpet's, and without any."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from benchmarks.drive import PATHS, SECRET, SMALL, Call, folder, use, wsgi_call
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

__all__ = ["django_call", "flask_call"]


_DJANGO_ENGINES = {
    f"own {name}": f"django.contrib.sessions.backends.{module}"
    for name, module in (
        ("cookie", "signed_cookies"),
        ("db", "db"),
        ("db on PostgreSQL", "db"),
        ("cached_db", "cached_db"),
        ("cache", "cache"),
    )
}


class _Database:
    """Says which of the databases Django's own engine uses: each subject brings its own."""

    alias = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:
        """Return its name."""
        return _Database.alias

    db_for_write = db_for_read


def django_call(kind: str | None = None) -> Call:
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
            DATABASES={
                "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder() / "django.db")},
                "postgres": _postgres_settings(),
            },
            DATABASE_ROUTERS=[_Database()],
            ALLOWED_HOSTS=["*"],
            LOGGING_CONFIG=None,
        )
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        django.setup()
        from django.core.management import call_command
        from django.db import connection

        for alias in settings.DATABASES:
            _Database.alias = alias
            call_command("migrate", database=alias, verbosity=0)
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    from django.contrib.sessions.middleware import SessionMiddleware

    made: Any = None  # Django's settings are global, and so is limpet's manager there: each subject brings its own
    if kind and kind.startswith("limpet"):
        from limpet.adapters.django import _settings, manager
        from limpet.adapters.django.middleware import SessionMiddleware as Ours

        SessionMiddleware = Ours  # noqa: N806
        if kind == "limpet PostgreSQL":
            store = postgres_url()
        else:
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

    alias = "postgres" if kind == "own db on PostgreSQL" else "default"

    def app(environ: Any, start: Any) -> Any:
        _Database.alias = alias
        if made is not None:
            made.manager = kept
        response = handle(WSGIRequest(environ))
        cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
        start(f"{response.status_code} OK", [*response.items(), *cookies])
        return response

    return wsgi_call(app)


def flask_call(kind: str | None = None) -> Call:
    """Return a way to call a Flask application.

    What the two sides of its rows do alike: the cookie ends with the browser and is set whenever something was written;
    Redis is asked over one connection with hiredis, and a request that reads and writes waits twice. What they do not:

    * In favour of Flask's own and Flask-Session: limpet's ids are signed, its load asks for what was revoked too, its
      write is a script that compares a version and keeps a deadline, and `Cache-Control` goes out beside `Vary`.
    * In favour of limpet: it looks for its own cookie, the others parse all of them, which an application may do
      anyway; and it writes when something changed, where Flask-Session stores each session that is not empty in every
      request (``SESSION_REFRESH_EACH_REQUEST``), one that only reads included.
    """
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

    for path in PATHS:
        view(path)
    return wsgi_call(app)


@cache
def redis_url() -> str:
    """Return the URL of a server that runs until the process ends."""
    return _started(ValkeyServer())


@cache
def postgres_url() -> str:
    """Return the URL of a server that runs until the process ends."""
    return _started(PostgresServer())


def _started(server: ValkeyServer | PostgresServer) -> str:
    server.start()
    atexit.register(server.stop)
    return server.url


def _postgres_settings() -> dict[str, str]:
    parts = urlsplit(postgres_url())
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port),
    }
