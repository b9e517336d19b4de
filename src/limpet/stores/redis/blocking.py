"""The same service through redis-py's blocking client, for threads and greenlets.

redis-py opens, authenticates and finds the primary. Each call has a connection of its own as long as it lasts, speaks
on it directly (`limpet.stores.redis.direct`), and one that idles stays here. Where the client was given, is of a
cluster, or hiredis is not installed, redis-py's pool and its parser are used. How many connections there are is bounded
here, since not every pool of redis-py lets a caller wait.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import Connection as TCPConnection
from redis.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from limpet.errors import StoreUnavailable
from limpet.stores.redis.address import Address
from limpet.stores.redis.connection import confirmed, patience
from limpet.stores.redis.direct import DirectConnection, packer
from limpet.stores.redis.redirection import PAUSE, REDIRECTED, TURNS, key_of

__all__ = ["BlockingClient", "BlockingConnection", "connect_blocking"]

BlockingClient: TypeAlias = "Redis | RedisCluster"

_FRESH: Final = 1.0
"""Seconds after its last reply in which a connection is not asked whether it is good still: a load that fails on one is
sent again, and a write is tried twice."""


class BlockingConnection:
    """One client of one process: what `RedisStore` speaks through where there is no event loop.

    Its methods are coroutines that never wait for a loop, as those of a store are.
    """

    def __init__(
        self,
        client: BlockingClient,
        *,
        timeout: float,
        connections: int,
        owned: bool = False,
        sentinels: Sequence[Redis] = (),
    ) -> None:
        self.client = client
        self.cluster: bool = isinstance(client, RedisCluster)
        self._timeout = timeout
        self._patience = patience(timeout)
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()  # in C, unlike the semaphores of the library
        for _ in range(connections):
            self._places.put(None)
        self._owned = owned
        self._sentinels = sentinels
        self._pack = packer()
        direct = owned and not self.cluster and self._pack is not None
        self._idle: list[DirectConnection] | None = [] if direct else None  # None: they are in the pool

    async def send(self, commands: Sequence[tuple[Any, ...]], wait: int = 0) -> list[Any]:
        """Send commands together and return their replies; a refused one is an exception in its place.

        With ``wait``, so many replicas must confirm what is written; a reply that they did not is an exception too.
        """
        self._enter()
        try:
            client: Any = self.client
            return self._send_to_cluster(client, commands, wait) if self.cluster else self._send(client, commands, wait)
        finally:
            self._places.put(None)

    @property
    def is_direct(self) -> bool:
        """Whether `exchange` works here: redis-py's own calls are not needed."""
        return self._idle is not None

    def exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Do what `send` does without ``wait``, in one step, where connections are spoken on directly."""
        pool, idle = self.client.connection_pool, self._idle  # type: ignore[union-attr]
        assert idle is not None
        self._enter()
        try:
            return self._exchange_directly(pool, idle, commands)
        finally:
            self._places.put(None)

    async def scan(self, words: tuple[Any, ...], number: int) -> tuple[int, list[bytes], bool]:
        """Scan on the primary of that number; return its next cursor, the keys, and whether it is the last one."""
        with self._place():
            nodes = self._primaries()
            _, client = nodes[min(number, len(nodes) - 1)]
            (reply,) = self._exchange(client, [words])
        if isinstance(reply, Exception):
            raise reply
        return int(reply[0]), reply[1], number + 1 >= len(nodes)

    async def infos(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what each primary says of itself, with its name in a cluster."""
        with self._place():
            found: Any = [(name, client.info("everything")) for name, client in self._primaries()]
        return found  # type: ignore[no-any-return]

    async def rediscover(self) -> None:
        """Drop idle connections, and what is known of the service, so that the next use looks again."""
        if isinstance(self.client, RedisCluster):
            self.client.nodes_manager.initialize()
        else:
            self._give_back()
            self.client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close what was opened here; a client that was given stays open."""
        if not self._owned:
            return
        self._give_back()
        self.client.close()
        for one in self._sentinels:
            one.close()

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        self._enter()
        try:
            yield
        finally:
            self._places.put(None)

    def _enter(self) -> None:
        """Wait until there may be another connection."""
        try:
            self._places.get(timeout=self._timeout)
        except queue.Empty:
            raise StoreUnavailable(
                f"all connections to Redis were in use for {self._timeout:g} s: raise max_connections, or the timeout",
                waited=True,
            ) from None

    def _send(self, client: Redis, commands: Sequence[tuple[Any, ...]], wait: int) -> list[Any]:
        if not wait:
            return self._exchange(client, commands)
        *replies, count = self._exchange(client, [*commands, ("WAIT", wait, self._patience)])
        return confirmed(replies, count, wait)

    def _exchange(self, client: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands over one connection and read their replies."""
        pool, pack, idle = client.connection_pool, self._pack, self._idle
        if idle is not None:
            return self._exchange_directly(pool, idle, commands)
        connection = pool.get_connection()
        replies: list[Any] = []
        try:
            packed = connection.pack_commands(commands) if pack is None else [b"".join(map(pack, commands))]
            connection.send_packed_command(packed, check_health=False)
            for _ in commands:
                try:
                    replies.append(connection.read_response())
                except ResponseError as error:
                    replies.append(error)
        except BaseException:  # of a greenlet that is killed, too: the replies that are still to come are not read
            self._discard(connection, pool)
            raise
        pool.release(connection)
        return replies

    def _exchange_directly(
        self, pool: Any, idle: list[DirectConnection], commands: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        direct = self._take(pool, idle)
        try:
            replies = direct.exchange(commands)
        except BaseException:
            self._discard(direct.connection, pool)
            raise
        direct.since = time.monotonic()
        idle.append(direct)
        return replies

    def _take(self, pool: Any, idle: list[DirectConnection]) -> DirectConnection:
        """Return a connection on which nothing is under way."""
        while idle:
            try:
                direct = idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - direct.since < _FRESH:
                return direct
            try:
                fit = not direct.connection.can_read()  # its end, or a reply that is no longer waited for
            except (RedisError, OSError):
                fit = False
            except BaseException:
                self._discard(direct.connection, pool)
                raise
            if fit:
                return direct
            self._discard(direct.connection, pool)
        return DirectConnection(pool.get_connection())

    def _discard(self, connection: Any, pool: Any) -> None:
        """Close a connection that failed, and let the pool have those that idle: it knows where the primary is now."""
        try:
            connection.disconnect()
        finally:
            pool.release(connection)
        self._give_back()

    def _give_back(self) -> None:
        """Let the pool have the connections that idle."""
        idle, client = self._idle, self.client
        while idle and isinstance(client, Redis):
            try:
                client.connection_pool.release(idle.pop().connection)
            except IndexError:  # another thread was faster
                break

    def _primaries(self) -> list[tuple[str, Redis]]:
        client = self.client
        if not isinstance(client, RedisCluster):
            return [("", client)]
        nodes = sorted(client.get_primaries(), key=lambda node: str(node.name))
        return [(str(node.name), client.get_redis_connection(node)) for node in nodes]

    # -- a cluster

    def _send_to_cluster(self, client: RedisCluster, commands: Sequence[tuple[Any, ...]], wait: int) -> list[Any]:
        replies: list[Any] = [None] * len(commands)
        by_node: dict[str, tuple[ClusterNode, list[int]]] = {}
        for at, words in enumerate(commands):
            node = _node_of(client, words)
            by_node.setdefault(str(node.name), (node, []))[1].append(at)
        for node, places in by_node.values():
            words_of = [commands[at] for at in places]
            try:
                found = self._send(client.get_redis_connection(node), words_of, wait)
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                found = [error] * len(places)
            for at, reply in zip(places, found, strict=True):
                replies[at] = self._follow(client, commands[at], reply, wait) if _is_redirected(reply) else reply
        if any(isinstance(reply, (RedisConnectionError, RedisTimeoutError, OSError)) for reply in replies):
            with contextlib.suppress(Exception):  # the next use fails with what is wrong, if that lasts
                client.nodes_manager.initialize()
        return replies

    def _follow(self, client: RedisCluster, words: Sequence[Any], refusal: Any, wait: int) -> Any:
        """Send a command where its refusal says; see `limpet.stores.redis.redirection`."""
        reply: Any = refusal
        for turn in range(TURNS):
            if not _is_redirected(reply):
                break
            if turn > 2 or isinstance(reply, TryAgainError):
                time.sleep(PAUSE)
            asking = isinstance(reply, AskError)
            node = _node_of(client, words) if isinstance(reply, TryAgainError) else _named(client, reply)
            commands = [("ASKING",)] * asking + [tuple(words)]
            try:
                replies = self._exchange(client.get_redis_connection(node), [*commands, *_waits(wait, self._patience)])
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                return error
            reply = replies[len(commands) - 1]
            if wait and not _is_redirected(reply):
                (reply,) = confirmed([reply], replies[-1], wait)
        return reply


def connect_blocking(
    address: Address, *, timeout: float, connect_timeout: float, connections: int
) -> BlockingConnection:
    """Return a client for this process. Nothing is connected yet, but in a cluster, which is asked for its nodes.

    Retries are off: a write that timed out may have happened.
    """
    limits: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    settings = {**limits, **address.client_settings()}
    tls = {"ssl": True} if address.tls else {}
    words: dict[str, Any] = {"timeout": timeout, "connections": connections, "owned": True}
    room = {"max_connections": connections + 1}  # one for what is asked of the client itself
    if address.way == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        cluster = _Cluster(startup_nodes=nodes, reinitialize_steps=0, **{**settings, **tls})
        return BlockingConnection(cluster, **words)
    if address.way == "sentinel":
        asking = {**limits, **tls, **address.sentinel_settings(timeout)}
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)
        client = sentinel.master_for(address.service, **{**settings, **tls, **room})
        return BlockingConnection(client, sentinels=sentinel.sentinels, **words)
    kind: Any = UnixDomainSocketConnection if address.way == "unix" else SSLConnection if address.tls else TCPConnection
    pool = ConnectionPool(connection_class=kind, **{**settings, **room, **address.place()})
    return BlockingConnection(Redis.from_pool(pool), **words)


