"""The connections of one process without an event loop, through psycopg 3: the same statements, word for word.

`RawCursor` leaves the parameters ``$1``, ``$2`` to the server, as asyncpg does, so there is one text of SQL for both.

Threads share few connections, each its own as long as a statement lasts; those that idle wait in a list. psycopg's own
pool is for an application that has one: it opens connections on threads of its own, so that a caller learns neither why
none could be opened nor before its time is up.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, PGconn, PollingStatus, TransactionStatus, abc
from psycopg.rows import dict_row

from limpet.errors import StoreUnavailable
from limpet.stores.postgres.dsn import ANY_ORDER, DSN
from limpet.stores.postgres.errors import TurnedReadOnly, failures, is_answer, is_lost, is_refused

__all__ = ["BlockingConnections", "BlockingConnector", "Statement"]

_IDLE: Final = 300.0  # seconds after which an unused connection is not trusted: firewalls forget connections in silence
_EVENTS: Final = {PollingStatus.READING: selectors.EVENT_READ, PollingStatus.WRITING: selectors.EVENT_WRITE}
_AS_ONE: Final = frozenset(
    {"hostaddr", "load_balance_hosts"}
)  # options about all hosts, which libpq has to see at once


class _Limited(psycopg.Connection[Any]):
    """A connection whose statements are given up after a time, also when the server is frozen.

    The server has been told to end them after that time too.
    """

    limit: float | None = None
    where: str = "PostgreSQL"

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = self.limit if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if limit is None or error.sqlstate is not None or time.monotonic() - began < limit:
                raise
        self.pgconn.finish()
        raise StoreUnavailable(f"{self.where} did not answer within {limit:g} s", waited=True)


class Statement:
    """A connection as `Execution` uses one; its methods are coroutines that never wait for a loop."""

    __slots__ = ("connection", "opened_after", "since")

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection: psycopg.Connection[Any] = connection
        self.since: float = 0.0
        self.opened_after: int = 0

    async def fetch(self, sql: Any, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a statement."""
        with psycopg.RawCursor(self.connection, row_factory=dict_row) as cursor:
            return cursor.execute(sql, values, binary=True).fetchall()

    async def fetchval(self, sql: Any) -> Any:
        """Return the first value of the first row."""
        with psycopg.RawCursor(self.connection) as cursor:
            row = cursor.execute(sql).fetchone()
        return None if row is None else row[0]

    async def execute(self, sql: Any, *values: Any) -> str | None:
        """Carry out a statement; return the server's word for what came of it."""
        with psycopg.RawCursor(self.connection) as cursor:
            return cursor.execute(sql, values).statusmessage

    async def run(self, script: Any, seconds: float) -> None:
        """Carry out several statements, which may take so long."""
        connection: Any = self.connection
        was = getattr(connection, "limit", None)
        connection.limit = seconds
        try:
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(script)
        finally:
            connection.limit = was

    def is_idle(self) -> bool:
        """Tell whether it can be used again: it is open, and in no transaction."""
        connection = self.connection
        return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE

    def has_turned(self) -> bool:
        """Tell what the server has said of itself; since PostgreSQL 14 it does so whenever it changes."""
        status = self.connection.info.parameter_status
        return "on" in (status("default_transaction_read_only"), status("in_hot_standby"))


class BlockingConnector:
    """Opens connections to the place that a URL names; see `limpet.stores.postgres.connecting.Connector`.

    psycopg's own way waits for two seconds at least, and as long again for each host.

    Args:
        url: The URL.
        dsn: What it says.
        timeout: Seconds that a statement may take.
        connect_timeout: Seconds for opening a connection.
        pgbouncer: The other side is a pooler: it takes no settings, and forgets statements.
    """

    def __init__(self, url: str, dsn: DSN, *, timeout: float, connect_timeout: float, pgbouncer: bool) -> None:
        self._url = url
        self._place = dsn.place
        self._limit = timeout
        self._threshold = None if pgbouncer else 5
        self._within = connect_timeout
        attributes = dsn.attributes or os.environ.get("PGTARGETSESSIONATTRS")
        self._settings: dict[str, Any] = {}
        if dsn.several and not attributes:
            self._settings["target_session_attrs"] = "read-write"
        as_one = attributes in ANY_ORDER or dsn.options & _AS_ONE or "PGHOSTADDR" in os.environ
        self._hosts: list[tuple[str, int]] = [] if as_one else list(dsn.hosts)
        self._options = ""
        if not pgbouncer:
            words = [f"-c {name}={value}" for name, value in dsn.server_settings(timeout).items()]
            self._options = " ".join([*([dsn.settings] if dsn.settings else []), *words])

    def __call__(self) -> psycopg.Connection[Any]:
        """Return a new connection."""
        if self._options:
            try:
                return self._connect(options=self._options)
            except psycopg.OperationalError as error:
                if "unsupported startup parameter" not in str(error):  # PgBouncer's
                    raise
                self._options = ""
        return self._connect()

    def _connect(self, **options: Any) -> psycopg.Connection[Any]:
        try:
            connection = _Limited(self._reach(options))
        except psycopg.errors.ConnectionTimeout as error:  # once is enough
            raise StoreUnavailable(f"PostgreSQL at {self._place} cannot be reached in time", waited=True) from error
        connection.autocommit = True
        connection.prepare_threshold = self._threshold
        connection.limit = self._limit * 1.2  # the server says sooner what kept it
        connection.where = f"PostgreSQL at {self._place}"
        return connection

    def _reach(self, options: dict[str, Any]) -> abc.PGconn:
        """Return a connection to the first host that gives one: that which served last is tried first."""
        deadline = time.monotonic() + self._within
        if not self._hosts:
            return _open(make_conninfo(self._url, **self._settings, **options), deadline)
        hosts, problems = self._hosts, list[Exception]()
        for at, (host, port) in enumerate(hosts):
            now = time.monotonic()
            try:
                place = make_conninfo(self._url, **_found(host, port), **self._settings, **options)
                opened = _open(place, now + (deadline - now) / (len(hosts) - at))
            except (OSError, psycopg.OperationalError) as error:
                problems.append(error)
                continue
            if at:
                self._hosts = [(host, port), *(other for other in hosts if other != (host, port))]
            return opened
        raise problems[0]


