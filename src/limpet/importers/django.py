"""The sessions of Django: in a signed cookie (``signed_cookies``), in its database (``db``), in its cache (``cache``).

Django signs with HMAC-SHA-256 under a key derived from ``SECRET_KEY`` and a salt, over JSON that may be packed. That
is verified here, so that an application that has moved on need not keep Django.
"""

from __future__ import annotations

import hmac
import re
import string
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from hashlib import sha256
from typing import Any, Final

from limpet._checks import CENTURY, interval
from limpet.importers._base import CookieImporter, Opened, check_old_secret, fetched
from limpet.importers._text import from_base64, from_json, inflated

__all__ = ["DjangoCache", "DjangoCookies", "DjangoDatabase"]

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY: Final = re.compile(r"[a-z0-9]{8,40}")
_SUBJECT: Final = "_auth_user_id"
_TWO_WEEKS: Final = 14 * 86_400


class DjangoCookies(CookieImporter):
    """Reads the sessions of ``django.contrib.sessions.backends.signed_cookies``.

    Args:
        secret: ``SECRET_KEY``; or several, with those of ``SECRET_KEY_FALLBACKS``.
        until: As for every importer: the end date.
        cookie: ``SESSION_COOKIE_NAME``.
        max_age: ``SESSION_COOKIE_AGE``, in seconds.
        subject: The key that says whose session it is.
        options: ``path``, ``domain``, ``forget``, ``convert``: see `CookieImporter`.
    """

    origin = "django"

    def __init__(
        self,
        secret: str | list[str],
        *,
        until: date,
        cookie: str = "sessionid",
        max_age: int = _TWO_WEEKS,
        subject: str | None = _SUBJECT,
        **options: Any,
    ) -> None:
        super().__init__(until=until, cookie=cookie, subject=subject, **options)
        secret = check_old_secret(secret)
        self._secrets = [secret] if isinstance(secret, str) else secret
        interval("max_age", max_age, most=CENTURY, none="for any age")
        self._max_age = max_age

    async def _open(self, token: str, now: int) -> Opened | None:
        salt = "django.contrib.sessions.backends.signed_cookies"
        return _loads(token, self._secrets, salt, now, self._max_age)


class DjangoDatabase(CookieImporter):
    """Reads the sessions of ``django.contrib.sessions.backends.db`` and ``cached_db``.

    Args:
        secret: ``SECRET_KEY``; or several, with those of ``SECRET_KEY_FALLBACKS``.
        until: As for every importer: the end date.
        fetch: Takes a session key and returns ``session_data`` of that row of ``django_session`` if its
            ``expire_date`` has not passed, else None. It may raise `StoreUnavailable`.
        cookie: ``SESSION_COOKIE_NAME``.
        subject: The key that says whose session it is.
        options: ``path``, ``domain``, ``forget``, ``convert``: see `CookieImporter`.
    """

    origin = "django"

    def __init__(
        self,
        secret: str | list[str],
        *,
        until: date,
        fetch: Callable[[str], Awaitable[str | None]],
        cookie: str = "sessionid",
        subject: str | None = _SUBJECT,
        **options: Any,
    ) -> None:
        super().__init__(until=until, cookie=cookie, subject=subject, **options)
        secret = check_old_secret(secret)
        self._secrets = [secret] if isinstance(secret, str) else secret
        self._fetch = fetch

    async def _open(self, token: str, now: int) -> Opened | None:
        text = await fetched(self._fetch, token, (str,)) if _KEY.fullmatch(token) else None
        # The row's own date was judged by `fetch`; the time of its signature is that of the last save.
        return None if text is None else _loads(text, self._secrets, "django.contrib.sessions.SessionStore", now, None)


class DjangoCache(CookieImporter):
    """Reads the sessions of ``django.contrib.sessions.backends.cache``.

    Django's caches keep pickles, which are not read here: reading the cache is left to ``fetch``.

    Args:
        until: As for every importer: the end date.
        fetch: Takes the cache key and returns what Django's cache has under it, a mapping, or None. It may raise
            `StoreUnavailable`.
        cookie: ``SESSION_COOKIE_NAME``.
        subject: The key that says whose session it is.
        options: ``path``, ``domain``, ``forget``, ``convert``: see `CookieImporter`.
    """

    origin = "django"

    def __init__(
        self,
        *,
        until: date,
        fetch: Callable[[str], Awaitable[Mapping[str, Any] | None]],
        cookie: str = "sessionid",
        subject: str | None = _SUBJECT,
        **options: Any,
    ) -> None:
        super().__init__(until=until, cookie=cookie, subject=subject, **options)
        self._fetch = fetch

    async def _open(self, token: str, now: int) -> Opened | None:
        if not _KEY.fullmatch(token):
            return None
        found = await fetched(self._fetch, f"django.contrib.sessions.cache{token}", (Mapping,))
        return None if found is None else Opened(dict(found))


def _loads(token: str, secrets: list[str], salt: str, now: int, max_age: float | None) -> Opened | None:
    """Return what ``django.core.signing.dumps`` was given, or None.

    Args:
        token: Text, its time and its signature, with colons between them.
        secrets: Any of them may have signed it.
        salt: What it was signed for.
        now: Milliseconds since 1970.
        max_age: Seconds that it may be old. None: any age.
    """
    signed, _, signature = token.rpartition(":")
    text, colon, stamp = signed.rpartition(":")
    given = signature.encode()
    if not colon or not any(hmac.compare_digest(_signature(signed, secret, salt), given) for secret in secrets):
        return None
    signed_at = _number(stamp)
    age = now / 1000 - signed_at
    if max_age is not None and not -60 <= age <= max_age:
        return None
    packed = text.startswith(".")
    data = from_base64(text[packed:].encode())
    return Opened(from_json(inflated(data) if packed else data), signed_at * 1000)


def _signature(text: str, secret: str, salt: str) -> bytes:
    key = sha256(f"{salt}signer".encode() + secret.encode()).digest()
    return urlsafe_b64encode(hmac.digest(key, text.encode(), sha256)).rstrip(b"=")


def _number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 62 + _DIGITS.index(digit)
    return number
