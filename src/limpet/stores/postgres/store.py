"""Sessions in PostgreSQL: one statement to load, one for a version-checked write.

PostgreSQL 12 and later through asyncpg. ``DONE`` means that the transaction is committed, and with the server's own
default (``synchronous_commit = on``) that it is on disk.

Concurrent commands of one kind share a statement over arrays, and so a round trip, and writes share a commit.
Nothing is left in a database session, so a pooler may give every transaction another one: behind PgBouncer in
transaction mode say ``pgbouncer=True``, which turns named statements off (a statement is then two round trips).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from limpet._core.protocols import ABSENT, DONE, Outcome
from limpet._core.record import Record
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores._aio.batching import Batching
from limpet.stores._aio.per_loop import PerLoop
from limpet.stores._connections import Connections
from limpet.stores._url import boolean, integer, options, seconds, text
from limpet.stores.postgres import checks
from limpet.stores.postgres.sql import MIGRATIONS, Statements, Table

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
_MIGRATING: Final = 30.0  # seconds; nobody waits so long for it, and it goes on when they gave up
_IDLE: Final = 300.0  # seconds after which an unused connection is not trusted: firewalls forget connections in silence
_MANY: Final = 250  # keys that one caller may ask for in one statement
_GOODBYE: Final = 0.5  # seconds for taking leave of the server
# InternalClientError is neither a PostgresError nor an InterfaceError.
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
_NO_TABLE: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


class _Open:
    """What one event loop has open.

    `Batching` bounds how many connections are in use, so those of a URL wait in a list for the next
    statement. (asyncpg's pool costs 60 us for each acquire and release, two thirds of what a statement costs, and
    bounds what is bounded already.) A pool that was given is used as a pool.
    """

    batching: Batching[tuple[Any, ...], Any]

    def __init__(self, connect: Any, pool: Any) -> None:
        self.getting_ready: asyncio.Task[None] | None = None
        self._connect = connect
        self._pool = pool
        self._idle: list[tuple[Any, float]] = []

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection. It is thrown away when anything but an answer comes out of the block."""
        connection = await self._borrow()
        try:
            yield connection
        except asyncpg.PostgresError:
            await self._give_back(connection)  # an answer like any other: the connection is in order
            raise
        except BaseException:
            connection.terminate()  # nobody will read what is still to come on it
            if self._pool is not None:
                await self._pool.release(connection)
            raise
        await self._give_back(connection)

    async def _borrow(self) -> Any:
        if self._pool is not None:
            return await self._pool.acquire()
        oldest = asyncio.get_running_loop().time() - _IDLE
        while self._idle:
            connection, since = self._idle.pop()
            if since >= oldest and not connection.is_closed():
                return connection
            connection.terminate()
        return await self._connect()

    async def _give_back(self, connection: Any) -> None:
        if self._pool is not None:
            await self._pool.release(connection)
        elif not connection.is_closed():
            self._idle.append((connection, asyncio.get_running_loop().time()))

    def forget(self) -> None:
        """Throw idle connections away, because one of them turned out to be dead."""
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.terminate()

    async def close(self) -> None:
        """Finish what is under way and close the connections; those of a given pool stay."""
        await self.batching.drain()
        if self.getting_ready is not None:
            self.getting_ready.cancel()
            await asyncio.wait([self.getting_ready])
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_goodbye(connection) for connection, _ in idle))


async def _goodbye(connection: Any) -> None:
    try:
        await connection.close(timeout=_GOODBYE)
    except _FAILURES:
        connection.terminate()  # it is gone, or frozen: that must not keep us from ending


