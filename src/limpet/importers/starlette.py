"""The sessions of Starlette's own ``SessionMiddleware``, which FastAPI uses too: JSON in a signed cookie."""

from __future__ import annotations

from datetime import date
from typing import Any

from limpet._checks import CENTURY, interval
from limpet.importers._base import CookieImporter, Opened, check_old_secret, itsdangerous, unsigned
from limpet.importers._text import from_base64, from_json

__all__ = ["StarletteCookies"]


class StarletteCookies(CookieImporter):
    """Reads Starlette's cookie sessions.

    Args:
        secret: The ``secret_key`` of the old middleware.
        until: As for every importer: the end date.
        cookie: Its ``session_cookie``.
        max_age: Its ``max_age``, in seconds.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.
    """

    origin = "starlette"

    def __init__(
        self, secret: str, *, until: date, cookie: str = "session", max_age: int | None = 14 * 86_400, **options: Any
    ) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        itsdangerous()
        self._secret = str(check_old_secret(secret))  # Starlette makes a str of whatever it is given
        interval("max_age", max_age, most=CENTURY, none="for any age")
        self._max_age = max_age

    async def _open(self, token: str, now: int) -> Opened | None:
        signed = unsigned(lambda library: library.TimestampSigner(self._secret), token, now, self._max_age)
        return None if signed is None else Opened(from_json(from_base64(signed.value)), signed.at)
