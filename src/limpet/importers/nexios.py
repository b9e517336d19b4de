"""The sessions of Nexios: signed cookies, and files named by the cookie."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import Any, Final

from limpet.importers._base import CookieImporter, Opened, TimedCookies
from limpet.importers._text import from_base64, from_json, inflated

__all__ = ["NexiosCookies", "NexiosFiles"]

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_LARGEST: Final = 1 << 20


class NexiosCookies(TimedCookies):
    """Reads the sessions of ``SignedSessionManager``.

    Args:
        secret: The ``secret_key`` of the old application.
        until: As for every importer: the end date.
        cookie: Its ``session_cookie_name``.
        max_age: Seconds that a session may be old. None: any age, as there.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.
    """

    origin = "nexios"
    salt = b"nexio.session.signed_cookie"

    def __init__(
        self, secret: str, *, until: date, cookie: str = "session_id", max_age: int | None = None, **options: Any
    ) -> None:
        super().__init__(secret, until=until, cookie=cookie, max_age=max_age, **options)

    async def _open(self, token: str, now: int) -> Opened | None:
        signed = self.signed(token, now)
        if signed is None:
            return None
        body = signed.value
        data = from_json(inflated(from_base64(body[1:])) if body[:1] == b"." else from_base64(body))
        return Opened(data, signed.at)


class NexiosFiles(CookieImporter):
    """Reads the sessions of ``FileSessionManager``.

    Args:
        folder: Its ``session_file_storage_path``.
        until: As for every importer: the end date.
        cookie: Its ``session_cookie_name``.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.
    """

    origin = "nexios"

    def __init__(self, folder: str | Path, *, until: date, cookie: str = "session_id", **options: Any) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        self._folder = Path(folder)

    async def _open(self, token: str, now: int) -> Opened | None:
        if not _KEY.fullmatch(token):  # so that it names a file of this folder and nothing else
            return None
        try:
            with (self._folder / f"{token}.json").open("rb") as file:
                saved = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
                return Opened(from_json(file.read(_LARGEST)), saved)
        except OSError:
            return None
