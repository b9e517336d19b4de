"""A session that no request has: ``interface.create_session(key)``, to be loaded and saved by hand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from limpet.adapters.nexios._mapping import Words, zoned

__all__ = ["StandaloneSession"]


class StandaloneSession(Words):
    """A session over a session interface, as Nexios 3.12 makes it: a mapping with ``await load()``, ``await save()``.

    Nothing is merged and nothing is saved by itself: of two that are saved, the later one stays.

    Args:
        interface: The interface that loads and saves it.
        session_key: What it is kept under; None for a new one.

    Attributes:
        interface: The same.
        session_key: The same; a new session gets it when it is saved.
        modified: Whether it was written since it was saved. A change inside of a value does not count.
        accessed: Whether it was used since it was saved.
        deleted: Whether it was cleared since it was saved. Saving it then forgets it.
    """

    def __init__(self, interface: Any, session_key: str | None = None) -> None:
        self.interface = interface
        self.session_key = session_key
        self.modified = self.accessed = self.deleted = False
        self._session_cache: dict[str, Any] = {}
        self._ends: datetime | None = None

    async def load(self) -> None:
        """Read it."""
        await _answer(self.interface.load(self))

    async def save(self) -> Any:
        """Keep it, or forget it if it was cleared; return what the interface does, which is its key."""
        key = await _answer(self.interface.save(self))
        self.modified = self.accessed = self.deleted = False
        return key

    def clear(self) -> None:
        """Empty it; saved so, it is forgotten."""
        self._session_cache.clear()
        self.modified = self.accessed = self.deleted = True

    def get_session_key(self) -> str:
        """Return what it is kept under, or a new key."""
        return self.session_key or str(self.interface.generate_session_key())

    def set_expiry(self, life: float | timedelta | None) -> None:
        """Let it end so many seconds after now; None: as configured."""
        self._ends = None if life is None else datetime.now(UTC) + _span(life)

    def get_expiry_age(self) -> int:
        """Return the seconds that it has left."""
        return max(0, round((self.get_expiration_time() - datetime.now(UTC)).total_seconds()))

    def set_expiration_time(self, expiration: datetime) -> None:
        """Let it end at that time.

        Raises:
            ConfigurationError: The time has no zone.
        """
        self._ends = zoned(expiration)

    def get_expiration_time(self) -> datetime:
        """Return when it ends: when it was told to, or as configured from now on."""
        return self._ends or datetime.now(UTC) + _span(self.interface.get_lifetime())

    def has_expired(self) -> bool:
        """Return whether that time has passed."""
        return self.get_expiration_time() <= datetime.now(UTC)

    @property
    def should_set_cookie(self) -> bool:
        """Whether there is something to save."""
        return self.modified

    def is_empty(self) -> bool:
        """Return whether there is nothing in it."""
        return not self._session_cache

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        return self._session_cache[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._session_cache[key] = value
        self.modified = self.accessed = True

    def __delitem__(self, key: str) -> None:
        del self._session_cache[key]
        self.modified = self.accessed = True

    def __iter__(self) -> Iterator[str]:
        self.accessed = True
        return iter(self._session_cache)

    def __len__(self) -> int:
        self.accessed = True
        return len(self._session_cache)

    def __contains__(self, key: object) -> bool:
        self.accessed = True
        return key in self._session_cache

    def __repr__(self) -> str:
        # A cookie session's key is its whole content, so not all of it is shown.
        return f"<Session {(self.session_key or 'new')[:8]}, {len(self._session_cache)} keys>"


async def _answer(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _span(life: float | timedelta) -> timedelta:
    return life if isinstance(life, timedelta) else timedelta(seconds=life)
