"""Sessions in one SQLite file: durable, shared by all processes of one machine, no server.

Reads run on the calling thread, writes on one writer thread. Measured on a file of 110 MB: a read takes 11 us inline
and 230 us through a thread, because waking two threads costs far more than the query; with the file out of
the page cache it is 215 us inline, 570 us at the 99th percentile, on a solid state disk. So even a cold read inline
is no worse than a warm one through a thread. A write waits until the disk confirms, which can be
many milliseconds, so it leaves the event loop; writes that queue up meanwhile share the next sync.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from typing import Any, Final, Literal

from limpet._checks import flag, interval
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.errors import ConfigurationError
from limpet.stores._url import boolean, options, seconds
from limpet.stores.sqlite.database import Database, NotReadyError
from limpet.stores.sqlite.file import SQLiteFile

__all__ = ["SQLiteStore"]

Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]

MIGRATIONS: Final = (
    (
        """CREATE TABLE sessions (
            key BLOB NOT NULL PRIMARY KEY,
            version INTEGER NOT NULL,
            payload BLOB NOT NULL,
            accessed INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            subject TEXT
        )""",
    ),
    (
        "CREATE INDEX sessions_by_subject ON sessions (subject) WHERE subject IS NOT NULL",
        "CREATE INDEX sessions_by_expires ON sessions (expires) WHERE expires < 9223372036854775807",
    ),
    (  # by key within a subject, so that a page begins where the one before ended
        "DROP INDEX sessions_by_subject",
        "CREATE INDEX sessions_by_subject ON sessions (subject, key) WHERE subject IS NOT NULL",
    ),
)
"""Statements of each schema version. Append to them; never change what was released."""

_SELECT: Final = "SELECT version, payload, accessed, expires, subject FROM sessions WHERE key = ?"
_FIND: Final = (  # named: after an ANALYZE, SQLite may take a subject for one who has most of the sessions
    "SELECT key, version, payload, accessed, expires, subject FROM sessions INDEXED BY sessions_by_subject "
    "WHERE subject = ?"
)
_FIND_PAGE: Final = f"{_FIND} AND key > ? ORDER BY key LIMIT ?"
_SCAN: Final = (
    "SELECT key, version, payload, accessed, expires, subject FROM sessions WHERE key > ? ORDER BY key LIMIT ?"
)
_INSERT: Final = "INSERT INTO sessions (version, payload, accessed, expires, subject, key) VALUES (?, ?, ?, ?, ?, ?)"
_UPDATE: Final = (
    "UPDATE sessions SET version = ?, payload = ?, accessed = max(accessed, ?), expires = max(expires, ?), subject = ? "
    "WHERE key = ?"
)
_REPLACE: Final = "UPDATE sessions SET version = ?, payload = ?, accessed = ?, expires = ?, subject = ? WHERE key = ?"
_TOUCH: Final = "UPDATE sessions SET accessed = max(accessed, ?), expires = max(expires, ?) WHERE key = ?"
_DELETE: Final = "DELETE FROM sessions WHERE key = ?"
_SWEEP: Final = (
    "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions "
    "WHERE expires <= ? AND expires < 9223372036854775807 ORDER BY expires LIMIT ?)"
)
_INLINE: Final = 8  # records that are read one after the other on the calling thread, about 11 us each
_CHECKED: Final = 20_000_000  # bytes of the largest file whose pages a check reads, in about 50 ms


class SQLiteStore:
    """Keeps records in a table of a file of its own.

    `DONE` means that the record has reached the disk (``synchronous="FULL"``). Works under any number of event
    loops and with none: then every call blocks until it is done.

    Args:
        path: The file; a relative path is taken from the current directory, now.
        create: Create the folder (0700), the file (0600) and the table where they are missing.
        synchronous: SQLite's pragma. With ``NORMAL`` a power failure can undo the last writes, a crash cannot.
        busy_timeout: Seconds to wait for another process's lock; by default a little less than the
            second that a session manager waits, so that the error names the cause.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        synchronous: Synchronous = "FULL",
        busy_timeout: float = 0.9,
    ) -> None:
        place = os.fspath(path)
        if place in ("", ":memory:"):
            raise ConfigurationError(
                "an SQLite store is a file: give its path, or use 'memory:' to keep sessions in memory"
            )
        if synchronous not in ("OFF", "NORMAL", "FULL", "EXTRA"):
            raise ConfigurationError(f"synchronous is {synchronous!r}: SQLite knows OFF, NORMAL, FULL and EXTRA")
        flag("create", create)
        interval("busy_timeout", busy_timeout, zero=True, most=3600)
        self.path: str = os.path.abspath(place)
        self.synchronous = synchronous
        file = SQLiteFile(self.path, MIGRATIONS, create=create, synchronous=synchronous)
        self._database = Database(file, busy_timeout=busy_timeout)

    @classmethod
    def from_url(cls, url: str) -> SQLiteStore:
        """Return the store of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, as SQLAlchemy writes them."""
        kinds = {"create": boolean, "synchronous": str.upper, "busy_timeout": seconds}
        place, found = options(url, kinds)
        if place in ("", "//", "///", ":memory:", "//:memory:", "///:memory:"):
            raise ConfigurationError(
                "this SQLite URL names no file: write 'sqlite:///sessions.db' (relative), "
                "'sqlite:////var/lib/app/sessions.db' (absolute), or 'memory:' to keep sessions in memory"
            )
        if not place.startswith("///"):
            raise ConfigurationError(
                f"an SQLite URL has three slashes before a relative path and four before an absolute one: "
                f"write 'sqlite:///{place.lstrip('/')}'"
            )
        return cls(place[3:], **found)

    async def open(self) -> None:
        """Open the file and create what is missing."""
        await self._database.open()

    async def close(self) -> None:
        """Finish the writes under way, close the file and end the writer thread."""
        await self._database.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        name = bytes.fromhex(key)
        try:
            row = self._database.read(_SELECT, (name,))
        except NotReadyError:
            return await self._database.run(lambda db: _current(db, name))
        return None if row is None else _record(row)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there."""
        name = bytes.fromhex(key)

        def work(db: sqlite3.Connection) -> Outcome:
            current = _current(db, name)
            if current is not None:
                return current
            db.execute(_INSERT, (*record, name))
            return DONE

        return await self._database.run(work)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``; return `DONE`, `ABSENT` or the record that is there."""
        return await self._change(_UPDATE, (*record, bytes.fromhex(key)), expected)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given."""
        return await self._change(_REPLACE, (*record, bytes.fromhex(key)), expected)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward, never back; return `DONE` or `ABSENT`."""
        values = (accessed, expires, bytes.fromhex(key))
        return await self._database.run(lambda db: DONE if db.execute(_TOUCH, values).rowcount else ABSENT)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; return `DONE`, `ABSENT` or the record that was kept."""
        values = (bytes.fromhex(key),)
        if version is not None:
            return await self._change(_DELETE, values, version)
        return await self._database.run(lambda db: DONE if db.execute(_DELETE, values).rowcount else ABSENT)

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most ``limit`` expired records, in one statement; return how many."""
        return await self._database.run(lambda db: db.execute(_SWEEP, (now, limit)).rowcount)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys: a few at once, many on the other thread, so that the event loop goes on."""
        names = [bytes.fromhex(key) for key in keys]
        if len(names) <= _INLINE:
            with contextlib.suppress(NotReadyError):
                rows = [self._database.read(_SELECT, (name,)) for name in names]
                return [None if row is None else _record(row) for row in rows]
        return await self._database.run(lambda db: [_current(db, name) for name in names])

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the keys and records of that subject."""
        return await self._database.run(lambda db: _pairs(db, _FIND, (_wanted(subject),)))

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys of that subject, and the last of these keys or None."""
        values = (_wanted(subject), bytes.fromhex(cursor or ""), max(limit, 1))
        page = await self._database.run(lambda db: _pairs(db, _FIND_PAGE, values))
        return page, page[-1][0] if len(page) == values[2] else None

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys after ``cursor``, and the last of these keys or None."""
        after = bytes.fromhex(cursor or "")
        page = await self._database.look(lambda db: _pairs(db, _SCAN, (after, limit)))
        return page, page[-1][0] if len(page) == limit else None

    async def count(self) -> int:
        """Return how many records there are."""
        return await self._database.look(lambda db: int(db.execute("SELECT count(*) FROM sessions").fetchone()[0]))

    async def check(self) -> Sequence[str]:
        """Read from the file, and look at its permissions and settings.

        The pages of a file up to 20 MB are verified too. A readiness probe has no time for those of a larger one:
        ``sqlite3 sessions.db 'PRAGMA integrity_check'`` has.
        """
        await self._database.open()  # a file that another program keeps locked is not ready, though it can be read
        found = await self._database.look(_verify)
        for path in (self.path, os.path.dirname(self.path)):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            open_bits = mode & (0o077 if path == self.path else 0o022)
            if os.name == "posix" and open_bits and not (mode & stat.S_ISVTX):
                kept = oct(mode & ~open_bits)[2:]
                found.append(f"other users may get at {path} (mode {mode:o}): chmod {kept} {path}")
        if self.synchronous == "OFF":
            found.append("synchronous=OFF: a power failure can damage the session database; use FULL or NORMAL")
        return found

    async def _change(self, sql: str, values: tuple[Any, ...], expected: int) -> Outcome:
        """Carry out a statement on the one row that the last of its values names, if that has the expected version."""

        def work(db: sqlite3.Connection) -> Outcome:
            if db.execute(sql + " AND version = ?", (*values, expected)).rowcount:
                return DONE
            return _unless(db, values[-1], expected, sql, values)

        return await self._database.run(work)


