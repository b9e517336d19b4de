"""Sessions as the other libraries really make them, each with what reads them."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from blacksheep import Response as BlackSheepResponse
from blacksheep.messages import Request as BlackSheepRequest
from blacksheep.sessions import Session as BlackSheepSession
from blacksheep.sessions.cookies import CookieSessionStore
from flask import Flask, session
from nexios.session.file import FileSessionManager
from nexios.session.signed_cookies import SignedSessionManager
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from limpet.importers import (
    BlackSheepCookies,
    DjangoCache,
    DjangoCookies,
    DjangoDatabase,
    FlaskCookies,
    NexiosCookies,
    NexiosFiles,
    StarletteCookies,
)
from limpet.protocols import Importer
from tests.django_site import set_up

__all__ = ["DATA", "ORIGINS", "OTHER_SECRET", "SECRET", "SIGNED", "UNTIL", "Made"]

SECRET: Final = "old"  # those of old applications are often short; the Django project of the tests has it too
OTHER_SECRET: Final = "other"
UNTIL: Final = date(2100, 1, 1)
DATA: Final[dict[str, Any]] = {"user_id": 7, "cart": [{"sku": "tea", "n": 2}], "name": "Zoë", "text": "long " * 60}
ALSO_FLASK: Final[dict[str, Any]] = {
    "pair": (1, "two"),
    "raw": b"\x00\xff",
    "id": uuid.UUID(int=5),
    "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "tag": {" t": [1]},
}


class Made:
    """An old session: its cookie, what it held, and an importer for it."""

    def __init__(self, cookie: str, value: str, data: dict[str, Any], importer: Callable[..., Importer]) -> None:
        self.cookie = cookie
        self.value = value
        self.data = data
        self.importer = importer


def starlette(folder: Path) -> Made:
    async def page(request: Request) -> Response:
        request.session.update(DATA)
        return Response()

    app = Starlette(routes=[Route("/", page)], middleware=[Middleware(SessionMiddleware, secret_key=SECRET)])
    client = TestClient(app)
    client.get("/")
    return Made(
        "session",
        client.cookies["session"],
        DATA,
        lambda secret=SECRET, until=UNTIL, **more: StarletteCookies(secret, until=until, **more),
    )


def flask(folder: Path) -> Made:
    app = Flask("old")
    app.secret_key = SECRET
    data = {**DATA, **ALSO_FLASK}

    @app.get("/")
    def page() -> str:
        session.update(data)
        return ""

    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie("session")
    assert cookie is not None
    return Made(
        "session",
        cookie.value,
        data,
        lambda secret=SECRET, until=UNTIL, **more: FlaskCookies(secret, until=until, **more),
    )


def django_cookies(folder: Path) -> Made:
    set_up()
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    store = SessionStore()
    store.update({**DATA, "_auth_user_id": "7"})
    return Made(
        "sessionid",
        store._get_session_key(),
        {**DATA, "_auth_user_id": "7"},
        lambda secret=SECRET, until=UNTIL, **more: DjangoCookies(secret, until=until, **more),
    )


def django_database(folder: Path) -> Made:
    set_up()
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.db import connection

    with connection.schema_editor() as editor:
        if "django_session" not in connection.introspection.table_names():
            editor.create_model(Session)
    store = SessionStore()
    store.update({**DATA, "_auth_user_id": "7"})
    store.save()
    database = str(connection.settings_dict["NAME"])
    connection.close()

    async def fetch(key: str) -> str | None:
        query = "SELECT session_data FROM django_session WHERE session_key = ? AND expire_date > ?"
        with sqlite3.connect(database) as reader:
            row = reader.execute(query, (key, datetime.now(UTC).isoformat(" "))).fetchone()
        reader.close()
        return None if row is None else str(row[0])

    return Made(
        "sessionid",
        str(store.session_key),
        {**DATA, "_auth_user_id": "7"},
        lambda secret=SECRET, until=UNTIL, **more: DjangoDatabase(secret, until=until, fetch=fetch, **more),
    )


def django_cache(folder: Path) -> Made:
    set_up()
    from django.contrib.sessions.backends.cache import SessionStore
    from django.core.cache import cache

    store = SessionStore()
    store.update({**DATA, "_auth_user_id": "7"})
    store.save()

    async def fetch(key: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = await cache.aget(key)
        return found

    return Made(
        "sessionid",
        str(store.session_key),
        {**DATA, "_auth_user_id": "7"},
        lambda secret=SECRET, until=UNTIL, **more: DjangoCache(until=until, fetch=fetch, **more),
    )


def blacksheep(folder: Path) -> Made:
    async def save() -> str:
        response = BlackSheepResponse(200)
        request = BlackSheepRequest("GET", b"/", [])
        await CookieSessionStore(SECRET).save(request, response, BlackSheepSession(DATA))
        return str(response.cookies["session"].value)

    return Made(
        "session",
        asyncio.run(save()),
        DATA,
        lambda secret=SECRET, until=UNTIL, **more: BlackSheepCookies(secret, until=until, **more),
    )


def nexios_cookies(folder: Path) -> Made:
    return Made(
        "session_id",
        SignedSessionManager(secret_key=SECRET).sign_session_data(DATA),
        DATA,
        lambda secret=SECRET, until=UNTIL, **more: NexiosCookies(secret, until=until, **more),
    )


def nexios_files(folder: Path) -> Made:
    class Config:
        session_file_storage_path = str(folder / "nexios")

    key = "k" * 32
    FileSessionManager(Config())._save_session_data(key, DATA)
    return Made(
        "session_id",
        key,
        DATA,
        lambda secret=SECRET, until=UNTIL, **more: NexiosFiles(folder / "nexios", until=until, **more),
    )


ORIGINS: Final[dict[str, Callable[[Path], Made]]] = {
    "starlette": starlette,
    "flask": flask,
    "django signed_cookies": django_cookies,
    "django db": django_database,
    "django cache": django_cache,
    "blacksheep": blacksheep,
    "nexios cookies": nexios_cookies,
    "nexios files": nexios_files,
}
"""The origins, by name."""
SIGNED: Final = ("starlette", "flask", "django signed_cookies", "blacksheep", "nexios cookies")
