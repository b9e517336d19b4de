"""Servers that the tests of faults may stop, freeze and kill, and must leave running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.faults.service import Server, Service
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import tcp_proxy
from tests.servers.valkey import ValkeyServer


@pytest.fixture(scope="session")
def durable_valkey(clean_temp_root: None) -> Iterator[ValkeyServer]:
    """Return a server that keeps what it acknowledged over a kill -9."""
    with ValkeyServer(durable=True) as server:
        yield server


@pytest.fixture(scope="session")
def durable_postgres(clean_temp_root: None) -> Iterator[PostgresServer]:
    """Return a server that keeps what it acknowledged over a kill -9."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def second_postgres(clean_temp_root: None) -> Iterator[PostgresServer]:
    """Return another server, which may be treated as the first one may."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["redis", "postgres", "redis threads", "postgres threads"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """Return each service in turn, with a proxy before it; it is running again when the test ends."""
    kind, _, threads = request.param.partition(" ")
    name = {"redis": "durable_valkey", "postgres": "durable_postgres"}[kind]
    server: Server = request.getfixturevalue(name)
    async with tcp_proxy(server.port) as proxy:
        service = Service(kind, server, proxy, threads=bool(threads))
        try:
            yield service
        finally:
            if server.process.running:
                server.thaw()
            else:
                server.start()
            await service.close()
