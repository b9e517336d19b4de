"""Stores by their URLs."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

from limpet.contract import ClientStore, Store
from limpet.errors import ConfigurationError, MissingDependency

__all__ = ["CLASSES", "EXTRAS", "open_store"]

CLASSES: Final = {
    "CookieStore": "cookie",
    "FileStore": "file",
    "MemoryStore": "memory",
    "PostgresStore": "postgres",
    "RedisStore": "redis",
    "SQLiteStore": "sqlite",
    "WrappingStore": "wrapping",
}
"""The modules of this package by the class that each has."""
EXTRAS: Final = {"RedisStore": "redis", "PostgresStore": "postgres"}
"""What has to be installed for a class."""
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
        store_class: Any = getattr(import_module(f"limpet.stores.{CLASSES[name]}"), name)
        if name == "CookieStore":
            return _cookie(store_class, rest)
        store: Store = store_class.from_url(f"{scheme}:{rest}")
    except ModuleNotFoundError as error:
        if name not in EXTRAS or (error.name or "").partition(".")[0] == "limpet":
            raise
        raise MissingDependency(f"a {scheme}: store", EXTRAS[name]) from error
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
