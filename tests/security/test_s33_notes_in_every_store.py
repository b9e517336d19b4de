"""S33: a cookie session that was ended goes on, because the store of the notes is shared by processes or a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from limpet.stores import CookieStore, FileStore, SQLiteStore, Store
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from tests.security.site import ANONYMOUS, SECRET, WatchedSite

Workers = Callable[[Any], WatchedSite]


@pytest.fixture(params=["sqlite", "file", "redis", "postgres"])
async def worker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workers]:
    """Return a function that starts another worker, with its own client of the one store of the notes."""
    managers: list[SessionManager] = []

    def connect() -> Store:
        if request.param == "redis":
            return RedisStore(request.getfixturevalue("redis_url"), prefix=request.getfixturevalue("redis_prefix"))
        if request.param == "postgres":
            url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
            return PostgresStore(url, schema=schema)
        return SQLiteStore(tmp_path / "ended.db") if request.param == "sqlite" else FileStore(tmp_path / "ended")

    def start(mode: Any) -> WatchedSite:
        store = CookieStore(revocation=mode, revocation_store=connect())
        site = WatchedSite({"/who": lambda session: session.subject}, store, secret=SECRET)
        managers.append(site.manager)
        return site

    yield start
    for manager in managers:
        await manager.shutdown()


@pytest.mark.parametrize("mode", ["denylist", "epoch"])
async def test_a_logout_holds_on_every_worker(worker: Workers, mode: str) -> None:
    """Logged out on one, the copy of the cookie is nobody's on the other at once; the next login works on both."""
    one, other = worker(mode), worker(mode)
    copy = (await one.ask("/login")).given
    assert (await other.ask("/who", copy)).text == '"ann"'
    assert (await one.ask("/logout", copy)).status == 200
    for site in (one, other):
        site.clock.advance(1)
        assert (await site.ask("/dump", copy)).text == ANONYMOUS
    again = (await other.ask("/login")).given
    assert (await one.ask("/who", again)).text == '"ann"'


async def test_signing_out_everywhere_holds_on_every_worker(worker: Workers) -> None:
    """With ``epoch``: all cookies of the subject, wherever they were handed out."""
    one, other = worker("epoch"), worker("epoch")
    copies = [(await site.ask("/login")).given for site in (one, other, one)]
    for site in (one, other):
        site.clock.advance(1)
    await other.manager.revoke_all("ann")
    for copy in copies:
        assert (await one.ask("/dump", copy)).text == ANONYMOUS
