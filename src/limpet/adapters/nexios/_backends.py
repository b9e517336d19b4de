"""Backends: the two that Nexios documents, and the base class of a user's own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from limpet.adapters.nexios._words import Words

__all__ = ["BaseSessionInterface", "FileSessionInterface", "FileSessionManager", "SignedSessionManager"]


class SignedSessionManager:
    """Names the backend that keeps the whole session in its cookie, encrypted. Nothing is kept on the server."""


class FileSessionInterface:
    """Names the backend that keeps one file for each session, see `limpet.stores.FileStore`."""


FileSessionManager = FileSessionInterface


class BaseSessionInterface(Words):
    """To be subclassed: a backend of your own, one object for one session.

    ``load`` fills ``self._data`` with what is kept under ``self.session_key``, and ``save`` keeps it; both plain or
    ``async``. What is in ``_data`` is what the handler stored, and under ``_limpet`` what the engine must not lose:
    keep and return it whole. Empty ``_data`` means that the session has ended. Raise what your driver raises when the
    service fails; the visitor is answered 503. A ``load`` that finds nothing leaves ``_data`` empty.

    What such a class cannot give, because it has no conditional write, and `limpet.stores.Store` does:

    * Two requests at once are merged within one process, where they queue. From two processes the later one wins.
    * A session that one process ends while another saves it can come back.
    * Nothing finds the sessions of one user, and nothing sweeps what has expired: that is the class's own task, for
      which it has `get_expiry_age`.

    Expiry, fresh ids and hashed keys it does give: the engine judges the first from what it keeps in ``_data``.

    Args:
        session_key: What the session is kept under, the hash of its id; None for a new one if your ``__init__`` has a
            default for it.
    """

    _next_key: str | None = None
    _life: int = 86_400

    def __init__(self, session_key: str | None = None) -> None:
        self.session_key = session_key
        self.modified = False
        self.deleted = False
        self._data: dict[str, Any] = {}

    @property
    def _session_cache(self) -> dict[str, Any]:
        return self._data

    @_session_cache.setter
    def _session_cache(self, data: dict[str, Any]) -> None:
        self._data = data

    def generate_sid(self) -> str:
        """Return the key for a new session."""
        return self._next_key or secrets.token_hex(32)

    generate_session_key = generate_sid

    def get_session_key(self) -> str | None:
        """Return what the session is kept under."""
        return self.session_key

    def get_expiry_age(self) -> int:
        """Return the seconds for which the session has to be kept."""
        return self._life

    def load(self) -> Any:
        """Fill ``self._data``."""
        raise NotImplementedError(f"{type(self).__name__} has no load()")

    def save(self) -> Any:
        """Keep ``self._data``."""
        raise NotImplementedError(f"{type(self).__name__} has no save()")

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._data[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self._data[key]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)