class BlockingConnections:
    """Lends connections, each to one caller at a time.

    Args:
        connect: Opens a connection; None: there is a pool.
        pool: A `psycopg_pool.ConnectionPool` that was given.
        most: Connections at most.
        timeout: Seconds to wait for one.
        where: The place, for messages.
    """

    def __init__(self, connect: BlockingConnector | None, pool: Any, *, most: int, timeout: float, where: str) -> None:
        self._where = where
        self._connect = connect
        self._pool = pool
        self._places = threading.BoundedSemaphore(most)
        self._timeout = timeout
        self._idle: list[Statement] = []
        self._lessons = 0
        weakref.finalize(self, _close_all, self._idle, os.getpid())

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Statement]:
        """Lend a connection. It comes back only if it idles: in no transaction, with no reply to come.

        Raises:
            TurnedReadOnly: The block has done its work, on a server that has become read-only meanwhile.
        """
        if self._pool is not None:
            with self._of_pool() as lent:
                yield lent
            return
        if not self._places.acquire(timeout=self._timeout):
            raise StoreUnavailable(
                f"all connections to {self._where} were in use for {self._timeout:g} s: raise max_connections",
                waited=True,
            )
        try:
            lent = self._borrow()
            try:
                yield lent
            except BaseException as error:
                usable = is_answer(error) and not is_lost(error) and not is_refused(error)
                self._give_back(lent, usable=usable)
                if not usable:
                    self.forget()  # those that idle lead to the same server
                raise
            turned = lent.has_turned()
            self._give_back(lent, usable=not turned)
        finally:
            self._places.release()
        if turned:
            self.forget()
            raise TurnedReadOnly("the server has become read-only")

    def forget(self) -> None:
        """End the connections that idle, because what was just learned of one is most likely true of all.

        Those that are lent out, or are being opened, end when they come back.
        """
        self._lessons += 1
        _close_all(self._idle, os.getpid())

    def close(self) -> None:
        """End what idles; connections of a given pool stay with it."""
        self.forget()

    def _borrow(self) -> Statement:
        oldest = time.monotonic() - _IDLE
        while self._idle:
            try:
                lent = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if lent.since >= oldest and lent.is_idle():
                return lent
            lent.connection.close()
        assert self._connect is not None, "there is a pool"
        lessons = self._lessons
        lent = Statement(self._connect())
        lent.opened_after = lessons
        return lent

    def _give_back(self, lent: Statement, *, usable: bool) -> None:
        if usable and lent.opened_after == self._lessons and lent.is_idle():
            lent.since = time.monotonic()
            self._idle.append(lent)
        else:
            with contextlib.suppress(*failures()):
                lent.connection.close()

    @contextlib.contextmanager
    def _of_pool(self) -> Iterator[Statement]:
        with self._pool.connection(timeout=self._timeout) as connection:
            was, connection.autocommit = connection.autocommit, True
            try:
                yield Statement(connection)
            finally:
                if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
                    connection.autocommit = was


def _found(host: str, port: int) -> dict[str, Any]:
    """Return where a host is. libpq would hold up every thread while it looks a name up."""
    if host.startswith("/"):
        return {"host": host, "port": port}
    found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP, type=socket.SOCK_STREAM)
    addresses = [str(where[0]) for *_, where in found]
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses), "port": port}


def _open(conninfo: str, deadline: float) -> abc.PGconn:
    """Open a connection.

    Raises:
        psycopg.errors.ConnectionTimeout: It was not open in time.
        psycopg.OperationalError: There is no such server, or it refuses.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html, `PQconnectStartParams` and `PQconnectPoll`.
    """
    pgconn = PGconn.connect_start(conninfo.encode())
    try:
        while pgconn.status != ConnStatus.BAD and (status := pgconn.connect_poll()) != PollingStatus.FAILED:
            if status == PollingStatus.OK:
                pgconn.nonblocking = 1
                return pgconn
            left = deadline - time.monotonic()
            with selectors.DefaultSelector() as selector:
                selector.register(pgconn.socket, _EVENTS[PollingStatus(status)])
                if left <= 0 or not selector.select(left):
                    raise psycopg.errors.ConnectionTimeout("connection timeout expired")
        raise psycopg.OperationalError(f"connection failed: {pgconn.get_error_message()}")
    except BaseException:
        pgconn.finish()
        raise


def _close_all(idle: list[Statement], process: int) -> None:
    """Take leave of the server; not in a forked child, in whose parent the connections live on."""
    while idle and process == os.getpid():
        try:
            each = idle.pop()
        except IndexError:  # another thread was faster
            return
        each.connection.close()
