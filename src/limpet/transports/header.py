"""The token in a header of its own, for clients that keep no cookies: apps, scripts, other services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limpet._cookies import MAX_CANDIDATES, is_value
from limpet.errors import ConfigurationError
from limpet.policy import TOKEN
from limpet.protocols import Header

__all__ = ["HeaderTransport"]

_TAKEN: Final = frozenset({"cookie", "set-cookie"})
"""Headers that belong to cookies, and that browsers send by themselves: also to requests that other sites made."""


class HeaderTransport:
    """Reads the token from a request header and answers with a response header of the same name.

    The client keeps the value and sends it back; an empty one tells it to forget. A browser on another origin needs
    the name in ``Access-Control-Allow-Headers`` and ``Access-Control-Expose-Headers``.

    Args:
        name: The header's name.

    Raises:
        ConfigurationError: The name is no token (RFC 9110, section 5.1), or that of the header of cookies.
    """

    def __init__(self, name: str = "X-Session-ID") -> None:
        if not TOKEN.fullmatch(name):
            raise ConfigurationError(
                f"header name {name!r} is no token: use letters, digits and `-`, as in X-Session-ID"
            )
        if name.lower() in _TAKEN:
            raise ConfigurationError(f"header name {name!r} is that of cookies: use another, as X-Session-ID")
        self.name = name
        self.vary: bytes = name.encode("ascii")
        self._key = self.vary.lower()
        self._clear = (self._key, b"")

    def read(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values of the header, over several headers and comma lists (RFC 9110, section 5.3).

        What is not a value is ignored; with more than eight distinct ones the answer is none at all.
        """
        found: dict[str, None] = {}
        for key, line in headers:
            if key != self._key:
                continue
            for part in line.split(b",") if b"," in line else (line,):
                value = part.strip(b" \t")
                if is_value(value):
                    found[value.decode("ascii")] = None
                    if len(found) > MAX_CANDIDATES:
                        return []
        return list(found)

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the response header; the client is not told how long to keep it.

        Raises:
            ConfigurationError: The token has characters that are not for headers.
        """
        value = token.encode("utf-8", "surrogatepass")
        if not is_value(value):
            raise ConfigurationError(
                f"a value for the header {self.name} is empty, too long or holds characters that headers cannot carry: "
                "a sealer returns URL-safe text"
            )
        return self._key, value

    def clear(self) -> Header:
        """Return the response header with an empty value."""
        return self._clear

    def __repr__(self) -> str:
        return f"HeaderTransport({self.name!r})"