class _Cluster(RedisCluster):
    """A client that does not ask the primary of the first slot for the table of all commands before anything else.

    That node may be the one that hangs or is gone. To which node a command goes is said with it.
    """

    def command(self, **kwargs: Any) -> Any:
        """Return no commands."""
        return {}


def _waits(wait: int, milliseconds: int) -> list[tuple[Any, ...]]:
    return [("WAIT", wait, milliseconds)] if wait else []


def _is_redirected(reply: Any) -> bool:
    return isinstance(reply, REDIRECTED)


def _node_of(client: RedisCluster, words: Sequence[Any]) -> ClusterNode:
    """Return the node that has the key of a command, as far as the client knows."""
    node: ClusterNode | None = client.get_node_from_key(key_of(words))
    if node is None:
        raise ClusterDownError("the cluster names no node for this key")
    return node


def _named(client: RedisCluster, refusal: AskError | MovedError) -> ClusterNode:
    """Return the node that a refusal names; the client takes notice of where a slot is now."""
    if isinstance(refusal, MovedError):
        client.nodes_manager.move_slot(refusal)
    node: ClusterNode | None = client.get_node(host=refusal.host, port=refusal.port)
    if node is None:  # it has joined the cluster since the client looked
        client.nodes_manager.initialize()
        node = client.get_node(host=refusal.host, port=refusal.port)
    if node is None:
        raise ClusterDownError("a slot is on a node that the cluster does not name")
    return node
