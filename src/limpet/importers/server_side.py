"""Sessions that another library keeps on the server: its cookie holds an id, and you say how to look it up."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

from limpet.errors import ConfigurationError
from limpet.importers._base import CookieImporter, Opened, fetched

__all__ = ["Fetch", "ServerSessions"]

Fetch: TypeAlias = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""Takes an id that a browser sent; returns what is in that session, or None where there is none."""

_ID = re.compile(
    r"[A-Za-z0-9_.=~-]{16,256}"
)  # from a uuid in hex to a signed token; nothing that is a path or a pattern


class ServerSessions(CookieImporter):
    """Reads the sessions of a library that keeps them on the server.

    ::

        async def fetch(session_id: str) -> dict[str, Any] | None:
            stored = await redis.get(f"starsessions.{session_id}")
            return None if stored is None else json.loads(stored)

        ServerSessions(cookie="session", fetch=fetch, until=date(2030, 1, 31))

    Args:
        cookie: The name of the old cookie.
        fetch: A coroutine function that looks an id up, with the old library or in its storage. It is given what a
            browser sent, and only what looks like an id. It is not asked again for a session that has moved.
        until: As for every importer: the end date.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.

    Raises:
        ConfigurationError: ``fetch`` cannot be called; or as for `CookieImporter`.
    """

    origin = "server"

    def __init__(self, *, cookie: str, fetch: Fetch, until: date, **options: Any) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        if not callable(fetch):
            raise ConfigurationError(
                f"fetch={fetch!r} cannot be called: give a coroutine function that takes an id and returns the data of "
                "that session, or None"
            )
        self._fetch = fetch

    async def _open(self, token: str, now: int) -> Opened | None:
        if _ID.fullmatch(token) is None:
            return None
        found = await fetched(self._fetch, token, (Mapping,))
        return None if found is None else Opened(dict(found))
