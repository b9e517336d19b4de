"""Django over Redis and PostgreSQL: one setting, for views that block and for those on an event loop, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import AsyncClient

from limpet.adapters.django import SessionStore
from limpet.adapters.django.importing import EngineImporter
from limpet.manager import SessionManager
from limpet.stores import PostgresStore, RedisStore
from tests.adapters.django.begun import Browser, Configure, in_thread, visitor
from tests.adapters.django.test_moving import ENGINES, UNTIL, logged_in


@pytest.fixture(params=["redis", "postgres"])
async def served(request: pytest.FixtureRequest, configure: Configure) -> AsyncIterator[SessionManager]:
    """Return a manager over a real server, with room of its own there."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        manager = configure({"store": RedisStore(url, prefix=request.getfixturevalue("redis_prefix"))})
    else:
        url = request.getfixturevalue("postgres_url")
        manager = configure({"store": PostgresStore(url, schema=request.getfixturevalue("postgres_schema"))})
    yield manager
    await manager.shutdown()
    manager.blocking.shutdown()


async def test_threads_and_tasks_count_together(served: SessionManager, ann: Any) -> None:
    """Twenty requests on threads and twenty on the loop, of one browser at the same time: forty."""

    def begin() -> str:
        browser = visitor()
        browser.get("/do/login?name=ann")
        return str(browser.cookies["sessionid"].value)

    key = await in_thread(begin)

    def blocking(_: int) -> int:
        browser = visitor()
        browser.cookies["sessionid"] = key
        return int(browser.get("/do/increment").status_code)

    async def awaiting() -> int:
        browser: Browser = AsyncClient()
        browser.cookies["sessionid"] = key
        return int((await browser.get("/ado/increment")).status_code)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as pool:
        threads = [loop.run_in_executor(pool, blocking, number) for number in range(20)]
        answers = await asyncio.gather(*threads, *(awaiting() for _ in range(20)))
    assert answers == [200] * 40
    store = SessionStore(key)
    assert await store.aget("n") == 40
    assert [info.current for info in await store.limpet.asessions()] == [True]
    assert await in_thread(SessionStore(key).limpet.revoke_others) == 0
    assert await served.revoke_all(str(ann.pk)) == 1
    assert not await in_thread(SessionStore().exists, key)


async def test_moving_in_from_djangos_table(served: SessionManager, configure: Configure, ann: Any) -> None:
    """A session of Django's database becomes one of the server."""
    old = await in_thread(logged_in, ENGINES[0], ann, basket=["tea"])
    kept = configure({"store": served.store, "importers": [EngineImporter(until=UNTIL)]})

    def visit() -> Any:
        browser = visitor()
        browser.cookies["sessionid"] = old
        return [browser.get("/do/who").json(), browser.get("/do/read").json()]

    assert await in_thread(visit) == ["ann", {"basket": ["tea"]}]
    assert len(await kept.sessions_of(str(ann.pk))) == 1