def _current(db: sqlite3.Connection, name: bytes) -> Record | None:
    row = db.execute(_SELECT, (name,)).fetchone()
    return None if row is None else _record(row)


def _unless(db: sqlite3.Connection, name: bytes, expected: int, sql: str, values: tuple[Any, ...]) -> Outcome:
    """Return what stands in the way; write to a damaged row if the version that stands for it was meant."""
    current = _current(db, name)
    if current is None:
        return ABSENT
    if current.version != expected:
        return current
    db.execute(sql, values)
    return DONE


def _record(row: tuple[Any, ...]) -> Record:
    """Return the record of a row.

    A row with a value of the wrong type is damaged. It becomes a record with an empty payload, which no manager
    can read, and with a version made from the row, by which it can be deleted.
    """
    version, payload, accessed, expires, subject = row
    if type(version) is int and type(payload) is bytes and type(accessed) is int and type(expires) is int:
        return Record(version, payload, accessed, expires, subject)
    digest = hashlib.sha256(repr(row).encode()).digest()
    return Record(int.from_bytes(digest[:8], "big", signed=True), b"", 0, 0)


def _wanted(subject: str) -> str | bytes:
    """Return what a subject is looked up by: bytes, which equal no text, for half a surrogate pair, which is none."""
    try:
        subject.encode()
    except UnicodeEncodeError:
        return subject.encode("utf-8", "surrogatepass")
    return subject


def _pairs(db: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[str, Record]]:
    return [(row[0].hex(), _record(row[1:])) for row in db.execute(sql, values)]


def _verify(db: sqlite3.Connection) -> list[str]:
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if pages * size > _CHECKED:
        db.execute(_SCAN, (b"", 1)).fetchone()
        return []
    problems = [row[0] for row in db.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    return [f"the session database is damaged: {problem}" for problem in problems]
