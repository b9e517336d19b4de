"""The file of an SQLite store: made private, opened with a write-ahead log, brought to the current schema."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Final

from limpet.errors import StoreUnavailable
from limpet.stores._folders import log_made

__all__ = ["APPLICATION", "SQLiteFile"]

APPLICATION: Final = 0x484F4C44
"""``PRAGMA application_id`` of a session database: the letters HOLD."""


class SQLiteFile:
    """Where a database is, and how it is opened.

    Args:
        path: The file.
        migrations: Statements of each schema version, oldest first; ``PRAGMA user_version`` counts those applied.
        create: Whether a missing folder, file or table is created.
        synchronous: The pragma of that name; with ``FULL`` a commit has reached the disk when it returns.
    """

    def __init__(self, path: str, migrations: Sequence[Sequence[str]], *, create: bool, synchronous: str) -> None:
        self.path = path
        self._migrations = migrations
        self._create = create
        self._synchronous = synchronous

    def prepare(self) -> None:
        """Create the file, for this user alone, where it is missing.

        Raises:
            StoreUnavailable: It is missing and must not be created.
        """
        if os.path.exists(self.path):
            return
        if not self._create:
            raise StoreUnavailable(f"there is no session database {self.path}, and create=False forbids to make one")
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            log_made(folder)
        # SQLite gives its -wal and -shm files the permissions of the database.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        if os.name == "posix":
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def connect(self, wait: float) -> sqlite3.Connection:
        """Return a new connection that waits so many seconds for a lock."""
        connection = sqlite3.connect(self.path, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            connection.text_factory = _text
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise StoreUnavailable(
                    f"the session database {self.path} cannot use a write-ahead log ({mode}): put it on a local disk"
                )
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection

    def migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the schema up to date.

        Raises:
            StoreUnavailable: It is not ours, of a later version, or must not be changed.
        """
        newest = len(self._migrations)
        version = _pragma(connection, "user_version")
        if version == newest and _pragma(connection, "application_id") == APPLICATION:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _pragma(connection, "user_version")  # another process may have been faster
            objects = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if objects and _pragma(connection, "application_id") != APPLICATION:
                raise StoreUnavailable(
                    f"{self.path} is a database of another application: give the sessions a file of their own"
                )
            if version > newest:
                raise StoreUnavailable(
                    f"the session database {self.path} has schema {version} and this limpet knows {newest}: "
                    "it was written by a later version, upgrade this one"
                )
            if version < newest and not self._create:
                raise StoreUnavailable(
                    f"the session database {self.path} has schema {version}, {newest} is needed, "
                    "and create=False forbids to change it: open it once without"
                )
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={newest}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")  # a damaged subject must not make its record unreadable
