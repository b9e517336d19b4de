"""From an address to a redis-py client, and what is asked of it on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection as TCPConnection
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from limpet.stores.redis.address import Address
from limpet.stores.redis.direct import packer
from limpet.stores.redis.redirection import REDIRECTED, follow, node_of
from limpet.stores.redis.shared import SharedConnection

__all__ = ["AnyClient", "Connection", "confirmed", "connect", "patience"]

AnyClient: TypeAlias = "Redis | RedisCluster"


class Connection:
    """One client of one event loop: what `RedisStore` speaks through.

    Args:
        client: redis-py's.
        where: The service, for messages.
        timeout: Seconds from asking to the answer.
        connections: How many there may be, if the client was made here. None: it was given. It may retry, watch and
            authenticate in its own ways, so it is asked as its users ask it.
        sentinels: Clients that belong to it, and are closed with it.

    Attributes:
        shared: The connection that all commands share. None: the client is asked, as it was given, is of a cluster, or
            hiredis is not installed.
    """

    def __init__(
        self,
        client: AnyClient,
        *,
        where: str,
        timeout: float,
        connections: int | None = None,
        sentinels: Sequence[Redis] = (),
    ) -> None:
        self.client = client
        self.cluster: bool = isinstance(client, RedisCluster)
        self._patience = patience(timeout)
        self._owned = connections is not None
        self._sentinels = sentinels
        self.shared: SharedConnection | None = None
        self._confirming: SharedConnection | None = None
        pack = packer()
        if connections is not None and pack is not None and not isinstance(client, RedisCluster):
            self.shared = self._confirming = SharedConnection(
                client.connection_pool, pack, where=where, timeout=timeout
            )
            if connections > 1:  # what replicas must confirm holds up what comes after it on a connection
                self._confirming = SharedConnection(client.connection_pool, pack, where=where, timeout=timeout)

    async def send(self, commands: Sequence[tuple[Any, ...]], wait: int = 0) -> list[Any]:
        """Send commands together and return their replies; a refused one is an exception in its place.

        With ``wait``, so many replicas must confirm what is written; a reply that they did not is an exception too.
        """
        if self._confirming is not None:
            if not wait:
                return await self._confirming.exchange(commands)
            *replies, count = await self._confirming.exchange([*commands, ("WAIT", wait, self._patience)])
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
            reply: Any = await self._ask(words)
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
            said = await self._ask(("INFO", "everything"))
            read: Any = self.client.response_callbacks["INFO"]
            return [("", said if isinstance(said, dict) else read(said))]
        await self.client.initialize()
        nodes = self.client.get_primaries()
        return [(str(node.name), await self.client.info("everything", target_nodes=node)) for node in nodes]

    async def rediscover(self) -> None:
        """Drop idle connections, and what is known of the service, so that the next use looks again."""
        if isinstance(self.client, RedisCluster):
            await self.client.aclose()  # it can be used again: the next command asks for the nodes anew
        else:
            if self._confirming is not None:
                self._confirming.retire()
            await self.client.connection_pool.disconnect(inuse_connections=False)

    async def _ask(self, words: tuple[Any, ...]) -> Any:
        """Return the reply to one command, to a client that is not of a cluster."""
        if self.shared is None:
            return await self.client.execute_command(*words)
        (reply,) = await self.shared.exchange([words])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def close(self) -> None:
        """Close what was opened here; a client that was given stays open."""
        if not self._owned:
            return
        for shared in (self.shared, self._confirming):
            if shared is not None:
                await shared.close()
        await self.client.aclose()
        await asyncio.gather(*(one.aclose() for one in self._sentinels))


def connect(address: Address, *, timeout: float, connect_timeout: float, connections: int) -> Connection:
    """Return a client for the running loop. Nothing is connected yet.

    Retries are off: a write that timed out may have happened. A command's time limit is the caller's, as redis-py's
    own costs a third of a pipeline's time, except where the client has to notice by itself that a node is gone.
    """
    limits: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
    }
    settings = {**limits, **address.client_settings()}
    words: dict[str, Any] = {"where": str(address), "timeout": timeout, "connections": connections}
    tls = {"ssl": True} if address.tls else {}
    if address.way == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        # With reinitialize_steps the client answers every fifth slot that has moved by closing all its connections, and
        # so fails whatever is under way to other nodes. Without, it notes where the slot is now.
        own: dict[str, Any] = {"socket_timeout": timeout * 0.8, "max_connections": connections}
        own["reinitialize_steps"] = 0
        cluster: Any = RedisCluster(startup_nodes=nodes, **{**settings, **tls, **own})
        cluster.commands_parser = _NoCommands()
        return Connection(cluster, **words)
    if address.way == "sentinel":
        asking = {**limits, **tls, **address.sentinel_settings(timeout)}
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)
        client = sentinel.master_for(address.service, **{**settings, **tls, "max_connections": connections})
        return Connection(client, sentinels=sentinel.sentinels, **words)
    kind: Any = UnixDomainSocketConnection if address.way == "unix" else SSLConnection if address.tls else TCPConnection
    pool = BlockingConnectionPool(
        max_connections=connections, timeout=timeout, connection_class=kind, **{**settings, **address.place()}
    )
    return Connection(Redis.from_pool(pool), **words)


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


class _NoCommands:
    """Is there in place of the table of all commands, which redis-py asks the primary of the first slot for before
    anything else. That node may be the one that hangs or is gone. To which node a command goes is said with it."""

    async def initialize(self, node: ClusterNode) -> None:
        """Ask for nothing."""


class _Unconfirmed(ResponseError):
    def __init__(self, count: int, wanted: int) -> None:
        super().__init__(
            f"the primary has the write and {count} of {wanted} replicas confirmed it in time; "
            "a failover now could undo it"
        )
