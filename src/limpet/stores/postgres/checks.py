"""What a PostgreSQL server says of itself that an operator of sessions should fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from limpet.stores.postgres.sql import MIGRATIONS

__all__ = ["CLOCK", "CONNECTIONS", "QUESTION", "complaints"]

QUESTION: Final = """
    SELECT current_setting('server_version_num')::int AS server_version,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('fsync') AS fsync,
           current_setting('transaction_isolation') AS isolation,
           current_setting('transaction_read_only') AS read_only,
           current_setting('autovacuum') AS autovacuum,
           current_setting('max_connections')::int AS max_connections,
           (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL) AS connected,
           pg_is_in_recovery() AS in_recovery,
           (SELECT relpersistence::text FROM pg_class WHERE oid = to_regclass($1)) AS persistence,
           row_security_active(to_regclass($1)) AS row_security
"""

CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now"

# reserved_connections exists since PostgreSQL 16.
CONNECTIONS: Final = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0) AS accepted,
           (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL) AS connected
"""


def complaints(state: Mapping[str, Any], *, version: int, connections: int) -> Iterator[str]:
    """Yield one sentence for each dangerous thing in the answer to `QUESTION`; ``version`` is the schema's."""
    if state["server_version"] < 120_000:
        yield f"the server's version is {state['server_version'] // 10_000}, and sessions need 12 or later: upgrade it"
    if state["in_recovery"] or state["read_only"] == "on":
        yield "the server is read-only, so no session can be saved: name the primary"
    if state["synchronous_commit"] == "off":
        yield "synchronous_commit is off: a crash undoes the last logins and logouts; set it to on for this database"
    if state["fsync"] == "off":
        yield "fsync is off: a power failure can destroy the whole database; set it to on"
    if state["isolation"] != "read committed":
        yield (
            f"default_transaction_isolation is {state['isolation']}: two requests on one session make an error instead "
            "of being merged; set it to 'read committed' for this user"
        )
    if state["autovacuum"] == "off":
        yield "autovacuum is off: the table of sessions grows without end; set it to on"
    if state["persistence"] == "u":
        yield "the table is unlogged: a crash empties it and logs everybody out; use ALTER TABLE ... SET LOGGED"
    if state["row_security"]:
        yield (
            "row-level security hides sessions from this user: use ALTER TABLE ... DISABLE ROW LEVEL SECURITY, or a "
            "policy that lets this user read and write all rows"
        )
    if version < len(MIGRATIONS):
        yield f"the schema's version is {version} and this library's {len(MIGRATIONS)}: run `limpet migrate`"
    if version > len(MIGRATIONS):
        yield (
            f"the schema's version is {version} and this library's {len(MIGRATIONS)}: a later version of limpet has "
            "migrated it; upgrade the workers that run this one"
        )
    if state["connected"] + connections > state["max_connections"]:
        yield (
            f"max_connections is {state['max_connections']}, {state['connected']} are in use, and each worker may open "
            f"{connections}: raise it, lower max_connections of the store, or put PgBouncer in front"
        )
