"""What is open of one store: on each event loop through asyncpg, in each process without a loop through psycopg."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from limpet._outcome import outcome_of
from limpet.errors import ConfigurationError, MissingDependency
from limpet.stores._aio.batching import Batching
from limpet.stores._aio.per_loop import PerLoop
from limpet.stores._aio.threads import running_loop
from limpet.stores._blocking import PerProcess, Straight
from limpet.stores._connections import Sizes
from limpet.stores.postgres.dsn import DSN
from limpet.stores.postgres.errors import Explains, failures, lacks_table
from limpet.stores.postgres.execution import Execution, Lends
from limpet.stores.postgres.sql import MIGRATIONS, Statements

__all__ = ["Clients", "Opened", "require_driver"]

_MIGRATING: Final = 30.0  # seconds; callers give up earlier, and it goes on without them
_DEADLOCK: Final = "40P01"
_TRIES: Final = 3


class Asks(Protocol):
    """What questions go through: `Batching`, or `Straight` where there is no event loop."""

    def ask(self, kind: str, question: tuple[Any, ...]) -> Awaitable[Any]:
        """Return the answer to one question."""
        ...

    async def ask_all(self, kind: str, questions: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to several questions."""
        ...


class Opened(Protocol):
    """What is open on one event loop, or in one process."""

    @property
    def batching(self) -> Asks:
        """What questions go through."""
        ...

    async def ready(self) -> None:
        """Wait until the table is there."""

    async def migrate(self, script: str) -> None:
        """Run a script, under time limits of its own, unless the table is up to date."""


