"""What the errors of asyncpg and of the server mean: which are an outage, and which are worth asking once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from limpet.errors import StoreUnavailable

__all__ = ["FAILURES", "NO_TABLE", "Explains", "TurnedReadOnly", "is_lost", "is_refused", "is_told"]


class TurnedReadOnly(Exception):
    """A server that took writes when it was connected to takes none any more; what it was just asked has not failed."""


# InternalClientError is neither a PostgresError nor an InterfaceError; a ValueError is what asyncpg says of a URL.
FAILURES: Final = (
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    *(OSError, EOFError, ValueError, TurnedReadOnly),
)
"""What the client raises when the service fails, refuses or is out of reach."""
NO_TABLE: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_READ_ONLY: Final = "25006"
_ENDED: Final = ("08", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04")
"""Beginnings of the codes that say that a connection has ended: connection exceptions, shutdowns, and time limits."""
_CURES: Final = {
    "25006": "the server is read-only: name the primary, or several hosts",
    "28000": "the server does not let this user in: see pg_hba.conf",
    "28P01": "user name and password are missing or wrong",
    "3D000": "there is no such database: create it",
    "42501": "this user lacks a right: an administrator can run what `limpet migrate --sql` prints",
    "53100": "the server's disk is full",
    "53300": "raise max_connections of the server, lower that of the store, or put PgBouncer in front",
    "55P03": "another session holds a lock: pg_locks and pg_stat_activity say which",
    "57014": "the server did not get it done in the time that the store may take",
}
_SHOWN: Final = 300


def is_refused(error: BaseException) -> bool:
    """Tell whether the server is read-only: what it was asked has certainly not happened."""
    return isinstance(error, TurnedReadOnly) or getattr(error, "sqlstate", None) == _READ_ONLY


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone, so that what was asked may have happened or not."""
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "sqlstate", None) or "").startswith(_ENDED)
    return isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError))


def is_told(error: BaseException) -> bool:
    """Tell whether the server has said why a connection ends: an error of its own, or the cause of the client's."""
    return any(getattr(each, "severity", None) is not None for each in (error, error.__cause__))


class Explains:
    """Makes of an error the one that callers see: what was said, and what to do; no password, and none in its causes.

    Args:
        where: The place.
        table: The table.
        secrets: What must not be shown.
    """

    def __init__(self, where: str, table: str, secrets: Sequence[str]) -> None:
        self.where = where
        self._table = table
        self._secrets = secrets

    def __call__(self, error: BaseException) -> StoreUnavailable:
        """Return the error for callers."""
        if isinstance(error, StoreUnavailable):
            return error
        if isinstance(error, NO_TABLE):
            step = "run `limpet migrate`, or let PostgresStore(create=True) do it"
            said = f"{self.where} has no table {self._table}: {step}"
        else:
            if isinstance(error, asyncpg.PostgresError):
                vars(error)["detail"] = None  # the server may put the values of a row there
            words = str(error) or type(error).__name__
            for secret in self._secrets:
                words = words.replace(secret, "***")
            cure = _CURES.get(getattr(error, "sqlstate", None) or "")
            said = f"{self.where} failed: {words[:_SHOWN]}" + (f" ({cure})" if cure else "")
        failure = StoreUnavailable(said)
        failure.__cause__ = self._bare(error)
        return failure

    def _bare(self, error: BaseException) -> BaseException | None:
        """Return an error without its frames, whose variables hold the password; None: it holds that itself."""
        error.__traceback__ = error.__cause__ = error.__context__ = None
        shown = f"{error!r} {vars(error)!r}"
        return None if any(secret in shown for secret in self._secrets) else error
