"""Headers that are made elsewhere, in a response of Django's, which has one of each name and keeps cookies apart."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from django.http.response import HttpResponseBase

from limpet._serving import as_text
from limpet.protocols import Header

__all__ = ["add_headers"]


def add_headers(response: HttpResponseBase, headers: Iterable[Header]) -> None:
    """Add headers to a response: each cookie beside those that are there, and all else in the place of its like."""
    for name, value in as_text(headers):
        cookies = _read(value) if name == "Set-Cookie" else None
        if cookies:
            for each, cookie in cookies.items():
                response.cookies[each] = cookie
        else:
            response.headers[name] = value


def _read(line: str) -> SimpleCookie | None:
    """Return the cookie of a ``Set-Cookie`` line; None: it has an attribute that Python's cookies cannot hold."""
    try:
        return SimpleCookie(line) or None
    except CookieError:
        return None
