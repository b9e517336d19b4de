"""The stores on which each promise is tried, and the ways in which a site may be set up."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest

from limpet.stores import CookieStore
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.testing import FailingStore
from limpet.transports import HeaderTransport
from tests.counts import LONG
from tests.laws.farm import Farm

Connect = Callable[[], Any]


def _always(store: Any) -> Connect:
    return lambda: store


def _connect(kind: str, request: pytest.FixtureRequest) -> Connect:
    """Return what opens one more connection to an empty store of this kind."""
    fixture = request.getfixturevalue
    match kind:
        case "memory":
            return _always(MemoryStore())
        case "waiting":  # a store whose calls wait, so that the engine sets time limits
            return _always(FailingStore(MemoryStore()))
        case "sqlite":
            return lambda: SQLiteStore(fixture("tmp_path") / "sessions.db", synchronous="OFF")
        case "file":
            return lambda: FileStore(fixture("tmp_path") / "sessions", durable=False)
        case "redis":
            return lambda: RedisStore(fixture("redis_url"), prefix=fixture("redis_prefix"))
        case "postgres":
            url, schema = fixture("postgres_url"), fixture("postgres_schema")
            return lambda: PostgresStore(url, schema=schema, max_connections=2, timeout=5.0)
        case _:
            raise AssertionError(kind)


_ALL: Final = ("memory", "waiting", "sqlite", "file", "redis", "postgres")
SERVER_SIDE: Final = _ALL if LONG else ("memory", "sqlite", "redis", "postgres")
COOKIES: Final = ("cookie", "signed", "denylist", "epoch")


def cookie_store(kind: str, notes: Any) -> CookieStore:
    """Return what keeps sessions in cookies; ``notes`` is where its revocations are kept."""
    if kind in {"denylist", "epoch"}:
        return CookieStore(revocation="denylist" if kind == "denylist" else "epoch", revocation_store=notes)
    return CookieStore(encrypted=kind == "cookie")


@pytest.fixture(params=SERVER_SIDE)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    """A site over each kind of server-side store."""
    made = Farm(request.param, _connect(request.param, request))
    yield made
    await made.close()


SETUPS: Final = [(kind, "eager") for kind in SERVER_SIDE] + [
    (kind, setup) for kind in ("waiting", "sqlite")[: 2 if LONG else 1] for setup in ("lazy", "header", "signed ids")
]


@pytest.fixture(params=SETUPS, ids="-".join)
async def any_site(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    """A site over each kind of server-side store, and set up in each way over two of them."""
    kind, setup = request.param
    made = Farm(kind, _connect(kind, request))
    if setup == "lazy":
        made.settings = {"lazy": True}
    elif setup == "header":
        made.header = "x-session-id"
        made.settings = {"transport": HeaderTransport()}
    elif setup == "signed ids":
        made.settings = {"secret": secrets.token_urlsafe(32)}
    yield made
    await made.close()


@pytest.fixture(params=COOKIES)
async def cookie_site(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    """A site whose sessions live in cookies, with each way to revoke them."""
    notes = MemoryStore()
    made = Farm(request.param, lambda: cookie_store(request.param, notes))
    made.settings = {"secret": secrets.token_urlsafe(32)}
    yield made
    await made.close()


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def notes(request: pytest.FixtureRequest) -> Connect:
    """What opens a store for the revocations of cookie sessions."""
    return _connect(request.param, request)
