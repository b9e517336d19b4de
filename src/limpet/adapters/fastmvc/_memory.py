"""Sessions in the memory of one process, for development and tests."""

from __future__ import annotations

import copy
import time
from typing import Any

from limpet.adapters.fastmvc._store import SessionStore

__all__ = ["InMemorySessionStore"]


class InMemorySessionStore(SessionStore):
    """Sessions that a restart forgets and other processes do not see.

    Two requests at once both count, and what was logged out stays logged out: one process is all that there is.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[dict[str, Any], float]] = {}

    async def get(self, session_id: str) -> dict[str, Any] | None:
        """Return the data, or None when there is none or its time is over."""
        data, ends = self._sessions.get(session_id, (None, 0.0))
        return copy.deepcopy(data) if ends > time.monotonic() else None

    async def set(self, session_id: str, data: dict[str, Any], max_age: int) -> None:
        """Keep the data for so many seconds."""
        self._sessions[session_id] = copy.deepcopy(data), time.monotonic() + max_age

    async def delete(self, session_id: str) -> None:
        """Forget the session; that it is not there is fine."""
        self._sessions.pop(session_id, None)

    async def cleanup(self) -> None:
        """Forget all that has expired."""
        now = time.monotonic()
        for session_id in [each for each, (_, ends) in self._sessions.items() if ends <= now]:
            del self._sessions[session_id]

    def __repr__(self) -> str:
        return f"InMemorySessionStore(<{len(self._sessions)} sessions>)"
