"""Ways around one call at a time, for measurements that need millions of sessions in minutes.

What is stored is what the stores store: Valkey is sent the scripts of `RedisStore`, many in one go, and PostgreSQL gets
the rows of `PostgresStore` with COPY to begin with, and then the statements that `PostgresStore` sends for many callers
at once, as many in a statement, and so in a commit, as the store puts there at most. Only the way there is shorter.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import asyncpg
import hiredis

from limpet.contract import Record
from limpet.stores.postgres.sql import Statements, Table
from limpet.stores.redis import layout

__all__ = ["Bulk", "PostgresBulk", "RedisBulk", "groups"]

_pack: Any = hiredis.pack_command  # its own types know commands of one word
_PREFIX: Final = "limpet:"
_INDEX: Final = "limpet:subject:"
_PIPELINE: Final = 1_000  # commands on their way to Valkey at once
_STATEMENT: Final = 128  # callers that share a statement, as in the store
_COPIED: Final = 50_000  # rows of one COPY
_CONNECTIONS: Final = 2
# What moved to another page, because its own had no room, is counted since PostgreSQL 16.
_STATISTICS: Final = """
    SELECT pg_total_relation_size(c.oid) AS total, pg_relation_size(c.oid) AS heap, s.n_dead_tup AS dead,
           s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot, s.autovacuum_count AS vacuums,
           coalesce((to_jsonb(s) ->> 'n_tup_newpage_upd')::bigint, 0) AS moved,
           (SELECT json_object_agg(indexrelid::regclass, pg_relation_size(indexrelid))::text
            FROM pg_index WHERE indrelid = c.oid) AS indexes
    FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass($1)"""
_FIELDS: Final = ("key", "version", "payload", "accessed", "expires", "subject")


class Bulk(Protocol):
    """Writes many records at once. Whatever is not done is an error."""

    async def fill(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, the fastest way there is."""
        ...

    async def create(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, as the store does."""
        ...

    async def touch(self, keys: Iterable[str], accessed: int, expires: int, now: int) -> None:
        """Move the deadlines of records."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete records."""
        ...

    async def close(self) -> None:
        """Close what is open."""


def groups(things: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Return the things in groups of that size; the last one may be smaller."""
    left = iter(things)
    while group := list(islice(left, size)):
        yield group


class RedisBulk:
    """Sends scripts without waiting for each reply."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname or "", place.port or 0), 60)
        for script in (layout.CREATE, layout.TOUCH, layout.DELETE):
            self._socket.sendall(_pack(("SCRIPT", "LOAD", script.source)))
            assert script.sha.encode() in self._socket.recv(200)

    async def fill(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, the fastest way there is."""
        await self.create(records, now)

    async def create(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, as the store does."""
        sha = layout.CREATE.sha

        def command(one: tuple[str, Record]) -> tuple[Any, ...]:
            key, record = one
            life, value = layout.life(record.expires, now), layout.pack_record(record)
            if record.subject is None:
                return ("EVALSHA", sha, 1, _PREFIX + key, value, life, key, "")
            return ("EVALSHA", sha, 2, _PREFIX + key, _INDEX + layout.digest(record.subject), value, life, key, "")

        self._send(records, command)

    async def touch(self, keys: Iterable[str], accessed: int, expires: int, now: int) -> None:
        """Move the deadlines of records."""
        times = accessed.to_bytes(8, "big", signed=True) + expires.to_bytes(8, "big", signed=True)
        life, sha = layout.life(expires, now), layout.TOUCH.sha
        self._send(keys, lambda key: ("EVALSHA", sha, 1, _PREFIX + key, times, life, key, _INDEX))

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete records."""
        sha = layout.DELETE.sha
        self._send(keys, lambda key: ("EVALSHA", sha, 1, _PREFIX + key, b"", key, _INDEX, ""))

    def memory(self) -> tuple[int, int]:
        """Return the bytes that the server has given out, and those that are resident."""
        self._socket.sendall(_pack(("INFO", "memory")))
        with self._socket.makefile("rb") as reply:
            said = dict(line.partition(b":")[::2] for line in reply.read(int(reply.readline()[1:]) + 2).splitlines())
        return int(said[b"used_memory"]), int(said[b"used_memory_rss"])

    async def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, things: Iterable[Any], command: Callable[[Any], tuple[Any, ...]]) -> None:
        """Send a command for each; the replies to a group are read when the next one is on its way."""
        waiting = 0
        for group in groups(things, _PIPELINE):
            self._socket.sendall(b"".join(_pack(command(one)) for one in group))
            self._read(waiting)
            waiting = len(group)
        self._read(waiting)

    def _read(self, replies: int) -> None:
        """Read so many replies, each of which has to say "done"."""
        left = 4 * replies
        while left:
            read = self._socket.recv(left)
            if not read or read.strip(b":1\r\n"):
                raise RuntimeError(f"Valkey did not do what it was told: {read[:200]!r}")
            left -= len(read)


class PostgresBulk:
    """Writes rows with COPY, and sends what the store would send over two connections."""

    def __init__(self, connections: Sequence[Any], table: Table) -> None:
        self._connections = connections
        self._table = table
        self._sql = Statements(table)

    @classmethod
    async def open(cls, url: str, schema: str, table: str, fillfactor: int | None = None) -> PostgresBulk:
        """Connect to a database that has the table already; change the fill factor if one is given."""
        connections = [await asyncpg.connect(url, command_timeout=600) for _ in range(_CONNECTIONS)]
        there = Table(schema=schema, table=table)
        if fillfactor is not None:
            await connections[0].execute(f"ALTER TABLE {there.name} SET (fillfactor = {fillfactor})")
        return cls(connections, there)

    async def fill(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, the fastest way there is."""

        async def copy(connection: Any, group: list[Any]) -> None:
            await connection.copy_records_to_table(
                self._table.table, schema_name=self._table.schema, columns=_FIELDS, records=group
            )

        await self._share(groups(map(_row, records), _COPIED), copy)

    async def create(self, records: Iterable[tuple[str, Record]], now: int) -> None:
        """Write records that are not there yet, as the store does."""
        sql = self._sql.serving("create", 0)

        async def create(connection: Any, group: list[Any]) -> None:
            found = await connection.fetch(sql, *map(list, zip(*group, strict=True)))
            assert sum(row["done"] for row in found) == len(group)

        await self._share(groups(map(_row, records), _STATEMENT), create)

    async def touch(self, keys: Iterable[str], accessed: int, expires: int, now: int) -> None:
        """Move the deadlines of records."""
        sql = self._sql.serving("touch", 0)

        async def touch(connection: Any, group: list[Any]) -> None:
            found = await connection.fetch(sql, group, [accessed] * len(group), [expires] * len(group))
            assert len(found) == len(group)

        await self._share(groups(map(bytes.fromhex, keys), _STATEMENT), touch)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete records."""
        sql = self._sql.serving("delete", 0)

        async def delete(connection: Any, group: list[Any]) -> None:
            found = await connection.fetch(sql, group, [None] * len(group))
            assert sum(row["done"] for row in found) == len(group)

        await self._share(groups(map(bytes.fromhex, keys), _STATEMENT), delete)

    async def statistics(self) -> Any:
        """Return what the server says of the table, with all that was done over these connections."""
        for connection in self._connections:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        return await self._connections[0].fetchrow(_STATISTICS, self._table.name)

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.close()

    async def _share(self, work: Iterator[list[Any]], do: Callable[[Any, list[Any]], Any]) -> None:
        """Do all the work: each connection takes the next group when it is done with one."""

        async def take(connection: Any) -> None:
            for group in work:
                await do(connection, group)

        await asyncio.gather(*map(take, self._connections))


def _row(one: tuple[str, Record]) -> tuple[Any, ...]:
    key, (version, payload, accessed, expires, subject) = one
    return bytes.fromhex(key), version, payload, accessed, expires, None if subject is None else subject.encode()
