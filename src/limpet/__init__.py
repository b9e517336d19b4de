"""Web sessions: one engine, any framework, any store.

Two requests at once both count, and what was logged out stays logged out, on every server-side store.

Begin with `SessionManager` and the adapter of your framework (`limpet.adapters`). To write a store, see
`limpet.stores`;
to test with sessions, `limpet.testing`. The engine is in `limpet._core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._lazy import lazily
from limpet.errors import (
    ConfigurationError,
    CookieTooLarge,
    InvalidSessionData,
    LimpetError,
    LimpetWarning,
    MissingDependency,
    SessionBusy,
    SessionClosed,
    SessionConflict,
    SessionEnded,
    SessionError,
    SessionLimitReached,
    SessionNotLoaded,
    StoreError,
    StoreUnavailable,
    UnstorableValue,
    WeakSecret,
)

if TYPE_CHECKING:
    from limpet._core.session import Session
    from limpet._merge import MISSING
    from limpet.keyring import Key, Keyring
    from limpet.manager import SessionManager
    from limpet.policy import CookiePolicy, SessionPolicy

__all__ = [
    "MISSING",
    "ConfigurationError",
    "CookiePolicy",
    "CookieTooLarge",
    "LimpetError",
    "LimpetWarning",
    "InvalidSessionData",
    "Key",
    "Keyring",
    "MissingDependency",
    "Session",
    "SessionBusy",
    "SessionClosed",
    "SessionConflict",
    "SessionEnded",
    "SessionError",
    "SessionLimitReached",
    "SessionManager",
    "SessionNotLoaded",
    "SessionPolicy",
    "StoreError",
    "StoreUnavailable",
    "UnstorableValue",
    "WeakSecret",
]

__version__ = "0.1.0"

_PLACES: Final = {
    "MISSING": "_merge",
    "CookiePolicy": "policy",
    "Key": "keyring",
    "Keyring": "keyring",
    "Session": "_core.session",
    "SessionManager": "manager",
    "SessionPolicy": "policy",
}

if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, _PLACES, __all__)
