"""Sessions in PostgreSQL: one statement to load, one for a version-checked write.

PostgreSQL 12 and later, through asyncpg or, where there is no event loop, through psycopg 3. ``DONE`` means that the
transaction is committed, and with the server's own default
(``synchronous_commit = on``) that it is on disk.

When the server is restarted, or another one takes its place, the connections that idle are given up, and what was
asked is asked once more: see `limpet.stores.postgres.execution`. What a caller gives up is cancelled at the server.

Concurrent commands of one kind share a statement over arrays, and so a round trip, and writes share a commit.
Nothing is left in a database session, so a pooler may give every transaction another one: behind PgBouncer in
transaction mode say ``pgbouncer=True``, which turns named statements off (a statement is then two round trips).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from limpet._checks import flag, interval
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.errors import ConfigurationError
from limpet.stores._connections import Connections as Counted
from limpet.stores._connections import Sizes
from limpet.stores._url import boolean, integer, own_options, seconds, text
from limpet.stores.postgres import checks
from limpet.stores.postgres.clients import Clients, require_driver
from limpet.stores.postgres.dsn import read
from limpet.stores.postgres.errors import Explains
from limpet.stores.postgres.execution import ALONE, LOAD, record_of
from limpet.stores.postgres.sql import Statements, Table

__all__ = ["PostgresStore"]

_OPTIONS: Final = {
    "schema": text,
    "table": text,
    "create": boolean,
    "pgbouncer": boolean,
    "timeout": seconds,
    "connect_timeout": seconds,
    "max_connections": integer,
}
_MANY: Final = 250  # keys that one caller may ask for in one statement
_COUNTED: Final = 50_000  # rows of a table that are counted; of a larger one the estimate is taken


class PostgresStore:
    """Keeps records in a table.

    Args:
        url: ``postgresql://user:password@host:5432/database``, with any parameter that the driver understands. Of
            several hosts, ``...@one:5432,two:5432/database``, the one that takes writes is used.
        pool: Instead of a URL, a pool of your own: asyncpg's, or in a blocking application that of ``psycopg_pool``. It
            stays yours: it belongs to one event loop or process, it is never closed here, and its way to clean
            connections (with asyncpg a round trip after each statement) applies.
        schema: The schema.
        table: The table in it, and the beginning of its indexes' names.
        create: Create schema and table on first use, and bring them up to date. If False,
            run `migrations_sql` yourself.
        pgbouncer: True behind a pooler that gives every transaction another database session.
        timeout: Seconds from asking to the answer, waiting for a connection included. The server gets it as
            ``statement_timeout``, and three quarters of it as ``lock_timeout``, unless the URL sets them.
        connect_timeout: Seconds for opening a connection.
        max_connections: Connections at most. None: 4 for one process and event loop, where concurrent commands share
            them; 10 for a process without a loop, which opens as many as it has threads that use sessions at the same
            moment.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        pool: Any = None,
        schema: str = "limpet",
        table: str = "sessions",
        create: bool = True,
        pgbouncer: bool = False,
        timeout: float = 1.0,
        connect_timeout: float = 0.9,
        max_connections: int | None = None,
    ) -> None:
        if (url is None) == (pool is None):
            raise ConfigurationError("PostgresStore needs a URL or pool=, and not both")
        flag("create", create)
        flag("pgbouncer", pgbouncer)
        interval("timeout", timeout)
        interval("connect_timeout", connect_timeout)
        self._table = Table(schema=schema, table=table)
        self._sql = Statements(self._table)
        self.settles_within: float | None = (
            timeout if pool is None else None
        )  # what it costs to give a connection back is the pool's
        self._connections = Sizes.of(max_connections, loop=4, process=10)
        require_driver()
        dsn = None if url is None else read(url)
        place, secrets = ("", ()) if dsn is None else (f" at {dsn.place}", dsn.secrets)
        self._explain = Explains(f"PostgreSQL{place}", self._table.names, secrets)
        self._clients = Clients(
            url,
            dsn,
            pool,
            sql=self._sql,
            script=self._table.migrations_sql() if create else None,
            explain=self._explain,
            pgbouncer=pgbouncer,
            timeout=timeout,
            connect_timeout=connect_timeout,
            most=self._connections,
        )

    @classmethod
    def from_url(cls, url: str) -> PostgresStore:
        """Return the store that a URL with options names, such as ``postgresql://host/app?schema=web&pgbouncer=1``."""
        read(url)  # before it is written anew
        place, own = own_options(url, _OPTIONS)
        return cls(place, **own)

    def __repr__(self) -> str:
        return f"PostgresStore({self._explain.where!r}, table={self._table.name!r})"

    def migrations_sql(self) -> str:
        """Return the script that creates the schema or brings it up to date."""
        return self._table.migrations_sql()

    async def migrate(self) -> None:
        """Run `migrations_sql`, whatever ``create`` says; a table that is up to date takes no right to change it."""
        await self._clients.here().migrate(self.migrations_sql())

    async def open(self) -> None:
        """Connect, and create what is missing."""
        await self._clients.here().ready()

    async def close(self) -> None:
        """Finish what is under way on this event loop, or in this process without one, and close its connections."""
        await self._clients.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None; one statement."""
        (found,) = await self._ask(LOAD, bytes.fromhex(key))
        return found  # type: ignore[no-any-return]

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys; one statement."""
        names = [bytes.fromhex(key) for key in keys]
        if len(names) <= _MANY:
            return await self._ask(LOAD, *names) if names else ()
        parts = [tuple(names[start : start + _MANY]) for start in range(0, len(names), _MANY)]
        found = await self._clients.here().batching.ask_all(LOAD, parts)
        return [record for part in found for record in part]

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; one statement."""
        while True:
            outcome = await self._ask("create", *_values(key, record))
            if outcome is not ABSENT:
                return outcome  # type: ignore[no-any-return]
            # Somebody else's create was committed after this statement had begun, so it saw only that the key is
            # taken. The next look shows by whom, and that may be an attempt of ours whose reply was lost; if the record
            # is gone again, the key is free.
            if (there := await self.load(key)) is not None:
                return DONE if there.version == record.version else there

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record of that version, or return what is there now; one statement."""
        return await self._ask("update", *_values(key, record), expected)  # type: ignore[no-any-return]

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given; one statement."""
        return await self._ask("replace", *_values(key, record), expected)  # type: ignore[no-any-return]

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move the deadlines forward; one statement."""
        return await self._ask("touch", bytes.fromhex(key), accessed, expires)  # type: ignore[no-any-return]

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; one statement."""
        return await self._ask("delete", bytes.fromhex(key), version)  # type: ignore[no-any-return]

    async def sweep(self, now: int, limit: int) -> int:
        """Delete some expired records, passing over those that somebody is just writing."""
        status = await self._ask(ALONE, "execute", self._sql.sweep, now, limit)
        return int(status.rpartition(" ")[2])

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the records of one subject; one statement, over an index."""
        rows = await self._ask(ALONE, "fetch", self._sql.find, _encoded(subject))
        return [(row["key"].hex(), record_of(row)) for row in rows]

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys of that subject, and the last of these keys or None."""
        wanted, after, limit = _encoded(subject), bytes.fromhex(cursor or ""), max(limit, 1)
        rows = await self._ask(ALONE, "fetch", self._sql.find_page, wanted, after, limit)
        found = [(row["key"].hex(), record_of(row)) for row in rows if row["subject"] == wanted]  # not its digest alone
        return found, rows[-1]["key"].hex() if len(rows) == limit else None

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Walk through all records in the order of their keys."""
        rows = await self._ask(ALONE, "fetch", self._sql.scan, bytes.fromhex(cursor or ""), max(limit, 1))
        found = [(row["key"].hex(), record_of(row)) for row in rows]
        return found, found[-1][0] if len(found) == max(limit, 1) else None

    async def count(self) -> int:
        """Return how many records there are: of a large table, what the last vacuum or analysis found."""
        rows = await self._ask(ALONE, "fetch", self._sql.estimated, self._table.name)
        if not rows or rows[0]["n"] < _COUNTED:
            rows = await self._ask(ALONE, "fetch", self._sql.counted)
        return int(rows[0]["n"])

    async def check(self) -> Sequence[str]:
        """Ask the server about itself; return what an operator should fix.

        Raises:
            StoreUnavailable: It does not answer, or the table is missing.
        """
        state = (await self._ask(ALONE, "fetch", checks.QUESTION, self._table.name))[0]
        if state["persistence"] is None:
            raise self._explain.missing()
        (version,) = (await self._ask(ALONE, "fetch", self._sql.version))[0].values()
        return list(checks.complaints(state, version=version, connections=self._connections.here))

    async def clocks(self) -> Sequence[tuple[str, int]]:
        """Return what time it is for the server."""
        return [(self._explain.where, int((await self._ask(ALONE, "fetch", checks.CLOCK))[0]["now"]))]

    async def connections(self) -> Counted:
        """Return how many connections a worker opens, and how many the server accepts; superusers' own do not count."""
        state = (await self._ask(ALONE, "fetch", checks.CONNECTIONS))[0]
        here, process = self._connections.here, self._connections.process
        return Counted(here, state["accepted"], state["connected"], "max_connections", process)

    async def _ask(self, kind: str, *values: Any) -> Any:
        return await self._clients.here().batching.ask(kind, values)


def _encoded(subject: str) -> bytes:
    return subject.encode("utf-8", "surrogatepass")


def _values(key: str, record: Record) -> tuple[Any, ...]:
    version, payload, accessed, expires, subject = record
    return bytes.fromhex(key), version, payload, accessed, expires, None if subject is None else _encoded(subject)
