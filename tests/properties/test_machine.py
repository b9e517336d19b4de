"""Long random lives of sessions equal a pure model, on every store and through HTTP; wrong stores are found out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from limpet.contract import Store
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.testing.machine import Build, Place, plain, session_machine
from limpet.testing.suite_adapter import AdapterSuite
from tests.adapters.test_blacksheep import TestBlackSheep as BlackSheep
from tests.adapters.test_fastapi import TestFastAPI as FastAPI
from tests.adapters.test_fastmvc import TestFastMVC as FastMVC
from tests.adapters.test_litestar import TestLitestar as Litestar
from tests.adapters.test_nexios import TestNexios as Nexios
from tests.adapters.test_starlette import TestStarlette as Starlette
from tests.counts import count
from tests.properties.broken import BROKEN

Prepare: TypeAlias = Callable[[pytest.FixtureRequest], Place]

ADAPTERS: Final = (Starlette, FastAPI, FastMVC, BlackSheep, Nexios, Litestar)
"""Those whose handlers run in the machine's own loop and task. aiohttp, Flask and Django run them elsewhere, and a
request of Quart's has to end in the context in which it began: those have the races of their suites."""


def memory() -> Callable[[], Store]:
    """One store in memory, which both workers share."""
    store = MemoryStore()
    return lambda: store


def in_memory(request: pytest.FixtureRequest) -> Place:
    return memory


def in_files(request: pytest.FixtureRequest) -> Place:
    """Two workers on one folder; the disk is not waited for, since nothing crashes."""
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: partial(FileStore, folder / secrets.token_hex(8), durable=False)


def in_sqlite(request: pytest.FixtureRequest) -> Place:
    """Two workers on one database file, which does not wait for the disk either."""
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: partial(SQLiteStore, folder / f"{secrets.token_hex(8)}.db", synchronous="OFF")


def on_redis(request: pytest.FixtureRequest) -> Place:
    """Two workers with connections of their own to one server."""
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    return lambda: partial(RedisStore, url, prefix=f"{prefix}{secrets.token_hex(8)}:")


def on_postgres(request: pytest.FixtureRequest) -> Place:
    """Two workers with connections of their own to one table, which holds what earlier examples left."""
    url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    return lambda: partial(PostgresStore, url, schema=schema)


STORES: Final[dict[str, tuple[Prepare, int, int]]] = {
    "memory": (in_memory, 60, 6_000),
    "file": (in_files, 15, 1_500),
    "sqlite": (in_sqlite, 15, 1_500),
    "redis": (on_redis, 12, 600),
    "postgres": (on_postgres, 10, 500),
}
"""How each store is prepared, and how many lives a normal run tries out, and one with LIMPET_LONG=1."""


def lives(quick: int, long: int, **more: Any) -> settings:
    """Settings for so many examples of forty steps."""
    return settings(
        max_examples=count(quick, long),
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        **more,
    )


@pytest.mark.parametrize("kind", STORES)
def test_every_store_equals_the_model(kind: str, request: pytest.FixtureRequest) -> None:
    """Sessions in any store are what the model says, whatever requests, clocks and outages do."""
    prepare, quick, long = STORES[kind]
    run_state_machine_as_test(session_machine(prepare(request)), settings=lives(quick, long))


@pytest.mark.parametrize("kind", STORES)
def test_every_store_equals_the_model_through_http(kind: str, request: pytest.FixtureRequest) -> None:
    """So they are when the same requests come as HTTP, one worker reading eagerly and the other lazily."""
    prepare, quick, long = STORES[kind]
    run_state_machine_as_test(session_machine(prepare(request), plain), settings=lives(quick // 2, long // 2))


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__[4:])
def test_every_adapter_equals_the_model(adapter: type[AdapterSuite]) -> None:
    """So they are through an application of each of these frameworks."""
    run_state_machine_as_test(session_machine(memory, adapter().build), settings=lives(6, 300))


@pytest.mark.parametrize("build", [None, plain], ids=["engine", "http"])
@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
def test_a_broken_store_is_refuted(store: type[Store], build: Build | None) -> None:
    """A store with one thing wrong does not pass, neither before the engine nor behind HTTP."""

    def place() -> Callable[[], Store]:
        broken = store()
        return lambda: broken

    search = lives(300, 30_000, phases=[Phase.generate], derandomize=True, print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(session_machine(place, build), settings=search)
