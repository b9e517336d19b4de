"""The table of sessions in PostgreSQL, and the statements on it.

``fillfactor`` leaves room on each page, so that a write, which most often changes no indexed column, stays on its page
and needs no new index entries (HOT), and vacuum has little work. That is why the index for sweeping is over the
*hour* of ``expires``: a touch a minute would otherwise change an index each time, and so it does once an hour. The
index by subject is over a digest, since a subject may be longer than a B-tree's entry, and the key, so that a page of
one subject's sessions begins where the one before ended. The subject is kept as bytes because PostgreSQL's text has
no NUL.

What the statements for writing rely on:

* ``there`` locks the rows in the order of their keys and returns them **as committed**: after waiting for a lock,
  ``FOR UPDATE`` (and only it) reads the row again, where a plain ``SELECT`` would show the statement's older snapshot.
  The order keeps two statements over the same rows from waiting for each other.
* ``OFFSET 0`` keeps the server from reading the whole table once instead of looking up each key, as it would while the
  table is small, and with the same plan later.
* ``ON CONFLICT DO UPDATE`` appears nowhere: it would bring back a record that somebody ended.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from limpet.errors import ConfigurationError

__all__ = ["MIGRATIONS", "Named", "Statements", "Table"]

MIGRATIONS: Final = (
    """CREATE TABLE IF NOT EXISTS {table} (
    key bytea NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    payload bytea NOT NULL,
    accessed bigint NOT NULL,
    expires bigint NOT NULL,
    subject bytea,
    expires_hour bigint NOT NULL GENERATED ALWAYS AS (expires / 3600000) STORED
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS {by_hour} ON {table} (expires_hour);
CREATE INDEX IF NOT EXISTS {by_subject} ON {table} USING hash (subject) WHERE subject IS NOT NULL;""",
    """CREATE INDEX IF NOT EXISTS {of_subject} ON {table} (substring(sha256(subject) FROM 1 FOR 8), key)
    WHERE subject IS NOT NULL;
DROP INDEX IF EXISTS {schema}.{by_subject};""",
)
"""What makes each version of the schema out of the one before. Append to it; what was released is never changed."""

_NAME: Final = 63  # bytes that PostgreSQL keeps of a name; it cuts longer ones in silence


def _quoted(name: str, what: str, most: int = _NAME) -> str:
    if not name or "\0" in name or len(name.encode()) > most:
        raise ConfigurationError(
            f"{what} {name!r} is no name for PostgreSQL: it needs 1 to {most} bytes, none of them NUL"
        )
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Named(NamedTuple):
    """A table's name.

    Attributes:
        quoted: As statements have it.
        plain: As the server's messages have it.
    """

    quoted: str
    plain: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where the sessions are: a table in a schema, and beside it ``<table>_migrations``."""

    schema: str
    table: str

    def __post_init__(self) -> None:
        _quoted(self.schema, "schema")
        _quoted(self.table, "table", _NAME - len("_migrations"))

    def _named(self, suffix: str = "") -> str:
        return _quoted(self.schema, "schema") + "." + _quoted(self.table + suffix, "table")

    @property
    def name(self) -> str:
        return self._named()

    @property
    def migrations(self) -> str:
        return self._named("_migrations")

    @property
    def names(self) -> tuple[Named, Named]:
        """The table, and the one that says which migrations it has had."""
        plain = f"{self.schema}.{self.table}"
        return Named(self.name, plain), Named(self.migrations, f"{plain}_migrations")

    def migrations_sql(self) -> str:
        """Return the script that creates what is missing and changes nothing else; run twice, it does nothing.

        The whole is one transaction. An advisory lock makes many workers that start at once take turns, and what an
        earlier one has done is passed over: ``CREATE INDEX IF NOT EXISTS`` would lock the table, against those that
        serve requests already, before it looks whether the index exists.
        """
        schema = _quoted(self.schema, "schema")
        lock = zlib.crc32(self.name.encode())
        begin = [
            "BEGIN;",
            f"SELECT pg_advisory_xact_lock({lock});",
            # CREATE SCHEMA IF NOT EXISTS would ask for the right to create schemas where it exists already.
            _do(f"IF to_regnamespace({_literal(schema)}) IS NULL THEN CREATE SCHEMA {schema}; END IF;"),
            f"CREATE TABLE IF NOT EXISTS {self.migrations}",
            "(version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now());",
        ]
        steps = []
        for version, statements in enumerate(MIGRATIONS, 1):
            names = {
                "table": self.name,
                "by_hour": _quoted(self.table + "_by_hour", "index"),
                "by_subject": _quoted(self.table + "_by_subject", "index"),
                "of_subject": _quoted(self.table + "_of_subject", "index"),
                "schema": schema,
            }
            done = f"NOT missing AND EXISTS (SELECT FROM {self.migrations} WHERE version >= {version})"
            note = f"INSERT INTO {self.migrations} (version) VALUES ({version}) ON CONFLICT (version) DO NOTHING;"
            steps.append(f"IF NOT ({done}) THEN\n{statements.format(**names)}\n{note}\nEND IF;")
        missing = f"missing boolean := to_regclass({_literal(self.name)}) IS NULL;"
        return "\n".join([*begin, _do("\n".join(steps), missing), "COMMIT;", ""])


def _do(statements: str, variables: str = "") -> str:
    """Return a block of statements, in quotes that no name in them ends."""
    quotes = "$do$"
    while quotes in statements:
        quotes = f"{quotes[:-1]}_$"
    declared = f"DECLARE {variables} " if variables else ""
    return f"DO {quotes} {declared}BEGIN\n{statements}\nEND {quotes};"


_FIELDS: Final = "key, version, payload, accessed, expires, subject"
_DIGEST: Final = "substring(sha256(subject) FROM 1 FOR 8)"
_WANTED: Final = "substring(sha256($1::bytea) FROM 1 FOR 8)"
_SUBJECT: Final = f"{_DIGEST} = {_WANTED} AND subject = $1::bytea"
# Two rows are compared, in place of `_SUBJECT` and keys: the server cannot tell how many records that finds, and reads
# them in the index's order until the page is full. Where it takes a subject for a rare one, as before the first ANALYZE
# of a table, it would read and sort all of that subject's records for each page. No key is as great as the last one.
_PAGE: Final = (
    f"WHERE subject IS NOT NULL AND ({_DIGEST}, key) > ({_WANTED}, $2::bytea) "
    f"AND ({_DIGEST}, key) <= ({_WANTED}, decode(repeat('ff', 65), 'hex')) ORDER BY {_DIGEST}, key LIMIT $3"
)
_TYPES: Final = {
    "key": "bytea",
    "version": "bigint",
    "payload": "bytea",
    "accessed": "bigint",
    "expires": "bigint",
    "subject": "bytea",
    "expected": "bigint",
}


class Statements:
    """The statements on one table.

    Those that serve callers take either one array for each field, whatever the number of callers, or one parameter for
    each field of each caller. The client handles plain values in half the time, so a single caller gets those. And for
    arrays of bytes or numbers asyncpg has to ask the catalog once for each connection, with a query that takes seconds
    where it cannot turn the server's just-in-time compiler off for the session: behind a pooler all get those.
    """

    def __init__(self, table: Table) -> None:
        name = self._name = table.name
        self.version: str = f"SELECT coalesce(max(version), 0) FROM {table.migrations}"
        # 0 where the table is gone and that of its migrations is not, so that the one is made again.
        self.current: str = f"SELECT CASE WHEN to_regclass({_literal(name)}) IS NULL THEN 0 ELSE ({self.version}) END"
        self.find: str = f"SELECT {_FIELDS} FROM {name} WHERE {_SUBJECT}"
        self.find_page: str = f"SELECT {_FIELDS} FROM {name} {_PAGE}"
        self.scan: str = f"SELECT {_FIELDS} FROM {name} WHERE key > $1 ORDER BY key LIMIT $2"
        self.counted: str = f"SELECT count(*) AS n FROM {name}"
        self.estimated = "SELECT reltuples::bigint AS n FROM pg_class WHERE oid = to_regclass($1)"
        # The server may plan it without a look at the time, or with figures of before the last sweep. Only the index's
        # order keeps it from reading the whole table for the few that have expired. And `greatest` keeps it from taking
        # the two conditions for independent, and so from reading and sorting all that has expired for each batch.
        self.sweep: str = f"""
            WITH gone AS MATERIALIZED (
                SELECT key FROM {name} WHERE expires_hour <= $1::bigint / 3600000 AND greatest(expires, $1) <= $1
                ORDER BY expires_hour LIMIT $2 FOR UPDATE SKIP LOCKED)
            DELETE FROM {name} WHERE key = ANY(ARRAY(SELECT key FROM gone)) AND expires <= $1"""
        self._made: dict[tuple[str, int], str] = {}

    def serving(self, kind: str, callers: int) -> str:
        """Return the statement of that kind with parameters for so many callers, or with arrays for ``callers=0``."""
        statement = self._made.get((kind, callers))
        if statement is None:
            statement = self._made[kind, callers] = _KINDS[kind](self._name, callers)
        return statement


def _given(callers: int, *fields: str) -> str:
    """Return the rows that the callers gave, under the name ``g``."""
    names = ", ".join(fields)
    if not callers:
        arrays = ", ".join(f"${number}::{_TYPES[field]}[]" for number, field in enumerate(fields, 1))
        return f"g AS (SELECT * FROM unnest({arrays}) AS g({names}))"
    rows = (
        ", ".join(f"${start + number}::{_TYPES[field]}" for number, field in enumerate(fields, 1))
        for start in range(0, callers * len(fields), len(fields))
    )
    return f"g ({names}) AS (VALUES ({'), ('.join(rows)}))"


def _keys(callers: int, width: int) -> str:
    """Return the condition that a key is one of those given; ``width`` is how many values each caller gives."""
    if callers == 1:
        return "key = $1::bytea"
    if not callers:
        return "key = ANY($1::bytea[])"
    return f"key = ANY(ARRAY[{', '.join(f'${at}::bytea' for at in range(1, callers * width + 1, width))}])"


def _there(name: str, callers: int, width: int, fields: str = _FIELDS) -> str:
    """Return the rows that are there, locked, under the name ``there``."""
    return f"there AS MATERIALIZED (SELECT {fields} FROM {name} WHERE {_keys(callers, width)} ORDER BY key FOR UPDATE)"


_GIVEN: Final = "accessed = g.accessed, expires = g.expires"
_LATER: Final = "accessed = greatest(s.accessed, g.accessed), expires = greatest(s.expires, g.expires)"
_ANSWER: Final = """
    SELECT h.key, d.key IS NOT NULL AS done, h.version, CASE WHEN d.key IS NULL THEN h.payload END AS payload,
           h.accessed, h.expires, h.subject
    FROM there h LEFT JOIN done d ON d.key = h.key"""


def _load(name: str, callers: int) -> str:
    return f"SELECT {_FIELDS} FROM {name} WHERE {_keys(callers, 1)}"


def _create(name: str, callers: int) -> str:
    return f"""
        WITH {_given(callers, "key", "version", "payload", "accessed", "expires", "subject")},
        done AS (
            INSERT INTO {name} ({_FIELDS}) SELECT {_FIELDS} FROM g ORDER BY key
            ON CONFLICT (key) DO NOTHING RETURNING key)
        SELECT g.key, d.key IS NOT NULL AS done, s.version, s.payload, s.accessed, s.expires, s.subject
        FROM g LEFT JOIN done d ON d.key = g.key
        LEFT JOIN LATERAL (SELECT {_FIELDS} FROM {name} WHERE key = g.key OFFSET 0) s ON d.key IS NULL"""


def _update(name: str, callers: int, times: str = _LATER) -> str:
    return f"""
        WITH {_given(callers, "key", "version", "payload", "accessed", "expires", "subject", "expected")},
        {_there(name, callers, 7)},
        done AS (
            UPDATE {name} s SET version = g.version, payload = g.payload, subject = g.subject, {times}
            FROM g JOIN there h ON h.key = g.key AND h.version = g.expected
            WHERE s.key = h.key RETURNING s.key){_ANSWER}"""


def _replace(name: str, callers: int) -> str:
    return _update(name, callers, _GIVEN)


def _touch(name: str, callers: int) -> str:
    return f"""
        WITH {_given(callers, "key", "accessed", "expires")},
        {_there(name, callers, 3, "key")},
        done AS (
            UPDATE {name} s SET {_LATER} FROM g JOIN there h ON h.key = g.key
            WHERE s.key = h.key AND (s.accessed < g.accessed OR s.expires < g.expires))
        SELECT key FROM there"""


def _delete(name: str, callers: int) -> str:
    return f"""
        WITH {_given(callers, "key", "expected")},
        {_there(name, callers, 2)},
        done AS (
            DELETE FROM {name} s USING g JOIN there h
                ON h.key = g.key AND (g.expected IS NULL OR h.version = g.expected)
            WHERE s.key = h.key RETURNING s.key){_ANSWER}"""


_KINDS: Final[Mapping[str, Callable[[str, int], str]]] = {
    "load": _load,
    "create": _create,
    "update": _update,
    "replace": _replace,
    "touch": _touch,
    "delete": _delete,
}
