"""Where sessions are kept.

`open_store` makes a store from a URL. To write a store of your own, everything that its file needs is
here: `Store` (the contract, in prose), `Record`, the outcomes `DONE` and `ABSENT`, the optional powers, and
`WrappingStore` for one that stands in front of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy import lazily
from limpet.contract import (
    ABSENT,
    DONE,
    NEVER,
    Checks,
    ClientStore,
    Counts,
    Finds,
    Immediate,
    LoadsMany,
    Outcome,
    Pages,
    Record,
    Replaces,
    Scans,
    Settles,
    Store,
    Sweeps,
    SweepsInParts,
    Urgent,
    supports,
)
from limpet.stores._opening import CLASSES, EXTRAS, open_store

if TYPE_CHECKING:
    from limpet.stores.cookie import CookieStore
    from limpet.stores.file import FileStore
    from limpet.stores.memory import MemoryStore
    from limpet.stores.postgres import PostgresStore
    from limpet.stores.redis import RedisStore
    from limpet.stores.sqlite import SQLiteStore
    from limpet.stores.wrapping import WrappingStore

__all__ = [
    "ABSENT",
    "DONE",
    "NEVER",
    "Checks",
    "ClientStore",
    "CookieStore",
    "Counts",
    "FileStore",
    "Finds",
    "Immediate",
    "LoadsMany",
    "MemoryStore",
    "Outcome",
    "Pages",
    "PostgresStore",
    "Record",
    "RedisStore",
    "Replaces",
    "SQLiteStore",
    "Scans",
    "Settles",
    "Store",
    "Sweeps",
    "SweepsInParts",
    "Urgent",
    "WrappingStore",
    "open_store",
    "supports",
]

if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, CLASSES, __all__, EXTRAS)
