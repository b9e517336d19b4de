"""Sessions in Redis or Valkey: one round trip to load, one for a version-checked write.

Redis 7 or Valkey 8 and later; one server, Sentinel or Cluster; any client of ``redis.asyncio``. Where there is no event
loop the same scripts go through redis-py's blocking client, see `limpet.stores.redis.blocking`.

``DONE`` means that the primary has executed the write. What it keeps over a crash is its configuration
(``appendonly``), what a failover keeps is replication: a replica that is promoted before it received the last
writes does not know of them, so a session that was ended can come back, and one that began can be gone.
``wait_replicas`` closes this window for what starts or ends a session: it is done when so many replicas have it, or it
is an error.

The server forgets expired records by itself; its eviction must not (``maxmemory-policy noeviction`` or
``volatile-ttl``, `check` tells). Records and the index by subject:

* On one server and with Sentinel both change in one script, so they always agree.
* In a cluster they lie on different nodes and nothing is atomic over two. A subject's entry is written *before* the
  record that it points to and removed after it, so a crash between leaves an entry too many, never one too few: `find`
  skips it, and it falls out with the record's deadline. A write of somebody's session is two commands there, which go
  to their nodes at the same time unless the session is new.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, Final

from limpet._checks import interval, whole
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores._connections import Connections, Sizes
from limpet.stores._url import integer, own_options, seconds, text
from limpet.stores.redis import layout
from limpet.stores.redis.address import CLIENT_OPTIONS, parse
from limpet.stores.redis.blocking import BlockingClient
from limpet.stores.redis.checks import complaints
from limpet.stores.redis.clients import Clients
from limpet.stores.redis.connection import AnyClient
from limpet.stores.redis.failures import FAILURES, unavailable
from limpet.stores.redis.layout import Command
from limpet.stores.redis.pipeline import CONFIRMED, TOGETHER

__all__ = ["RedisStore"]

_OPTIONS: Final = {
    "prefix": text,
    "timeout": seconds,
    "connect_timeout": seconds,
    "max_connections": integer,
    "wait_replicas": integer,
}
_KEY: Final = 64


class RedisStore:
    """Keeps records as Redis strings.

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``redis+unix://``, ``redis+sentinel://host,host/service`` or
            ``redis+cluster://host,host``; ``valkey`` in the place of ``redis`` means the same.
        client: Instead of a URL, a client of your own, of ``redis.asyncio`` or for a blocking application of ``redis``.
            It stays yours: it belongs to one event loop or process, it is never closed here, and its own retries
            apply (turn them off).
        prefix: Put in front of every key. Stores that differ in it share a server and nothing else.
        timeout: Seconds from asking to the answer, waiting for a connection included.
        connect_timeout: Seconds for opening a connection.
        max_connections: Connections at most. None: 4 for one process and event loop, where all commands share one,
            with ``wait_replicas`` two, and up to four for each node of a cluster; 50 for a process without a loop,
            which opens as many as it has threads or greenlets that use sessions at the same moment.
        wait_replicas: Replicas that must have a record's creation or deletion before it counts as done.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: AnyClient | BlockingClient | None = None,
        prefix: str = "limpet:",
        timeout: float = 1.0,
        connect_timeout: float = 0.5,
        max_connections: int | None = None,
        wait_replicas: int = 0,
    ) -> None:
        if (url is None) == (client is None):
            raise ConfigurationError("RedisStore needs a URL or client=, and not both")
        interval("timeout", timeout)
        interval("connect_timeout", connect_timeout)
        whole("wait_replicas", wait_replicas, "replicas", least=0)
        self._address = None if url is None else parse(url)
        self._prefix = prefix
        self._timeout = timeout
        several = self._address is None or self._address.way == "cluster"  # calls can take more than one round trip
        self.settles_within: float | None = None if several else timeout
        self._connections = Sizes.of(max_connections, loop=4, process=50)
        self._wait = wait_replicas
        self._confirm = "confirm" if wait_replicas else ""
        self._index_base = f"{prefix}subject:"
        self._clients = Clients(
            self._address,
            client,
            where=self._where,
            timeout=timeout,
            connect_timeout=connect_timeout,
            connections=self._connections,
            wait=wait_replicas,
        )
        self._cluster = self._clients.cluster

    @classmethod
    def from_url(cls, url: str) -> RedisStore:
        """Return the store that a URL with options names, such as ``redis://host/0?prefix=app:&wait_replicas=1``."""
        place, own = own_options(url, _OPTIONS, CLIENT_OPTIONS)
        return cls(place, **own)

    def __repr__(self) -> str:
        return f"RedisStore({self._where!r}, prefix={self._prefix!r})"

    async def open(self) -> None:
        """Make the client. It connects when it is used, so that an application starts while the service is down."""
        self._clients.here()

    async def close(self) -> None:
        """Finish what is under way on this event loop, or in this process without one, and close its connections."""
        await self._clients.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None; one round trip."""
        return _found(await self._ask(("GET", self._prefix + key)))

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; one round trip (in a cluster two, for a record with a subject)."""
        return await self._create(layout.CREATE, key, record, now)

    async def create_urgently(self, key: str, record: Record, *, now: int) -> Outcome:
        """Do what `create` does, also while the server's memory is full; one round trip."""
        return await self._create(layout.CREATE_URGENTLY, key, record, now)

    async def _create(self, script: layout.Script, key: str, record: Record, now: int) -> Outcome:
        life = layout.life(record.expires, now)
        keys = [self._prefix + key]
        if record.subject is not None:
            if self._cluster:
                await self._enlist(record.subject, key, life)
            else:
                keys.append(self._index(record.subject))
        return _outcome(
            await self._run(script, keys, layout.pack_record(record), life, key, self._confirm, confirmed=True)
        )

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record of that version, or return what is there now; one round trip."""
        return await self._change(layout.UPDATE, key, record, expected, now)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given; one round trip."""
        return await self._change(layout.REPLACE, key, record, expected, now)

    async def _change(self, script: layout.Script, key: str, record: Record, expected: int, now: int) -> Outcome:
        ends = script is layout.REPLACE  # what ends a session is confirmed by replicas
        life = layout.life(record.expires, now)
        keys = [self._prefix + key]
        words = (layout.pack_record(record), life, key, _version(expected))
        if not self._cluster:
            if record.subject is not None:
                keys.append(self._index(record.subject))
            return _outcome(await self._run(script, keys, *words, self._index_base, "", confirmed=ends))
        if record.subject is None:
            return _outcome(await self._run(script, keys, *words, "", "", confirmed=ends))
        entry = layout.ENLIST_AGAIN if script is layout.REPLACE else layout.ENLIST
        reply, _ = await self._clients.here().batching.alongside(
            self._run(script, keys, *words, "", "enlist first", confirmed=ends),
            self._enlist(record.subject, key, life, entry),
        )
        if isinstance(reply, list):  # not done: the record changes hands, and the new subject's index comes first
            remaining = "" if reply[1] == b"" or life == "" else max(int(life), reply[1])
            await self._enlist(record.subject, key, remaining, entry)
            reply = await self._run(script, keys, *words, "", "", confirmed=ends)
        return _outcome(reply)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move the deadlines forward; one round trip (in a cluster two, for a record with a subject)."""
        times = accessed.to_bytes(8, "big", signed=True) + expires.to_bytes(8, "big", signed=True)
        life = layout.life(expires, now)
        base = "" if self._cluster else self._index_base
        reply = await self._run(layout.TOUCH, [self._prefix + key], times, life, key, base)
        if isinstance(reply, list):
            await self._enlist(reply[0].decode("utf-8", "surrogatepass"), key, reply[1], layout.ENLIST_AGAIN)
        return _outcome(reply)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; one round trip."""
        base = "" if self._cluster else self._index_base
        expected = b"" if version is None else _version(version)
        reply = await self._run(layout.DELETE, [self._prefix + key], expected, key, base, self._confirm, confirmed=True)
        if isinstance(reply, list):
            subject = reply[0].decode("utf-8", "surrogatepass")
            # The record is gone, which is what was asked; an entry that stays falls out with the deadline.
            with contextlib.suppress(StoreUnavailable):
                await self._ask(("ZREM", self._index(subject), key))
        return _outcome(reply)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys; one round trip, in a cluster to all its nodes at once."""
        prefix, opened = self._prefix, self._clients.here()
        asked = [("GET", prefix + key) for key in keys]
        if opened.line is not None:
            replies = await opened.line.load_all(asked)
        else:
            replies = await opened.batching.ask_all(TOGETHER, [Command(words) for words in asked])
        return [None if reply is None else _found(reply) for reply in replies]

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the records of one subject: one round trip for the index, one for the records."""
        return await self._members(subject, await self._ask(("ZRANGE", self._index(subject), 0, -1)))

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` records of one subject; one round trip for the index, one for the records.

        The page has up to 128 records more than asked for, where the server keeps a small index as a list. The server's
        cursor is good as long as the server runs: a failover between two pages can pass records over.
        """
        after, members = await self._run(layout.PAGE, [self._index(subject)], cursor or "0", max(limit, 1))
        following = after.decode()
        return await self._members(subject, members), None if following == "0" else following

    async def _members(self, subject: str, members: Sequence[bytes]) -> Sequence[tuple[str, Record]]:
        """Return the records that are in the index of a subject, and drop what is left over of others."""
        index = self._index(subject)
        keys = [member.decode() for member in members]
        found = await self.load_many(keys)
        if not self._cluster:
            # Record and entry come and go together here, so an entry without a record is one that expired. (In a
            # cluster it can also be a login that is under way.)
            gone = [key for key, record in zip(keys, found, strict=True) if record is None]
            if gone:
                await self._ask(("ZREM", index, *gone))
        pairs = zip(keys, found, strict=True)
        return [(key, record) for key, record in pairs if record is not None and record.subject == subject]

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Walk through all records with ``SCAN``: about ``limit`` keys are looked at, node after node in a cluster.

        A record that is there from the first to the last call is returned at least once, maybe twice.
        """
        number, position = (int(part) for part in (cursor or "0:0").split(":"))
        pattern = _literally(self._prefix) + "*"
        while True:
            with self._mapped():
                opened = self._clients.here()
                async with opened.within(self._timeout):
                    words = ("SCAN", position, "MATCH", pattern, "COUNT", max(limit, 1))
                    position, names, last = await opened.connection.scan(words, number)
            following = f"{number}:{position}" if position else None if last else f"{number + 1}:0"
            if names or position or last:
                break
            number += 1  # a node of the cluster that holds nothing
        keys = [name.decode("utf-8", "replace")[len(self._prefix) :] for name in names]
        keys = [key for key in dict.fromkeys(keys) if len(key) == _KEY and ":" not in key]
        pairs = zip(keys, await self.load_many(keys), strict=True)
        return [(key, record) for key, record in pairs if record is not None], following

    async def count(self) -> int:
        """Return how many keys the database has: indexes of subjects, and what others keep there, are counted too."""
        database = 0 if self._address is None else int(self._address.settings.get("db", 0))
        keys = [info.get(f"db{database}", {}).get("keys", 0) for _, info in await self._infos()]
        return sum(int(number) for number in keys)

    async def check(self) -> Sequence[str]:
        """Ask the server about itself; return what an operator should fix.

        Raises:
            StoreUnavailable: It does not answer.
        """
        return [
            f"{name}: {sentence}" if name else sentence
            for name, info in await self._infos()
            for sentence in complaints(info, connections=self._clients.most, wait_replicas=self._wait)
        ]

    async def clocks(self) -> Sequence[tuple[str, int]]:
        """Return what time it is for the server, in a cluster for each primary."""
        return [
            (name or self._where, int(info["server_time_usec"]) // 1000)
            for name, info in await self._infos()
            if "server_time_usec" in info
        ]

    async def connections(self) -> Connections:
        """Return how many connections a worker opens to a server, and how many that accepts."""
        most, process = self._clients.most, self._connections.process
        found = [
            Connections(most, int(info["maxclients"]), int(info["connected_clients"]), "maxclients", process)
            for _, info in await self._infos()
        ]
        return min(found, key=lambda one: one.limit - one.used)

    async def _infos(self) -> list[tuple[str, dict[str, Any]]]:
        with self._mapped():
            opened = self._clients.here()
            async with opened.within(self._timeout):
                return await opened.connection.infos()

    @property
    def _where(self) -> str:
        return "Redis" if self._address is None else str(self._address)

    def _index(self, subject: str) -> str:
        return self._index_base + layout.digest(subject)

    def _run(
        self, script: layout.Script, keys: Sequence[str], *arguments: bytes | str | int, confirmed: bool = False
    ) -> Awaitable[Any]:
        words = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        opened = self._clients.here()
        if confirmed and self._wait:
            return opened.batching.ask(CONFIRMED, Command(words, script))
        if opened.line is not None:
            return opened.line.ask(words, script)
        return opened.batching.ask(TOGETHER, Command(words, script))

    def _ask(self, words: tuple[Any, ...]) -> Awaitable[Any]:
        opened = self._clients.here()
        return opened.batching.ask(TOGETHER, Command(words)) if opened.line is None else opened.line.ask(words)

    async def _enlist(self, subject: str, key: str, life: int | str, script: layout.Script = layout.ENLIST) -> None:
        await self._run(script, [self._index(subject)], key, life)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise unavailable(error, self._where) from error


def _version(version: int) -> bytes:
    return version.to_bytes(8, "big", signed=True)


def _found(reply: Any) -> Record | None:
    if reply is None:
        return None
    return layout.NO_STRING if reply == 2 else layout.unpack_record(reply)


def _outcome(reply: Any) -> Outcome:
    if reply == 1 or isinstance(reply, list):
        return DONE
    if reply == 0:
        return ABSENT
    return layout.NO_STRING if reply == 2 else layout.unpack_record(reply)


def _literally(prefix: str) -> str:
    """Return the prefix as a pattern that matches only itself."""
    return "".join("\\" + letter if letter in "*?[]\\^" else letter for letter in prefix)
