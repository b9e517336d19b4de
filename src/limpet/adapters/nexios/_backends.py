"""The base class of a backend of a user's own, in both shapes that Nexios documents."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from limpet.adapters.nexios._config import section
from limpet.adapters.nexios._mapping import Words
from limpet.adapters.nexios._settings import Settings

__all__ = ["BaseSessionInterface"]


class BaseSessionInterface(Words):
    """To be subclassed: a backend of your own, one object for one session; or, as in 3.12, one for all.

    One object for one session: ``load`` fills ``self._data`` with what is kept under ``self.session_key``, and ``save``
    keeps it; both plain or ``async``. What is in ``_data`` is what the handler stored, and under ``_limpet`` what the
    engine must not lose: keep and return it whole. Empty ``_data`` means that the session has ended. Raise what your
    driver raises when the service fails; the visitor is answered 503. A ``load`` that finds nothing leaves ``_data``
    empty.

    One object for all sessions: the same, with the session as an argument of ``load`` and ``save``, its key from
    ``session.get_session_key()`` and its data in ``session._session_cache``.

    What such a class cannot give, because it has no conditional write, and `limpet.stores.Store` does:

    * Two requests at once are merged within one process, where they queue. From two processes the later one wins.
    * A session that one process ends while another saves it can come back. A lock (`limpet.Session.exclusive`) is held
      against the others of one process only.
    * Nothing finds the sessions of one user, and nothing sweeps what has expired: that is the class's own task, for
      which it has `get_expiry_age`.

    Expiry, fresh ids and hashed keys it does give: the engine judges the first from what it keeps in ``_data``.

    Args:
        session_key: What the session is kept under, the hash of its id; None for a new one if your ``__init__`` has a
            default for it. Settings may stand in its place.
        config: The settings of the sessions, for one object for all.

    Attributes:
        config: The same.
    """

    _next_key: str | None = None
    _life: int = 86_400

    def __init__(self, session_key: Any = None, config: Any = None) -> None:
        if session_key is not None and not isinstance(session_key, str):
            session_key, config = None, session_key
        self.config = config
        self.options: dict[str, Any] = {} if config is None else section(config, type(self).__name__)
        self.session_key: str | None = session_key
        self.modified: bool = False
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

    def create_session(self, session_key: str | None = None) -> Any:
        """Return a session of this interface that stands alone, to be loaded and saved by hand.

        Args:
            session_key: What it is kept under; None for a new one.
        """
        from limpet.adapters.nexios._standalone import StandaloneSession

        return StandaloneSession(self, session_key)

    def get_lifetime(self) -> float | timedelta:
        """Return how long an unused session lives, as configured: seconds or a timedelta."""
        return self._settings.expiry

    def get_cookie_name(self) -> str:
        """Return the cookie's name, as configured; the next six methods are its attributes."""
        return self._settings.cookie_name

    def get_cookie_domain(self) -> str | None:
        """Return the domain, or None for the host alone."""
        return self._settings.cookie_domain

    def get_cookie_path(self) -> str:
        """Return the path."""
        return self._settings.cookie_path

    def get_cookie_httponly(self) -> bool:
        """Return whether scripts are kept from it."""
        return self._settings.cookie_httponly

    def get_cookie_secure(self) -> bool:
        """Return whether it goes over https only."""
        return self._settings.cookie_secure

    def get_cookie_samesite(self) -> str:
        """Return its SameSite."""
        return self._settings.cookie_samesite

    def get_cookie_partitioned(self) -> bool:
        """Return whether there is one for each top-level site."""
        return self._settings.cookie_partitioned

    @property
    def _settings(self) -> Settings:
        return Settings(**self.options)

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
