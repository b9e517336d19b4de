"""Opens one connection: to which of several hosts, and with which settings of the server."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg

from limpet.stores.postgres.dsn import ANY_ORDER, DSN

__all__ = ["Connector"]


class Connector:
    """Opens connections to the place that a URL names.

    Of several hosts the one that served last is tried first, and each has its share of the time, so that one that hangs
    does not hide the others. A session store has to write: unless ``target_session_attrs`` is given, several hosts mean
    the one that takes writes.

    ``statement_timeout`` and ``lock_timeout`` are set with the connection, unless the URL sets them: the store waits no
    longer for an answer, and the server should not go on with what was given up. The limit for locks is the shorter
    one, so that a lock is reported as such, over a connection that stays usable.

    Args:
        url: The URL.
        dsn: What it says.
        timeout: Seconds that a statement may take.
        connect_timeout: Seconds for opening a connection.
        pgbouncer: The other side is a pooler: it takes no settings, and forgets statements.
    """

    def __init__(self, url: str, dsn: DSN, *, timeout: float, connect_timeout: float, pgbouncer: bool) -> None:
        self._url = url
        self._dsn = dsn
        self._timeout = connect_timeout
        self._cache = 0 if pgbouncer else 100
        self._settings: dict[str, str] = {} if pgbouncer else dsn.server_settings(timeout)
        self._attributes = dsn.attributes or os.environ.get("PGTARGETSESSIONATTRS")
        if dsn.several and not self._attributes:
            self._attributes = "read-write"
        self._hosts = list(dsn.hosts) if dsn.several and self._attributes not in ANY_ORDER else []

    async def __call__(self) -> Any:
        """Return a new connection."""
        if not self._hosts:
            return await self._connect(self._timeout)
        deadline = asyncio.get_running_loop().time() + self._timeout
        problems: list[Exception] = []
        for at, (host, port) in enumerate(list(self._hosts)):
            left = deadline - asyncio.get_running_loop().time()
            try:
                connection = await self._connect(left / (len(self._hosts) - at), host=host, port=port)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                problems.append(error)
                continue
            if at:
                self._hosts = [(host, port), *(other for other in self._hosts if other != (host, port))]
            return connection
        raise problems[0]

    async def _connect(self, within: float, **place: Any) -> Any:
        connect: Any = asyncpg.connect
        words = {"timeout": within, "statement_cache_size": self._cache, **place}
        if self._attributes:
            words["target_session_attrs"] = self._attributes
        if self._settings:
            try:
                return await connect(self._url, server_settings=self._settings, **words)
            except asyncpg.ProtocolViolationError:  # PgBouncer's "unsupported startup parameter"
                self._settings = {}
        return await connect(self._url, **words)
