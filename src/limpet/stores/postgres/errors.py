"""What the errors of the drivers and of the server mean: which are an outage, and which are worth asking once more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from limpet.errors import StoreUnavailable
from limpet.stores._connections import SILENCE
from limpet.stores.postgres.sql import Named

__all__ = ["Explains", "TurnedReadOnly", "failures", "is_answer", "is_lost", "is_refused", "is_told", "lacks_table"]


class TurnedReadOnly(Exception):
    """A server that took writes when it was connected to takes none any more; what it was just asked has not failed."""


def failures() -> tuple[type[BaseException], ...]:
    """Return what a driver raises when the service fails, refuses or is out of reach; of those that are loaded."""
    found: list[type[BaseException]] = [OSError, EOFError, ValueError, TurnedReadOnly]  # ValueError: about a URL
    asyncpg: Any = sys.modules.get("asyncpg")
    if asyncpg is not None:  # InternalClientError is neither of the others
        found += [asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError]
    psycopg: Any = sys.modules.get("psycopg")
    if psycopg is not None:
        found.append(psycopg.Error)
    return tuple(found)


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_READ_ONLY: Final = "25006"
_ENDED: Final = ("08", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04")
"""Beginnings of the codes that say that a connection has ended: connection exceptions, shutdowns, and time limits."""
_FOREIGN: Final = (
    "limpet has not made this table, or somebody has changed it since: give the sessions another schema or table, or "
    "make it as `limpet migrate --sql` prints"
)
_CURES: Final = {
    "25006": "the server is read-only: name the primary, or several hosts",
    "28000": "the server does not let this user in: see pg_hba.conf",
    "28P01": "user name and password are missing or wrong",
    "3D000": "there is no such database: create it",
    "42501": "this user lacks a right: let an administrator run what `limpet migrate --sql` prints, and grant this "
    "user CONNECT on the database, USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on its tables",
    "42939": "PostgreSQL keeps names that begin with pg_ for itself: choose another one",
    **dict.fromkeys(("42703", "42804", "42809", "42883", "42P10"), _FOREIGN),
    "53100": "the server's disk is full",
    "53300": "raise max_connections of the server, lower that of the store, or put PgBouncer in front",
    "55P03": "another session holds a lock: pg_locks and pg_stat_activity say which",
    "57014": "the server did not get it done in the time that the store may take",
}
_WAITED: Final = ("55P03", "57014")  # lock_not_available, query_canceled: by a time limit that the store has set
_NO_TABLE: Final = ("42P01", "3F000")  # undefined_table, invalid_schema_name
_SHOWN: Final = 300


def is_answer(error: BaseException) -> bool:
    """Tell whether the server has said this, and not the driver or the network."""
    return getattr(error, "sqlstate", None) is not None


def lacks_table(error: BaseException) -> bool:
    """Tell whether the table or its schema is not there."""
    return getattr(error, "sqlstate", None) in _NO_TABLE


def is_refused(error: BaseException) -> bool:
    """Tell whether the server is read-only: what it was asked has certainly not happened."""
    return isinstance(error, TurnedReadOnly) or getattr(error, "sqlstate", None) == _READ_ONLY


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone, so that what was asked may have happened or not."""
    state: str | None = getattr(error, "sqlstate", None)
    if state is not None:
        return state.startswith(_ENDED)
    return isinstance(error, failures()) and not isinstance(error, (ValueError, TurnedReadOnly))


def is_told(error: BaseException) -> bool:
    """Tell whether the server has said why a connection ends: an error of its own, or the cause of the client's."""
    return any(_severity(each) is not None for each in (error, error.__cause__))


def _severity(error: BaseException | None) -> str | None:
    told: Any = getattr(error, "diag", error)  # psycopg keeps it there
    severity: str | None = getattr(told, "severity", None)
    return severity


class Explains:
    """Makes of an error the one that callers see: what was said, and what to do; no password, and none in its causes.

    Args:
        where: The place.
        tables: The table, and the one of its migrations.
        secrets: What must not be shown.
    """

    def __init__(self, where: str, tables: tuple[Named, Named], secrets: Sequence[str]) -> None:
        self.where = where
        self._tables = tables
        self._secrets = secrets

    def __call__(self, error: BaseException) -> StoreUnavailable:
        """Return the error for callers."""
        if isinstance(error, StoreUnavailable):
            return error
        waited = isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) in _WAITED
        if lacks_table(error):
            table, migrations = self._tables  # named whatever the language is in which the server says so
            said = self._lacks(migrations if migrations.plain in _said(error) else table)
        else:
            silent = isinstance(error, TimeoutError)
            words = _said(error) or ("no answer came in time" if silent else type(error).__name__)
            for secret in self._secrets:
                words = words.replace(secret, "***")
            cure = SILENCE if silent else _CURES.get(getattr(error, "sqlstate", None) or "")
            said = f"{self.where} failed: {words[:_SHOWN]}" + (f" ({cure})" if cure else "")
        failure = StoreUnavailable(said, waited=waited)
        failure.__cause__ = self._bare(error)
        return failure

    def missing(self) -> StoreUnavailable:
        """Return the error for callers where there is no table of sessions."""
        return StoreUnavailable(self._lacks(self._tables[0]))

    def _lacks(self, table: Named) -> str:
        step = "run `limpet migrate`, or let PostgresStore(create=True) do it"
        return f"{self.where} has no table {table.quoted}: {step}"

    def _bare(self, error: BaseException) -> BaseException | None:
        """Return an error without its frames, whose variables hold the password; None: it holds that itself."""
        if hasattr(error, "diag"):  # psycopg's holds the server's whole answer, and the connection
            error = type(error)(_said(error))
        error.__traceback__ = error.__cause__ = error.__context__ = None
        shown = f"{error!r} {vars(error)!r}"
        return None if any(secret in shown for secret in self._secrets) else error


def _said(error: BaseException) -> str:
    """Return the words of an error, without its details: the server may put the values of a row there."""
    diagnosis: Any = getattr(error, "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        return str(diagnosis.message_primary)
    if is_answer(error):
        vars(error)["detail"] = None
    return str(error)
