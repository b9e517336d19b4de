"""Where sessions are kept.

`open_store` makes a store from a URL. To write a store of your own, everything that its file needs is
here: `Store` (the contract, in prose), `Record`, the outcomes `DONE` and `ABSENT`, the optional powers, and
`WrappingStore` for one that stands in front of another.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from limpet._core.protocols import (
    ABSENT,
    DONE,
    Checks,
    ClientStore,
    Finds,
    Immediate,
    LoadsMany,
    Outcome,
    Pages,
    Replaces,
    Scans,
    Settles,
    Store,
    Sweeps,
    supports,
)
from limpet._core.record import NEVER, Record
from limpet._lazy import lazily
from limpet.errors import ConfigurationError, MissingDependency

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
    "WrappingStore",
    "open_store",
    "supports",
]

_CLASSES: Final = {
    "CookieStore": "cookie",
    "FileStore": "file",
    "MemoryStore": "memory",
    "PostgresStore": "postgres",
    "RedisStore": "redis",
    "SQLiteStore": "sqlite",
    "WrappingStore": "wrapping",
}
_REDIS: Final = ("redis", "rediss", "valkey", "valkeys")
_SCHEMES: Final = {
    "memory": "MemoryStore",
    "file": "FileStore",
    "sqlite": "SQLiteStore",
    **{scheme + way: "RedisStore" for way in ("", "+sentinel", "+cluster") for scheme in _REDIS},
    "redis+unix": "RedisStore",
    "valkey+unix": "RedisStore",
    "postgresql": "PostgresStore",
    "postgres": "PostgresStore",
    "cookie": "CookieStore",
}
_EXTRAS: Final = {"RedisStore": "redis", "PostgresStore": "postgres"}
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}")
_EXAMPLES: Final = "sqlite:///sessions.db, redis://localhost:6379/0, postgresql://localhost/app"


def open_store(url: str) -> Store | ClientStore:
    """Return the store that a URL names. Nothing is opened yet: the first use does that.

    Raises:
        ConfigurationError: The scheme or an option is unknown; the message lists those that exist.
        MissingDependency: The store's client is not installed; the message names the extra.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        # The value is not shown: a secret may have been put in the store's place.
        raise ConfigurationError(f"a store is named by a URL, and this value has no scheme. Examples: {_EXAMPLES}")
    scheme = scheme.lower()
    name = _SCHEMES.get(scheme)
    if name is None:
        known = ", ".join(_SCHEMES)
        raise ConfigurationError(f"no store has the scheme {scheme!r}; there are: {known}. Examples: {_EXAMPLES}")
    try:
        store_class: Any = getattr(import_module(f"{__name__}.{_CLASSES[name]}"), name)
        if name == "CookieStore":
            return _cookie(store_class, rest)
        store: Store = store_class.from_url(f"{scheme}:{rest}")
    except ModuleNotFoundError as error:
        if name not in _EXTRAS or (error.name or "").partition(".")[0] == "limpet":
            raise
        raise MissingDependency(f"a {scheme}: store", _EXTRAS[name]) from error
    return store


def _cookie(store_class: Any, rest: str) -> ClientStore:
    from limpet.stores._url import options, seconds, text

    kinds = {"revocation": text, "store": text, "cache": seconds}
    mode, found = options(f"cookie:{rest}", kinds)
    names = {"store": "revocation_store", "cache": "revocation_cache"}
    settings = {names.get(name, name): value for name, value in found.items()}
    if mode not in ("", "encrypted", "signed"):
        raise ConfigurationError(f"a cookie store is 'cookie:' (encrypted) or 'cookie:signed', not 'cookie:{mode}'")
    store: ClientStore = store_class(encrypted=mode != "signed", **settings)
    return store


if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, _CLASSES, __all__, _EXTRAS)
