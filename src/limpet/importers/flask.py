"""The sessions of Flask: JSON with tags for its types, perhaps packed, in a signed cookie."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from datetime import date
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

from limpet._storable import markup_of
from limpet.importers._base import CookieImporter, Opened, unsigned
from limpet.importers._text import from_base64, from_json, inflated
from limpet.keyring import refuse_store_url

__all__ = ["FlaskCookies"]


class FlaskCookies(CookieImporter):
    """Reads Flask's cookie sessions.

    Args:
        secret: The application's ``SECRET_KEY``; or several, as ``SECRET_KEY_FALLBACKS`` makes them.
        until: As for every importer: the end date.
        cookie: Its ``SESSION_COOKIE_NAME``.
        max_age: Its ``PERMANENT_SESSION_LIFETIME``, in seconds.
        options: ``path``, ``domain``, ``forget``, ``subject`` (``"_user_id"`` with Flask-Login), ``convert``: see
            `CookieImporter`.
    """

    origin = "flask"

    def __init__(
        self,
        secret: str | bytes | list[str | bytes],
        *,
        until: date,
        cookie: str = "session",
        max_age: int | None = 31 * 86_400,
        **options: Any,
    ) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        refuse_store_url(secret)
        # itsdangerous takes the oldest first and signs with the last.
        self._secrets = list(reversed(secret)) if isinstance(secret, list) else [secret]
        self._max_age = max_age

    async def _open(self, token: str, now: int) -> Opened | None:
        def signer(library: Any) -> Any:
            return library.TimestampSigner(
                self._secrets, salt=b"cookie-session", key_derivation="hmac", digest_method=hashlib.sha1
            )

        signed = unsigned(signer, token, now, self._max_age)
        if signed is None:
            return None
        body = signed.value
        data = inflated(from_base64(body[1:])) if body[:1] == b"." else from_base64(body)
        return Opened(from_json(data, _restored), signed.at)


def _restored(value: Any) -> Any:
    """Return the value that a tagged one stands for."""
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    restored = {key: _restored(item) for key, item in value.items()}
    if len(restored) == 1:
        ((key, item),) = restored.items()
        if key in _TAGS:
            return _TAGS[key](item)
    return restored


def _from_dict(value: dict[str, Any]) -> dict[str, Any]:
    ((key, item),) = value.items()
    return {key[:-2]: item}


_TAGS: Final[dict[str, Any]] = {
    " di": _from_dict,
    " t": tuple,
    " b": b64decode,
    " m": markup_of,
    " u": UUID,
    " d": parsedate_to_datetime,
}
