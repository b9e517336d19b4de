"""The sessions of BlackSheep (``CookieSessionStore``): JSON in base64 in a signed cookie."""

from __future__ import annotations

from datetime import date
from typing import Any

from limpet.importers._base import Opened, TimedCookies
from limpet.importers._text import from_base64, from_json, inflated

__all__ = ["BlackSheepCookies"]


class BlackSheepCookies(TimedCookies):
    """Reads the sessions of ``Application.use_sessions(secret)``.

    Args:
        secret: The ``secret_key`` of the old store.
        until: As for every importer: the end date.
        cookie: Its ``session_cookie``.
        max_age: Its ``session_max_age``, in seconds. None: any age, as there.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.
    """

    origin = "blacksheep"
    salt = b"itsdangerous"

    def __init__(
        self, secret: str, *, until: date, cookie: str = "session", max_age: int | None = None, **options: Any
    ) -> None:
        super().__init__(secret, until=until, cookie=cookie, max_age=max_age, **options)

    async def _open(self, token: str, now: int) -> Opened | None:
        signed = self.signed(token, now)
        if signed is None:
            return None
        body = signed.value
        text = from_json(inflated(from_base64(body[1:])) if body[:1] == b"." else from_base64(body))
        return Opened(from_json(from_base64(text.encode())), signed.at) if isinstance(text, str) else None
