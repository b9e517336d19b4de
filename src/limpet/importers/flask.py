"""The sessions of Flask: JSON with tags for its types, perhaps packed, in a signed cookie. And Flask-Session's."""

from __future__ import annotations

import hashlib
import re
import struct
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

from limpet._checks import CENTURY, interval
from limpet._storable import markup_of
from limpet.importers._base import CookieImporter, Opened, check_old_secret, fetched, itsdangerous, unsigned
from limpet.importers._text import from_base64, from_json, inflated

__all__ = ["FlaskCookies", "FlaskSessionRecords"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")


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
        itsdangerous()
        secret = check_old_secret(secret)
        # itsdangerous takes the oldest first and signs with the last.
        self._secrets = list(reversed(secret)) if isinstance(secret, list) else [secret]
        interval("max_age", max_age, most=CENTURY, none="for any age")
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


class FlaskSessionRecords(CookieImporter):
    """Reads the sessions that Flask-Session keeps on the server, in MessagePack or JSON; pickles are not read.

    ::

        async def fetch(key: str) -> bytes | None:
            return client.get(key)                  # a client that blocks will do in a blocking application

        FlaskSessionRecords(fetch, until=date(2030, 1, 31), subject="_user_id")

    Args:
        fetch: A coroutine function that takes a key, such as ``"session:<id>"``, and returns what is stored there:
            bytes, or a mapping where the storage gives one; None where there is nothing. It may raise
            `StoreUnavailable`.
        until: As for every importer: the end date.
        cookie: Its ``SESSION_COOKIE_NAME``.
        prefix: Its ``SESSION_KEY_PREFIX``.
        secret: The ``SECRET_KEY``, or several, where ``SESSION_USE_SIGNER`` is set; else None.
        options: ``path``, ``domain``, ``forget``, ``subject`` (``"_user_id"`` with Flask-Login), ``convert``: see
            `CookieImporter`.
    """

    origin = "flask-session"

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[bytes | Mapping[str, Any] | None]],
        *,
        until: date,
        cookie: str = "session",
        prefix: str = "session:",
        secret: str | bytes | list[str | bytes] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(until=until, cookie=cookie, **options)
        if secret is not None:
            secret = check_old_secret(secret)
            itsdangerous()
        self._fetch = fetch
        self._prefix = prefix
        self._secrets = secret if isinstance(secret, list) or secret is None else [secret]

    async def _open(self, token: str, now: int) -> Opened | None:
        name = token if self._secrets is None else _unsigned_id(token, self._secrets)
        if name is None or _ID.fullmatch(name) is None:
            return None
        found = await fetched(self._fetch, f"{self._prefix}{name}", (bytes, Mapping))
        if isinstance(found, bytes):
            return Opened(from_json(found) if found[:1] == b"{" else _from_msgpack(found))
        return None if found is None else Opened(dict(found))


def _unsigned_id(token: str, secrets: list[str | bytes]) -> str | None:
    library = itsdangerous()
    for secret in secrets:
        try:
            signer = library.Signer(secret, salt="flask-session", key_derivation="hmac")
            name: str = signer.unsign(token.encode("latin-1")).decode("latin-1")
        except library.BadData:
            continue
        return name
    return None


def _from_msgpack(data: bytes) -> Any:
    import ormsgpack

    try:
        return ormsgpack.unpackb(data, ext_hook=_timestamp)
    except ValueError:
        return None


def _timestamp(code: int, data: bytes) -> datetime:
    """Return the time of an extension of MessagePack, the only one that Flask-Session's encoder writes.

    Source: the MessagePack specification, "Timestamp extension type".
    """
    if code != -1 or len(data) not in (4, 8, 12):
        raise ValueError(f"an extension of MessagePack that is not known: {code}")
    if len(data) == 4:
        nanoseconds, seconds = 0, int.from_bytes(data, "big")
    elif len(data) == 8:
        both = int.from_bytes(data, "big")
        nanoseconds, seconds = both >> 34, both & (1 << 34) - 1
    else:
        nanoseconds, seconds = struct.unpack(">Iq", data)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)


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