class PostgresStore:
    """Keeps records in a table.

    Args:
        url: ``postgresql://user:password@host:5432/database``, with any parameter that asyncpg understands.
        pool: Instead of a URL, a pool of your own. It stays yours: it belongs to one event loop, it is never closed
            here, and its way to clean connections (a round trip after each statement) applies.
        schema: The schema.
        table: The table in it, and the beginning of its indexes' names.
        create: Create schema and table on first use, and bring them up to date. If False,
            run `migrations_sql` yourself.
        pgbouncer: True behind a pooler that gives every transaction another database session.
        timeout: Seconds from asking to the answer, waiting for a connection included.
        connect_timeout: Seconds for opening a connection.
        max_connections: Connections of one process and event loop at most. Concurrent commands share them.
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
        max_connections: int = 4,
    ) -> None:
        if (url is None) == (pool is None):
            raise ConfigurationError("PostgresStore needs a URL or pool=, and not both")
        if timeout <= 0 or connect_timeout <= 0 or max_connections < 1:
            raise ConfigurationError("timeout and connect_timeout are seconds over 0, max_connections is at least 1")
        self._url = url
        self._pool = pool
        self._table = Table(schema=schema, table=table)
        self._sql = Statements(self._table)
        self._create = create
        self._pgbouncer = pgbouncer
        self._timeout = timeout
        self.settles_within = timeout if pool is None else None  # what it costs to give a connection back is the pool's
        self._connect_timeout = connect_timeout
        self._connections = max_connections
        self._where = _described(url)
        self._owner: asyncio.AbstractEventLoop | None = None
        self._opened: PerLoop[_Open] = PerLoop(self._make, _Open.close)

    @classmethod
    def from_url(cls, url: str) -> PostgresStore:
        """Return the store that a URL with options names, such as ``postgresql://host/app?schema=web&pgbouncer=1``."""
        place, _, query = url.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        _, own = options("postgresql:?" + urlencode([pair for pair in pairs if pair[0] in _OPTIONS]), _OPTIONS)
        rest = urlencode([pair for pair in pairs if pair[0] not in _OPTIONS])
        return cls(f"{place}?{rest}" if rest else place, **own)

    def __repr__(self) -> str:
        return f"PostgresStore({self._where!r}, table={self._table.name!r})"

    def migrations_sql(self) -> str:
        """Return the script that creates the schema or brings it up to date."""
        return self._table.migrations_sql()

    async def migrate(self) -> None:
        """Run `migrations_sql`, whatever ``create`` says."""
        with self._mapped():
            async with asyncio.timeout(_MIGRATING), self._opened.here().connection() as connection:
                await connection.execute(self.migrations_sql())

    async def open(self) -> None:
        """Connect, and create what is missing."""
        await self._ready(self._opened.here())

    async def close(self) -> None:
        """Finish what is under way on this event loop and close its connections."""
        await self._opened.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None; one statement."""
        (found,) = await self._ask("load", bytes.fromhex(key))
        return found  # type: ignore[no-any-return]

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys; one statement."""
        names = [bytes.fromhex(key) for key in keys]
        if len(names) <= _MANY:
            return await self._ask("load", *names) if names else ()
        parts = [names[start : start + _MANY] for start in range(0, len(names), _MANY)]
        found = await asyncio.gather(*(self._ask("load", *part) for part in parts))
        return [record for part in found for record in part]

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; one statement."""
        while True:
            outcome = await self._ask("create", *_values(key, record))
            if outcome is not ABSENT:
                return outcome  # type: ignore[no-any-return]
            # Somebody else's create was committed after this statement had begun, so it saw only that the key is
            # taken. The next look shows by whom; if that record is gone again, the key is free.
            if (there := await self.load(key)) is not None:
                return there

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
        status = await self._ask("alone", "execute", self._sql.sweep, now, limit)
        return int(status.rpartition(" ")[2])

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the records of one subject; one statement, over an index."""
        rows = await self._ask("alone", "fetch", self._sql.find, _encoded(subject))
        return [(row["key"].hex(), _record(row)) for row in rows]

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys of that subject, and the last of these keys or None."""
        after, limit = bytes.fromhex(cursor or ""), max(limit, 1)
        rows = await self._ask("alone", "fetch", self._sql.find_page, _encoded(subject), after, limit)
        found = [(row["key"].hex(), _record(row)) for row in rows]
        return found, found[-1][0] if len(found) == limit else None

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Walk through all records in the order of their keys."""
        rows = await self._ask("alone", "fetch", self._sql.scan, bytes.fromhex(cursor or ""), max(limit, 1))
        found = [(row["key"].hex(), _record(row)) for row in rows]
        return found, found[-1][0] if len(found) == max(limit, 1) else None

    async def check(self) -> Sequence[str]:
        """Ask the server about itself; return what an operator should mend.

        Raises:
            StoreUnavailable: It does not answer, or the table is missing.
        """
        state = (await self._ask("alone", "fetch", checks.QUESTION, self._table.name))[0]
        version = (await self._ask("alone", "fetch", self._sql.version))[0][0]
        return list(checks.complaints(state, version=version, connections=self._connections))

    async def connections(self) -> Connections:
        """Return how many connections a worker opens, and how many the server accepts; superusers' own do not count."""
        state = (await self._ask("alone", "fetch", checks.CONNECTIONS))[0]
        return Connections(self._connections, state["accepted"], state["connected"], "max_connections")

    def _make(self) -> _Open:
        loop = asyncio.get_running_loop()
        if self._url is None:
            if self._owner is not None and self._owner is not loop:
                raise ConfigurationError(
                    "PostgresStore(pool=...) is used in a second event loop or process, and a pool belongs to one: "
                    "give a URL, and every loop and process gets a pool of its own"
                )
            self._owner, pool = loop, self._pool
        else:
            pool = None
        make: Any = asyncpg.connect
        connect = partial(
            make,
            self._url,
            timeout=self._connect_timeout,
            statement_cache_size=0 if self._pgbouncer else 100,
        )
        opened = _Open(connect, pool)
        # Bound to what is open now: what is still waiting when the store is closed opens nothing else.
        send = partial(self._send, opened)
        opened.batching = Batching(send, where=self._where, timeout=self._timeout, at_once=self._connections)
        return opened

    async def _ready(self, opened: _Open) -> None:
        """Wait until the table is there; the first caller starts that, and it goes on without them."""
        task = opened.getting_ready
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = opened.getting_ready = asyncio.create_task(self._get_ready(opened))
        if not task.done():
            with self._mapped():
                await asyncio.shield(task)

    async def _get_ready(self, opened: _Open) -> None:
        if not self._create:
            return
        async with asyncio.timeout(_MIGRATING):
            try:
                async with opened.connection() as connection:
                    if await connection.fetchval(self._sql.version) >= len(MIGRATIONS):
                        return
            except _NO_TABLE:
                pass  # a new database
            async with opened.connection() as connection:
                await connection.execute(self.migrations_sql())

    async def _ask(self, kind: str, *values: Any) -> Any:
        return await self._opened.here().batching.ask(kind, values)

    async def _send(self, opened: _Open, kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        await self._ready(opened)
        try:
            return await self._send_once(opened, kind, asked)
        except StoreUnavailable:
            if kind != "load":
                raise
            # Most often a connection that the server closed while nobody used it. Reading twice does no harm.
            opened.forget()
            return await self._send_once(opened, kind, asked)

    async def _send_once(self, opened: _Open, kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        with self._mapped():
            async with opened.connection() as connection:
                if kind == "alone":  # statements that are shared with nobody
                    return [await getattr(connection, method)(*words) for method, *words in asked]
                if kind == "load":
                    rows = await self._fetch(connection, kind, [(key,) for keys in asked for key in keys])
                    records = {row["key"]: _record(row) for row in rows}
                    return [[records.get(key) for key in keys] for keys in asked]
                return await self._write(connection, kind, asked)

    async def _write(self, connection: Any, kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        answers: list[Any] = [ABSENT] * len(asked)
        todo = list(range(len(asked)))
        while todo:  # a statement changes a row once: who wants the same row goes with the next
            now: dict[bytes, int] = {}
            later = [at for at in todo if now.setdefault(asked[at][0], at) != at]
            for row in await self._fetch(connection, kind, [asked[at] for at in now.values()]):
                done = kind == "touch" or row["done"]
                answers[now[row["key"]]] = DONE if done else ABSENT if row["version"] is None else _record(row)
            todo = later
        return answers

    async def _fetch(self, connection: Any, kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        if len(asked) == 1 or self._pgbouncer:
            statement = self._sql.serving(kind, len(asked))
            return await connection.fetch(statement, *chain.from_iterable(asked))  # type: ignore[no-any-return]
        columns = map(list, zip(*asked, strict=True))
        return await connection.fetch(self._sql.serving(kind, 0), *columns)  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable:
            raise
        except _NO_TABLE as error:
            raise StoreUnavailable(
                f"{self._where} has no table {self._table.name}: run `limpet migrate`, "
                "or let PostgresStore(create=True) do it"
            ) from error
        except _FAILURES as error:
            raise StoreUnavailable(f"{self._where} failed: {str(error)[:300] or type(error).__name__}") from error


def _described(url: str | None) -> str:
    if url is None:
        return "PostgreSQL"
    try:
        parts = urlsplit(url)
        return f"PostgreSQL at {parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError as error:
        raise ConfigurationError(
            "this is no PostgreSQL URL; write postgresql://user:password@host:5432/database"
        ) from error


def _encoded(subject: str) -> bytes:
    return subject.encode("utf-8", "surrogatepass")


def _values(key: str, record: Record) -> tuple[Any, ...]:
    version, payload, accessed, expires, subject = record
    return bytes.fromhex(key), version, payload, accessed, expires, None if subject is None else _encoded(subject)


def _record(row: Any) -> Record:
    subject = row["subject"]
    whose = None if subject is None else subject.decode("utf-8", "surrogatepass")
    return Record(row["version"], row["payload"], row["accessed"], row["expires"], whose)
