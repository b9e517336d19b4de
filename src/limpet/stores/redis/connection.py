"""From an address to a redis-py client, and from its many errors to one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection as TCPConnection
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from limpet.errors import StoreUnavailable
from limpet.stores.redis.address import Address
from limpet.stores.redis.idle import IdleConnections
from limpet.stores.redis.redirection import REDIRECTED, follow, node_of

__all__ = ["FAILURES", "LOST", "AnyClient", "Connection", "confirmed", "connect", "patience", "unavailable"]

AnyClient: TypeAlias = "Redis | RedisCluster"

# What RedisCluster raises when no node answers is no RedisError.
FAILURES: Final = (RedisError, RedisClusterException, OSError, EOFError)
"""What the client raises when the service fails, refuses or is out of reach."""

LOST: Final = (RedisConnectionError, RedisClusterException, OSError, EOFError)
"""What it raises when a connection was lost, or none could be made."""

# The first word of a refusal, or the class that redis-py makes of it, and what an operator can do about it.
_CURES: Final = {
    "READONLY": "it is a read-only replica: name the primary, or let redis+sentinel:// find it",
    "ReadOnlyError": "it is a read-only replica: name the primary, or let redis+sentinel:// find it",
    "OOM": "its memory is full (maxmemory): give it more",
    "OutOfMemoryError": "its memory is full (maxmemory): give it more",
    "MISCONF": "it cannot write its data to disk and refuses changes until it can",
    "BusyLoadingError": "it is still loading its data",
    "CLUSTERDOWN": "the cluster does not serve all slots",
    "ClusterDownError": "the cluster does not serve all slots",
    "CROSSSLOT": "it is a cluster: use redis+cluster://",
    "MOVED": "it is a cluster: use redis+cluster://",
    "MovedError": "it is a cluster: use redis+cluster://",
    "MasterNotFoundError": "no Sentinel names a master for this service",
    "AuthenticationError": "user name and password are missing or wrong",
    "AuthenticationWrongNumberOfArgsError": "user name and password are missing or wrong",
    "NoPermissionError": "its access list forbids this user a command that sessions need",
    "NOREPLICAS": "too few of its replicas are connected (min-replicas-to-write)",
    "MaxConnectionsError": "the client's pool is used up",
}


class Connection:
    """One client of one event loop: what `RedisStore` speaks through."""

    def __init__(
        self, client: AnyClient, *, timeout: float, owned: bool = False, sentinels: Sequence[Redis] = ()
    ) -> None:
        self.client = client
        self.cluster: bool = isinstance(client, RedisCluster)
        self._patience = patience(timeout)
        self._owned = owned
        self._sentinels = sentinels
        # A client that was given may retry, watch and authenticate in its own ways: it is asked as its users ask it.
        self._idle = None if not owned or isinstance(client, RedisCluster) else IdleConnections(client)
        # With Sentinel the client closes connections of its own accord, and takes its time for it.
        self.direct: IdleConnections | None = self._idle if not sentinels else None

    async def send(self, commands: Sequence[tuple[Any, ...]], wait: int = 0) -> list[Any]:
        """Send commands together and return their replies; a refused one is an exception in its place.

        With ``wait``, so many replicas must confirm what is written; a reply that they did not is an exception too.
        """
        if self._idle is not None:
            if not wait:
                return await self._idle.send(commands)
            *replies, count = await self._idle.send([*commands, ("WAIT", wait, self._patience)])
            return confirmed(replies, count, wait)
        if isinstance(self.client, RedisCluster):
            return await self._send_to_cluster(self.client, commands, wait)
        if len(commands) == 1 and not wait:
            try:
                return [await self.client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipeline = self.client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        if wait:
            pipeline.execute_command("WAIT", wait, self._patience)
        replies = await pipeline.execute(raise_on_error=False)
        return confirmed(replies[:-1], replies[-1], wait) if wait else replies

    async def _send_to_cluster(self, client: RedisCluster, commands: Sequence[tuple[Any, ...]], wait: int) -> list[Any]:
        await client.initialize()
        pipeline = client.pipeline()
        nodes = [node_of(client, words) for words in commands]
        for words, node in zip(commands, nodes, strict=True):
            pipeline.execute_command(*words, target_nodes=node)
        confirming = {node.name: node for node in nodes} if wait else {}  # redis-py before 8 cannot hash a node
        for node in confirming.values():
            pipeline.execute_command("WAIT", wait, self._patience, target_nodes=node)
        replies = await pipeline.execute(raise_on_error=False, allow_redirections=False)
        counts = dict(zip(confirming, replies[len(commands) :], strict=True))
        del replies[len(commands) :]
        for at, words in enumerate(commands):
            count = counts.get(nodes[at].name)
            if isinstance(replies[at], REDIRECTED):
                after = ("WAIT", wait, self._patience) if wait else ()
                replies[at], *counted = await follow(client, words, replies[at], after)
                count = counted[0] if counted else 0
            if wait:
                replies[at] = confirmed([replies[at]], count, wait)[0]
        if any(isinstance(reply, (RedisConnectionError, RedisTimeoutError)) for reply in replies):
            await self.rediscover()
        return replies

    async def scan(self, words: tuple[Any, ...], number: int) -> tuple[int, list[bytes], bool]:
        """Scan on the primary of that number; return its next cursor, the keys, and whether it is the last one."""
        if not isinstance(self.client, RedisCluster):
            async with self._released():
                reply: Any = await self.client.execute_command(*words)
            return int(reply[0]), reply[1], True
        await self.client.initialize()
        nodes = sorted(self.client.get_primaries(), key=lambda node: str(node.name))
        node = nodes[min(number, len(nodes) - 1)]
        reply = await self.client.execute_command(*words, target_nodes=node)
        after, names = reply
        return int(after[node.name] if isinstance(after, dict) else after), names, number + 1 >= len(nodes)

    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what each primary says of itself, with its name in a cluster."""
        if not isinstance(self.client, RedisCluster):
            async with self._released():
                return [("", await self.client.info("everything"))]
        await self.client.initialize()
        nodes = self.client.get_primaries()
        return [(str(node.name), await self.client.info("everything", target_nodes=node)) for node in nodes]

    async def rediscover(self) -> None:
        """Drop idle connections, and what is known of the service, so that the next use looks again."""
        if isinstance(self.client, RedisCluster):
            await self.client.aclose()  # it can be used again: the next command asks for the nodes anew
        else:
            if self._idle is not None:
                await self._idle.give_back()
            await self.client.connection_pool.disconnect(inuse_connections=False)

    def _released(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if self._idle is None else self._idle.released()

    async def close(self) -> None:
        """Close what was opened here; a client that was given stays open."""
        if not self._owned:
            return
        if self._idle is not None:
            await self._idle.give_back()
        await self.client.aclose()
        await asyncio.gather(*(one.aclose() for one in self._sentinels))


def connect(address: Address, *, timeout: float, connect_timeout: float, connections: int) -> Connection:
    """Return a client for the running loop. Nothing is connected yet.

    Retries are off: a write that timed out may have happened. The time limit of a command is set by the caller, once
    for all commands of a batch (redis-py's own costs a third of a pipeline's time), except where the client
    has to notice by itself that a node is gone.
    """
    limits: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
    }
    settings = {**limits, **address.client_settings()}
    tls = {"ssl": True} if address.tls else {}
    if address.way == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        # With reinitialize_steps the client answers every fifth slot that has moved by closing all its connections, and
        # so fails whatever is under way to other nodes. Without, it notes where the slot is now.
        own: dict[str, Any] = {"socket_timeout": timeout * 0.8, "max_connections": connections}
        own["reinitialize_steps"] = 0
        return Connection(RedisCluster(startup_nodes=nodes, **{**settings, **tls, **own}), timeout=timeout, owned=True)
    if address.way == "sentinel":
        asking = {**limits, **tls, **address.sentinel_settings(timeout)}
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)
        client = sentinel.master_for(address.service, **{**settings, **tls, "max_connections": connections})
        return Connection(client, timeout=timeout, owned=True, sentinels=sentinel.sentinels)
    kind: Any = UnixDomainSocketConnection if address.way == "unix" else SSLConnection if address.tls else TCPConnection
    pool = BlockingConnectionPool(
        max_connections=connections, timeout=timeout, connection_class=kind, **{**settings, **address.place()}
    )
    return Connection(Redis.from_pool(pool), timeout=timeout, owned=True)