class _OfLoop:
    """What one event loop has open."""

    batching: Batching[tuple[Any, ...], Any]

    def __init__(self, connections: Any, sql: Statements, script: str | None, explain: Explains) -> None:
        self.connections = connections
        self._sql = sql
        self._script = script
        self._explain = explain
        self._getting_ready: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Finish what is under way and close the connections; those of a given pool stay."""
        await self.batching.drain()
        if self._getting_ready is not None:
            self._getting_ready.cancel()
            await asyncio.wait([self._getting_ready])
        await self.connections.close()

    async def ready(self) -> None:
        """Wait until the table is there; the first caller starts that, and it goes on without them."""
        task = self._getting_ready
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._getting_ready = asyncio.create_task(self._get_ready())
        if not task.done():
            await _explained(asyncio.shield(task), self._explain)

    async def migrate(self, script: str) -> None:
        await _explained(self._bring_up_to_date(script), self._explain)

    async def _get_ready(self) -> None:
        if self._script is not None:
            await self._bring_up_to_date(self._script)

    async def _bring_up_to_date(self, script: str) -> None:
        async with asyncio.timeout(_MIGRATING):
            if not await _is_current(self.connections, self._sql):
                await self._run(script)

    async def _run(self, script: str) -> None:
        await _again_after_deadlock(lambda: self._run_once(script))

    async def _run_once(self, script: str) -> None:
        async with asyncio.timeout(_MIGRATING), self.connections.one() as connection:
            await connection.execute(_with_time(script))


class _OfProcess:
    """What one process has open where there is no event loop."""

    batching: Straight[tuple[Any, ...], Any]

    def __init__(self, connections: Any, sql: Statements, script: str | None, explain: Explains) -> None:
        self.connections = connections
        self._sql = sql
        self._script = script
        self._explain = explain
        self._is_ready = script is None
        self._getting_ready = threading.Lock()

    def close(self) -> None:
        """Close the connections; those of a given pool stay."""
        self.connections.close()

    async def ready(self) -> None:
        """See to it that the table is there: one thread does, and the others wait for it."""
        if not self._is_ready:
            with self._getting_ready:  # nothing below gives way to an event loop
                await self._get_ready()

    async def _get_ready(self) -> None:
        if not self._is_ready:
            assert self._script is not None
            await self.migrate(self._script)
            self._is_ready = True

    async def migrate(self, script: str) -> None:
        await _explained(self._bring_up_to_date(script), self._explain)

    async def _bring_up_to_date(self, script: str) -> None:
        if not await _is_current(self.connections, self._sql):
            await self._run(script)

    async def _run(self, script: str) -> None:
        await _again_after_deadlock(lambda: self._run_once(script))

    async def _run_once(self, script: str) -> None:
        async with self.connections.one() as connection:
            await connection.run(_with_time(script), _MIGRATING)


class Clients:
    """Opens connections where they are first needed.

    Args:
        url: Where the database is; None: there is a pool.
        dsn: What the URL says.
        pool: One that was given.
        sql: The statements.
        script: What creates what is missing; None: nothing is to be created.
        explain: Makes the error that callers see.
        pgbouncer: The other side is a pooler.
        timeout: Seconds from asking to the answer.
        connect_timeout: Seconds for opening a connection.
        most: Connections at most.
    """

    def __init__(
        self,
        url: str | None,
        dsn: DSN | None,
        pool: Any,
        *,
        sql: Statements,
        script: str | None,
        explain: Explains,
        pgbouncer: bool,
        timeout: float,
        connect_timeout: float,
        most: Sizes,
    ) -> None:
        self._url = url
        self._dsn = dsn
        self._pool = pool
        self._sql = sql
        self._script = script
        self._explain = explain
        self._pgbouncer = pgbouncer
        self._timeout = timeout
        self._settings: dict[str, Any] = {
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "pgbouncer": pgbouncer,
        }
        self._most = most
        self._owner: asyncio.AbstractEventLoop | None = None
        self._connect: Any = None  # one for all loops, so that each learns from the others which host serves
        self._of_loops: PerLoop[_OfLoop] = PerLoop(self._make, _OfLoop.close)
        self._of_processes: PerProcess[_OfProcess] = PerProcess(self._make_blocking, _OfProcess.close)

    def here(self) -> Opened:
        """Return what is open on the running event loop, or in this process where a call blocks."""
        return self._of_processes.here() if running_loop() is None else self._of_loops.here()

    async def close(self) -> None:
        """Finish what is under way here and close it."""
        if running_loop() is None:
            self._of_processes.close()
        else:
            await self._of_loops.close()

    def _make(self) -> _OfLoop:
        try:
            from limpet.stores.postgres.connecting import Connector
            from limpet.stores.postgres.connections import Connections
        except ModuleNotFoundError as error:
            raise MissingDependency("a postgresql: store on an event loop", "postgres") from error
        loop = asyncio.get_running_loop()
        if self._pool is None:
            if self._connect is None:
                assert self._url is not None
                assert self._dsn is not None
                self._connect = Connector(self._url, self._dsn, **self._settings)
        elif self._owner is not None and self._owner is not loop:
            raise ConfigurationError(
                "PostgresStore(pool=...) is used in a second event loop or process, and a pool belongs to one: "
                "give a URL, and every loop and process gets a pool of its own"
            )
        elif hasattr(self._pool, "getconn"):
            raise ConfigurationError(
                "PostgresStore(pool=...) was given a pool of psycopg, and this application runs on an event loop: give "
                "a URL, or a pool of asyncpg"
            )
        else:
            self._owner = loop
        connections = Connections(self._connect, self._pool, most=self._most.loop, linger=self._timeout)
        opened = _OfLoop(connections, self._sql, self._script, self._explain)
        send = _sender(opened, connections, self._sql, self._explain, plain=self._pgbouncer)
        opened.batching = Batching(send, where=self._explain.where, timeout=self._timeout, at_once=self._most.loop)
        return opened

    def _make_blocking(self) -> _OfProcess:
        try:
            from limpet.stores.postgres.blocking import BlockingConnections, BlockingConnector
        except ModuleNotFoundError as error:
            raise MissingDependency("a postgresql: store without an event loop", "psycopg") from error
        connect: BlockingConnector | None = None
        if self._url is not None:
            assert self._dsn is not None
            connect = BlockingConnector(self._url, self._dsn, **self._settings)
        elif not hasattr(self._pool, "getconn"):
            raise ConfigurationError(
                "PostgresStore(pool=...) was given a pool of asyncpg, and a blocking application has no event loop: "
                "give a URL, or a pool of psycopg_pool"
            )
        where = self._explain.where
        connections = BlockingConnections(
            connect, self._pool, most=self._most.process, timeout=self._timeout, where=where
        )
        opened = _OfProcess(connections, self._sql, self._script, self._explain)
        opened.batching = Straight(_sender(opened, connections, self._sql, self._explain, plain=self._pgbouncer))
        return opened


def require_driver() -> None:
    """Check that one of the two drivers is there; which of them is needed shows at the first use.

    Raises:
        MissingDependency: There is none.
    """
    for name in ("asyncpg", "psycopg"):
        try:
            if sys.modules.get(name) is not None or importlib.util.find_spec(name) is not None:
                return
        except ValueError:  # somebody has put something in its place
            continue
    raise MissingDependency("a postgresql: store", "postgres")


def _sender(opened: Opened, connections: Lends, sql: Statements, explain: Explains, *, plain: bool) -> Any:
    execution = Execution(connections, sql, explain, plain=plain)

    async def send(kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        # Over what is open now: what is still waiting when the store is closed opens nothing else.
        await opened.ready()
        return await execution.send(kind, asked)

    return send


async def _is_current(connections: Lends, sql: Statements) -> bool:
    """Tell whether the schema is that of this version, or a later one."""
    try:
        async with connections.one() as connection:
            version: int = await connection.fetchval(sql.current)
    except failures() as error:
        if not lacks_table(error):
            raise
        return False  # a new database
    return version >= len(MIGRATIONS)


def _with_time(script: str) -> str:
    """Return the script with limits of its own: those that the connections have are for requests."""
    limits = f"BEGIN; SET LOCAL statement_timeout = {_MIGRATING * 1000:.0f}; SET LOCAL lock_timeout = 0;"
    return script.replace("BEGIN;", limits, 1)


async def _again_after_deadlock(migrate: Callable[[], Awaitable[None]]) -> None:
    """Migrate; once more where the server ended it for others that changed its catalogue at the same time."""
    for left in range(_TRIES - 1, -1, -1):
        _, failure = await outcome_of(migrate())
        if failure is None:
            return
        if not left or getattr(failure, "sqlstate", None) != _DEADLOCK:
            raise failure


async def _explained(call: Awaitable[Any], explain: Explains) -> Any:
    try:
        return await call
    except failures() as error:
        failure = explain(error)
    raise failure  # out here, where the driver's error is not its context
