"""Sessions in PostgreSQL; see `limpet.stores.postgres.store`."""

from __future__ import annotations

from limpet.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
