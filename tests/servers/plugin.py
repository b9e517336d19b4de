"""The servers as fixtures.

Fixtures of one server for the whole run (`redis_url`, `postgres_url`) are shared by all tests of a worker, which keep
apart by `redis_prefix` and `postgres_schema`. Whoever stops, freezes or fills a server asks for one of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import redis

from tests.servers.postgres import PostgresServer, external_postgres
from tests.servers.process import sweep_leftovers
from tests.servers.topologies import ClusterSetup, SentinelSetup
from tests.servers.valkey import ValkeyServer, external_redis

__all__ = [
    "clean_temp_root",
    "cluster",
    "own_postgres",
    "own_valkey",
    "postgres_schema",
    "postgres_url",
    "redis_prefix",
    "redis_url",
    "sentinel",
]


@pytest.fixture(scope="session")
def clean_temp_root() -> None:
    """Remove what earlier runs left behind when they were killed."""
    sweep_leftovers()


@pytest.fixture(scope="session")
def redis_url(clean_temp_root: None) -> Iterator[str]:
    """Return the URL of a Valkey or Redis server that is shared: use `redis_prefix`, and leave it running."""
    if url := external_redis():
        yield url
        return
    with ValkeyServer() as server:
        yield server.url


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """Return a key prefix that no other test has; what is stored under it is removed afterwards."""
    prefix = f"test-{secrets.token_hex(6)}:"
    yield prefix
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(key)


@pytest.fixture
def own_valkey(clean_temp_root: None) -> Iterator[ValkeyServer]:
    """Return a server that this test may treat as it likes. It forgets everything when it is restarted."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def sentinel(clean_temp_root: None) -> Iterator[SentinelSetup]:
    """Return a master, two replicas and three Sentinels."""
    with SentinelSetup() as setup:
        yield setup


@pytest.fixture(scope="module")
def cluster(clean_temp_root: None) -> Iterator[ClusterSetup]:
    """Return a cluster of three masters and three replicas."""
    with ClusterSetup() as setup:
        yield setup


@pytest.fixture(scope="session")
def postgres_url(clean_temp_root: None) -> Iterator[str]:
    """Return the URL of a PostgreSQL server that is shared: use `postgres_schema`, and leave it running."""
    if url := external_postgres():
        yield url
        return
    with PostgresServer() as server:
        yield server.url


@pytest.fixture
def postgres_schema() -> str:
    """Return the name of a schema that no other test has; it needs quoting, so that quoting is always tested."""
    return f'test "{secrets.token_hex(6)}"'


@pytest.fixture(scope="module")
def own_postgres(clean_temp_root: None) -> Iterator[PostgresServer]:
    """Return a server that the tests of this module may stop, freeze and kill, and must leave running."""
    with PostgresServer() as server:
        yield server
