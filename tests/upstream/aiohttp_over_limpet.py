"""A plugin for runs of aiohttp-session's tests: the sessions of every application are limpet's.

What its tests call `get_session`, `new_session`, `session_middleware` and `Session` is limpet's. Its storages only tell
where the sessions are that a test plants in their format: an importer takes them over, as it does for applications that
move in. Their own conftest wants containers; the fixtures that are used are here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import aiohttp_session
import pytest
import redis.asyncio
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_session.redis_storage import RedisStorage

from limpet import CookiePolicy, SessionManager
from limpet.adapters import aiohttp as ours
from limpet.importers.server_side import ServerSessions

NAME = "AIOHTTP_SESSION"
CHANGED = "_changed"
"""A private attribute that their tests ask for."""


def session_middleware(storage: Any) -> Any:
    """Return the middleware that their applications list, over a store of limpet's."""
    if not isinstance(storage, aiohttp_session.AbstractStorage):
        raise RuntimeError(f"Expected AbstractStorage got {storage}")

    async def fetch(session_id: str) -> Any:
        found = await server.get(f"{NAME}_{session_id}")
        return json.loads(found)["session"] if found else None

    importers: list[Any] = []
    if isinstance(storage, RedisStorage):
        server: Any = redis.asyncio.from_url(os.environ["LIMPET_TRIED_REDIS"])
        until = date.today() + timedelta(days=1)  # noqa: DTZ011 - an end date of an importer has no zone
        importers.append(ServerSessions(cookie=NAME, fetch=fetch, until=until))
    manager = SessionManager(
        os.environ["LIMPET_TRIED"], importers=importers, cookie=CookiePolicy(name=NAME, secure=False), dev=True
    )
    app = web.Application()
    ours.setup(app, manager)
    middleware: Any = app.middlewares[0]
    middleware.prepare = app.on_response_prepare[-1]
    return middleware


class Application(web.Application):
    """An application that also calls what belongs to a middleware of ours, as `setup` has it called."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for middleware in self.middlewares:
            prepare = getattr(middleware, "prepare", None)
            if prepare is not None:
                self.on_response_prepare.append(prepare)


async def get_session(request: web.Request) -> Any:
    """Return the session, or their error where there is none."""
    try:
        return await ours.get_session(request)
    except Exception as error:
        raise RuntimeError("Install aiohttp_session middleware") from error


@pytest.fixture
async def redis_server() -> AsyncIterator[Any]:
    """Return a client of the server on which their tests plant sessions."""
    client: Any = redis.asyncio.from_url(os.environ["LIMPET_TRIED_REDIS"])
    yield client
    await client.aclose()


class Fixtures:
    """Their names for what is above."""

    @pytest.fixture(name="redis")
    async def _redis(self, redis_server: Any) -> Any:
        return redis_server

    @pytest.fixture(name="redis_url")
    def _redis_url(self) -> str:
        return os.environ["LIMPET_TRIED_REDIS"]

    @pytest.fixture(name="aiohttp_client")
    async def _aiohttp_client(self) -> AsyncIterator[Callable[[web.Application], Awaitable[Any]]]:
        begun: list[Any] = []

        async def start(app: web.Application) -> Any:
            client: Any = TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True))
            begun.append(client)
            await client.start_server()
            return client

        yield start
        for client in begun:
            await client.close()


def pytest_configure(config: pytest.Config) -> None:
    """Put limpet in the place of what is tested."""
    config.pluginmanager.register(Fixtures(), "limpet-fixtures")
    mocks: Any = ModuleType("pytest_mock")  # they import it for the name of a type
    mocks.MockFixture = object
    sys.modules.setdefault("pytest_mock", mocks)
    places: Any = aiohttp_session
    places.Session = ours.AiohttpSession
    places.session_middleware = session_middleware
    places.get_session = get_session
    places.new_session = ours.new_session
    setattr(ours.AiohttpSession, CHANGED, property(lambda session: session.modified))
    web.Application = Application  # type: ignore[misc]
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning")
