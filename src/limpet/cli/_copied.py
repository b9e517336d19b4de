"""What ``limpet copy`` notes between its runs: which version of which session it has copied."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from limpet.cli.group import Failure
from limpet.contract import Record

__all__ = ["Copied", "State"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1), pair TEXT NOT NULL, run INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS copied (
    key BLOB PRIMARY KEY, version INTEGER NOT NULL, before INTEGER NOT NULL, expires INTEGER NOT NULL,
    run INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS copied_run ON copied (run);
"""
_JOURNAL: Final = """
CREATE TABLE IF NOT EXISTS journal (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, before INTEGER, last INTEGER NOT NULL
)
"""


class Copied(NamedTuple):
    """What the destination was given of a session.

    Attributes:
        key: Its store key.
        versions: The last version, and the one before: an interrupted run may not have come to write the last.
        expires: When the source might forget it, as last seen there, in milliseconds since 1970.
    """

    key: str
    versions: tuple[int, int]
    expires: int


class State:
    """What has been copied between two stores, in one SQLite file of about 120 bytes for each session.

    Each run looks at every session, also after one that was interrupted: what that one has copied may have ended since.
    A session is noted before the destination has it, so that the next run after a killed one neither takes it for
    somebody else's nor begins it again once it has ended there. Nothing of it is held in memory.

    Raises:
        Failure: The file is of something else, or of a copy between other stores.
    """

    def __init__(self, path: Path, pair: str) -> None:
        self.run = 1
        self._path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise Failure(f"{path} cannot be used to note the place of the copy: {error}") from error
        try:
            self._open(pair)
        except sqlite3.OperationalError as error:
            self.close()
            raise Failure(f"{path} cannot be used to note the place of the copy: {error}") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise Failure(f"{path} holds no place of a copy: name another file with --state") from error
        except Failure:
            self.close()
            raise

    def _open(self, pair: str) -> None:
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not {"place", "copied"} <= tables:
            raise Failure(f"{self._path} holds no place of a copy: name another file with --state")
        if not tables:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(_TABLES)
        self._database.execute(_JOURNAL)
        self._database.execute("PRAGMA synchronous = NORMAL")
        found = self._database.execute("SELECT pair, run FROM place").fetchone()
        if found is None:
            self._database.execute("INSERT INTO place VALUES (1, ?, ?)", (pair, self.run))
            return
        noted, last = found
        if noted != pair:
            raise Failure(f"{self._path} is of a copy between other stores: name another file with --state")
        self.run = last + 1
        self._database.execute("UPDATE place SET run = ?", (self.run,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def find(self, key: str) -> Copied | None:
        """Return what was copied of a session, or None if it never was."""
        row = self._database.execute(
            "SELECT key, version, before, expires FROM copied WHERE key = ?", (bytes.fromhex(key),)
        ).fetchone()
        return None if row is None else _copied(row)

    def note(self, key: str, record: Record, before: int | None = None) -> None:
        """Note what the destination has, or is about to have, of a session that was seen at the source.

        Args:
            before: The version that is there still, if this one is to take its place.
        """
        # An upsert of what the copy noted itself: no session lies here, so none can come back.
        self._database.execute(
            "INSERT INTO copied VALUES (:key, :version, :before, :expires, :run) ON CONFLICT (key) DO UPDATE SET "
            "version = :version, before = :before, expires = max(expires, :expires), run = :run",
            {
                "key": bytes.fromhex(key),
                "version": record.version,
                "before": record.version if before is None else before,
                "expires": record.expires,
                "run": self.run,
            },
        )

    def saw(self, key: str) -> None:
        """Note that the source still has a session of which nothing was copied now."""
        self._database.execute("UPDATE copied SET run = ? WHERE key = ?", (self.run, bytes.fromhex(key)))

    def forget(self, key: str) -> None:
        """Drop a session that the source does not have any more."""
        self._database.execute("DELETE FROM copied WHERE key = ?", (bytes.fromhex(key),))

    def journal(self) -> tuple[Sequence[int], int]:
        """Return the versions of the journal that the destination was given, and the last number that it had taken."""
        row = self._database.execute("SELECT version, before, last FROM journal").fetchone()
        return ([], 0) if row is None else ([version for version in row[:2] if version is not None], row[2])

    def note_journal(self, versions: tuple[int | None, int | None], last: int) -> None:
        """Note which journal the destination is about to have, and which one it has still.

        Args:
            versions: Of these two; None, None: it has one of its own.
            last: The number of the last revocation of the source that it has taken.
        """
        # the one row of this file; the destination's journal is in its store
        self._database.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?, ?)", (*versions, last))

    def unseen(self, limit: int) -> Sequence[Copied]:
        """Return sessions that were copied once and that this run has not come across."""
        rows = self._database.execute(
            "SELECT key, version, before, expires FROM copied WHERE run < ? LIMIT ?", (self.run, limit)
        )
        return [_copied(row) for row in rows]


def _copied(row: tuple[bytes, int, int, int]) -> Copied:
    key, version, before, expires = row
    return Copied(key.hex(), (version, before), expires)
