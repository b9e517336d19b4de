"""Sessions in one SQLite file; see `limpet.stores.sqlite.store`."""

from __future__ import annotations

from limpet.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
