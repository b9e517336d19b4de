"""Carries a session key between Django and the engine: the application sees the value of the cookie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from django.conf import settings
from django.http import HttpResponse

from limpet.protocols import Header

__all__ = ["KeyTransport", "presented"]

_NAME: Final = b"session-key"
_USUAL: Final = 40  # characters of a key
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9_-]{40,128}", re.ASCII)
_COOKIE_SAFE: Final = re.compile(r"[!#-+\--:<-\[\]-~]{8,4096}", re.ASCII)  # RFC 6265, section 4.1.1


class KeyTransport:
    """A `limpet.protocols.Transport` that leaves the cookie to Django: what it writes is for the adapter alone."""

    vary = b"Cookie"
    settings: Mapping[str, str] = MappingProxyType(
        {
            "secure": "SESSION_COOKIE_SECURE",
            "http_only": "SESSION_COOKIE_HTTPONLY",
            "domain": "SESSION_COOKIE_DOMAIN",
            "path": "SESSION_COOKIE_PATH",
        }
    )
    """What Django calls the settings of the cookie, by their names in a `limpet.CookiePolicy`."""

    def example(self) -> str:
        """Return a ``Set-Cookie`` line as Django sends it, with a value of the usual length that is nobody's."""
        response = HttpResponse()
        response.set_cookie(
            settings.SESSION_COOKIE_NAME,
            "x" * _USUAL,
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
            secure=bool(settings.SESSION_COOKIE_SECURE),
            httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )
        line: str = response.cookies[settings.SESSION_COOKIE_NAME].OutputString()
        return line

    def read(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the key that was presented."""
        return [value.decode("ascii") for name, value in headers if name == _NAME]

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the key, and the seconds that the cookie should last; b"" for as long as the browser runs."""
        return token.encode("ascii"), b"" if max_age is None else str(max_age).encode("ascii")

    def clear(self) -> Header | None:
        """Return an empty key."""
        return b"", b""


def presented(keys: Sequence[str], *, imports: bool) -> list[Header]:
    """Return what a request that came with these keys presented.

    Args:
        imports: To importers of older sessions too.
    """
    headers = [(_NAME, key.encode("ascii")) for key in keys if _WELL_FORMED.fullmatch(key)]
    if imports:
        name = settings.SESSION_COOKIE_NAME
        headers += [(b"cookie", f"{name}={key}".encode("ascii")) for key in keys if _COOKIE_SAFE.fullmatch(key)]
    return headers
