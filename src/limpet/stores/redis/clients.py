"""The clients of one store: one for each event loop, and one for each process where there is no loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import redis
import redis.asyncio

from limpet.errors import ConfigurationError
from limpet.stores._aio.batching import Batching
from limpet.stores._aio.per_loop import PerLoop
from limpet.stores._aio.threads import running_loop
from limpet.stores._blocking import PerProcess, Straight
from limpet.stores._connections import Sizes
from limpet.stores.redis.address import Address
from limpet.stores.redis.blocking import BlockingClient, BlockingConnection, connect_blocking
from limpet.stores.redis.connection import AnyClient, Connection, connect
from limpet.stores.redis.layout import Command
from limpet.stores.redis.pipeline import Pipeline
from limpet.stores.redis.shared import SharedConnection
from limpet.stores.redis.straight import StraightLine

__all__ = ["Clients", "Opened"]


_CLUSTERS: Final = (redis.RedisCluster, redis.asyncio.RedisCluster)


class Opened(NamedTuple):
    """What is open on one event loop, or in one process.

    Attributes:
        connection: The service.
        shared: The connection that all commands of an event loop share; None: there is none.
        line: What commands go through, where they need no client of redis-py; None: they do.
        batching: What they go through then, and those that replicas have to confirm.
        within: Bounds a call of the connection itself.
    """

    connection: Connection | BlockingConnection
    shared: SharedConnection | None
    line: SharedConnection | StraightLine | None
    batching: Batching[Command, Any] | Straight[Command, Any]
    within: Callable[[float], AbstractAsyncContextManager[object]]


class Clients:
    """Makes a client where it is first used.

    Attributes:
        cluster: The service is a cluster.

    Args:
        address: Where the service is; None: there is a client.
        client: One that was given.
        where: The service, for messages.
        timeout: Seconds from asking to the answer.
        connect_timeout: Seconds for opening a connection.
        connections: Connections at most.
        wait: Replicas that have to confirm.
    """

    def __init__(
        self,
        address: Address | None,
        client: AnyClient | BlockingClient | None,
        *,
        where: str,
        timeout: float,
        connect_timeout: float,
        connections: Sizes,
        wait: int,
    ) -> None:
        if client is not None:
            _refuse_unfit(client)
        self.cluster: bool = isinstance(client, _CLUSTERS) or (address is not None and address.way == "cluster")
        self._address = address
        self._client = client
        self._where = where
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._connections = connections
        self._wait = wait
        self._owner: asyncio.AbstractEventLoop | None = None
        self._of_loops: PerLoop[Opened] = PerLoop(self._make, _close)
        self._of_processes: PerProcess[Opened] = PerProcess(self._make_blocking, _close_blocking)

    def here(self) -> Opened:
        """Return what is open on the running event loop, or in this process where a call blocks."""
        loop = running_loop()
        return self._of_processes.here() if loop is None else self._of_loops.here(loop)

    @property
    def most(self) -> int:
        """How many connections the caller's side opens to one server: of an event loop one, and one for `WAIT`."""
        most = self._connections.here
        if self.here().shared is None:
            return most
        return min(most, 2 if self._wait else 1)

    async def close(self) -> None:
        """Finish what is under way here and close it."""
        if running_loop() is None:
            self._of_processes.close()
        else:
            await self._of_loops.close()

    def _make(self) -> Opened:
        if self._address is not None:
            connection = connect(
                self._address,
                timeout=self._timeout,
                connect_timeout=self._connect_timeout,
                connections=self._connections.loop,
            )
        else:
            loop = asyncio.get_running_loop()
            if self._owner is not None and self._owner is not loop:
                raise ConfigurationError(
                    "RedisStore(client=...) is used in a second event loop or process, and a client belongs to one: "
                    "give a URL, and every loop and process gets a client of its own"
                )
            if not isinstance(self._client, (redis.asyncio.Redis, redis.asyncio.RedisCluster)):
                raise ConfigurationError(
                    "RedisStore(client=...) was given a client that blocks, and this application runs on an event "
                    "loop: give a URL, or a client of redis.asyncio"
                )
            self._owner = loop
            connection = Connection(self._client, where=self._where, timeout=self._timeout)
        # Bound to this connection: what is still waiting when the store is closed goes over it and opens no other.
        pipeline = Pipeline(connection, where=self._where, wait=self._wait)
        batching: Batching[Command, Any] = Batching(
            pipeline.send, where=self._where, timeout=self._timeout, at_once=self._connections.loop
        )
        return Opened(connection, connection.shared, connection.shared, batching, asyncio.timeout)

    def _make_blocking(self) -> Opened:
        if self._address is not None:
            connection = connect_blocking(
                self._address,
                timeout=self._timeout,
                connect_timeout=self._connect_timeout,
                connections=self._connections.process,
            )
        elif isinstance(self._client, (redis.Redis, redis.RedisCluster)):
            connection = BlockingConnection(self._client, timeout=self._timeout, connections=self._connections.process)
        else:
            raise ConfigurationError(
                "RedisStore(client=...) was given a client of redis.asyncio, and a blocking application has no event "
                "loop: give a URL, or a client of redis itself"
            )
        pipeline = Pipeline(connection, where=self._where, wait=self._wait)
        line = StraightLine(connection, pipeline.settled) if connection.is_direct else None
        return Opened(connection, None, line, Straight(pipeline.send), lambda _: contextlib.nullcontext())


async def _close(opened: Opened) -> None:
    await opened.batching.drain()
    if opened.shared is not None:
        await opened.shared.drain()
    assert isinstance(opened.connection, Connection)
    await opened.connection.close()


def _close_blocking(opened: Opened) -> None:
    assert isinstance(opened.connection, BlockingConnection)
    opened.connection.close()


def _refuse_unfit(client: AnyClient | BlockingClient) -> None:
    settings = client.get_connection_kwargs()
    if settings.get("decode_responses"):
        raise ConfigurationError("RedisStore keeps bytes: give a client without decode_responses=True")
    if isinstance(client, _CLUSTERS) and (client.read_from_replicas or client.load_balancing_strategy):
        raise ConfigurationError(
            "RedisStore never reads from replicas, which may still show a session that was ended: "
            "give a client without read_from_replicas and load_balancing_strategy"
        )