def patience(timeout: float) -> int:
    """Return the milliseconds that replicas have to confirm. The server may take a tenth of a second more to notice."""
    return max(int(timeout * 1000) - 300, int(timeout * 500))


def confirmed(replies: Sequence[Any], count: Any, wanted: int) -> list[Any]:
    """Return the replies, as far as they count: with an exception in their place if too few replicas confirmed them."""
    if isinstance(count, Exception):
        return [reply if isinstance(reply, Exception) else count for reply in replies]
    if count >= wanted:
        return list(replies)
    return [reply if isinstance(reply, Exception) else _Unconfirmed(count, wanted) for reply in replies]


class _Unconfirmed(ResponseError):
    def __init__(self, count: int, wanted: int) -> None:
        super().__init__(
            f"the primary has the write and {count} of {wanted} replicas confirmed it in time; "
            "a failover now could undo it"
        )


def unavailable(error: BaseException, where: str) -> StoreUnavailable:
    """Return the error that callers see: what the service said, and what to do; no password, no value."""
    said = re.split(r", with args beginning| : <", str(error), maxsplit=1)[0][:300]
    name = "MasterNotFoundError" if isinstance(error, MasterNotFoundError) else type(error).__name__
    cure = _CURES.get(said.partition(" ")[0]) or _CURES.get(name)
    failure = StoreUnavailable(f"{where} failed: {said or name}" + (f" ({cure})" if cure else ""))
    failure.__cause__ = error
    return failure
