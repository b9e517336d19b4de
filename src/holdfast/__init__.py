"""Web sessions: one engine, any framework, any store.

Two requests at once both count, and what was logged out stays logged out, on every server-side store.

Begin with `SessionManager` and the adapter of your framework (`holdfast.adapters`). To write a store, see
`holdfast.stores`;
to test with sessions, `holdfast.testing`. The engine is in `holdfast._core`.
"""

from __future__ import annotations

from holdfast._core.keyring import Key, Keyring
from holdfast._core.policy import CookiePolicy, SessionPolicy
from holdfast._core.session import Session
from holdfast.errors import (
    ConfigurationError,
    CookieTooLarge,
    HoldfastError,
    HoldfastWarning,
    InvalidSessionData,
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
from holdfast.manager import SessionManager

__all__ = [
    "ConfigurationError",
    "CookiePolicy",
    "CookieTooLarge",
    "HoldfastError",
    "HoldfastWarning",
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
