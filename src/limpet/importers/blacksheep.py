"""The sessions of BlackSheep (``CookieSessionStore``): JSON in base64 in a signed cookie."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

from limpet.importers._base import CookieImporter, Opened, unsigned
from limpet.importers._text import from_base64, from_json, inflated
from limpet.keyring import refuse_store_url

__all__ = ["BlackSheepCookies"]


class BlackSheepCookies(CookieImporter):
    """Reads the sessions of ``Application.use_sessions(secret)``.

    Args:
        secret: The ``secret_key`` of the old store.
        until: As for every importer: the end date.
        cookie: Its ``session_cookie``.
        max_age: Its ``session_max_age``, in seconds. None: any age, as there.
        options: ``path``, ``domain``, ``forget``, ``subject``, ``convert``: see `CookieImporter`.
    """

    origin = "blacksheep"

    def __init__(
        self, secret: str, *, until: date, cookie: str = "session", max_age: int | None = None, **options: Any
    ) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        refuse_store_url(secret)
        self._secret = secret
        self._max_age = max_age

    async def _open(self, token: str, now: int) -> Opened | None:
        def signer(library: Any) -> Any:
            return library.TimestampSigner(self._secret, salt=b"itsdangerous", digest_method=hashlib.sha1)

        signed = unsigned(signer, token, now, self._max_age)
        if signed is None:
            return None
        body = signed.value
        text = from_json(inflated(from_base64(body[1:])) if body[:1] == b"." else from_base64(body))
        return Opened(from_json(from_base64(text.encode())), signed.at) if isinstance(text, str) else None
