"""Find our cookie in a request and write it into a response. Pure functions over bytes.

A request is not parsed into a dictionary: the one name that matters is looked for, so that foreign cookies cost
nothing and cannot break anything. Only space and tab are white space here. A parser that strips more lets a cookie
from a subdomain pass itself off under a ``__Host-`` name.

Sources: RFC 6265, section 4 (syntax); draft-ietf-httpbis-rfc6265bis, sections 4.1.3 (prefixes) and 5 (limits).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from limpet.errors import ConfigurationError

if TYPE_CHECKING:
    from limpet.policy import CookiePolicy
    from limpet.protocols import Header, Transport

__all__ = [
    "COOKIE_OCTETS",
    "MAX_AGE",
    "MAX_CANDIDATES",
    "MAX_COOKIE",
    "MAX_SEEN",
    "CookieWriter",
    "delete_cookie",
    "find",
    "is_value",
    "set_cookie",
    "stays_at_home",
    "values",
]

MAX_COOKIE: Final = 4096
"""Bytes that a browser keeps of one cookie's name and value (RFC 6265bis, section 5.6)."""
MAX_AGE: Final = 400 * 86_400
"""Seconds that a cookie lives at most (RFC 6265bis, section 5.5)."""
MAX_CANDIDATES: Final = 8
"""Distinct values of one name that a session is looked for by; with more of them there is no telling which is ours."""
MAX_SEEN: Final = 1000
"""Values of one name that are looked at; browsers keep at least 50 cookies for a site (RFC 6265bis, section 6.1), and
Chromium and Firefox 180."""

COOKIE_OCTETS: Final = bytes(sorted(set(range(0x21, 0x7F)) - set(b'",;\\')))
"""The bytes of a cookie's value (RFC 6265, section 4.1.1): no controls, space, quote, comma, semicolon, backslash."""

_OTHERS: Final = bytes(byte not in COOKIE_OCTETS for byte in range(256))
"""Maps what a cookie's value cannot hold to 1, and all else to 0."""
_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"


def is_value(value: bytes) -> bool:
    """Tell whether these bytes could be a token: 1 to 4,096 of `COOKIE_OCTETS`."""
    return 0 < len(value) <= MAX_COOKIE and 1 not in value.translate(_OTHERS)


def find(headers: Sequence[Header], name: bytes, is_ours: Callable[[str], object] | None = None) -> list[str]:
    """Return the distinct values of the cookie with exactly this name, in the order they came.

    What is a value, and how many are looked at, is as for `values`. With more than eight distinct ones they are only
    those that were handed out here; with more than eight of these, or where nothing tells them apart, there are none:
    each may cost a call of the store, and the answer does not depend on their order.

    Args:
        is_ours: Returns None for a value that was not handed out here, and asks no store.
    """
    only = ""
    for key, header in headers:
        if key != b"cookie" or (at := header.find(name)) < 0:
            continue
        rest = header[at + len(name) :]
        if not only and rest[:1] == b"=" and (not at or header.startswith(b"; ", at - 2)) and rest.find(name) < 0:
            # There is one, spelled as browsers do: what `values` would find, without its loop.
            value = rest.partition(b";")[0][1:]
            if is_value(value):
                only = value.decode("ascii")
                continue
        return _distinct(headers, name, is_ours)
    return [only] if only else []


def _distinct(headers: Sequence[Header], name: bytes, is_ours: Callable[[str], object] | None) -> list[str]:
    found = values(headers, name)
    if len(found) < 2:
        return found
    found = list(dict.fromkeys(found))
    if len(found) > MAX_CANDIDATES:
        found = [] if is_ours is None else [value for value in found if is_ours(value) is not None]
    return found if len(found) <= MAX_CANDIDATES else []


def values(headers: Sequence[Header], name: bytes) -> list[str]:
    """Return every value of the cookie with exactly this name, in the order they came; `find` reads them here too.

    A pair runs to the next semicolon; its name ends at the first ``=``; space and tab around both are dropped. What
    is not a value (see `is_value`) is ignored, quoted values among it. The first thousand are looked at, which is more
    than a browser keeps for a site.

    For what is signed about one session, so that it can be told apart however many others there are: neither their
    number nor their order says anything. Takes time linear in the size of the headers, and what is then verified are
    no more than a thousand signatures.
    """
    found: list[str] = []
    for key, header in headers:
        if key != b"cookie" or (first := header.find(name)) < 0:
            continue
        end = header.find(b";", header.rfind(name))  # what stands before the first and behind the last is not split
        near = header[header.rfind(b";", 0, first) + 1 : end if end >= 0 else len(header)]
        for pair in near.split(b";"):
            left, equals, value = pair.partition(b"=")
            if equals and left.strip(b" \t") == name:
                value = value.strip(b" \t")
                if is_value(value):
                    found.append(value.decode("ascii"))
                    if len(found) == MAX_SEEN:
                        return found
    return found


class CookieWriter:
    """Writes the ``Set-Cookie`` values of one cookie; what never changes is put together once.

    Args:
        name: The cookie's name.
        policy: Its attributes.
        names_site: SameSite is among them.

    Raises:
        ConfigurationError: The browser would drop a cookie of this name with these attributes.
    """

    __slots__ = ("_after", "_before", "_delete", "name")

    def __init__(self, name: str, policy: CookiePolicy, *, names_site: bool = True) -> None:
        policy.check_name(name)
        self.name = name
        attributes = [f"Path={policy.path}"]
        if policy.domain is not None:
            attributes.append(f"Domain={policy.domain}")
        if policy.http_only:
            attributes.append("HttpOnly")
        if policy.secure:
            attributes.append("Secure")
        if names_site:
            attributes.append(f"SameSite={policy.same_site.capitalize()}")
        if policy.partitioned:
            attributes.append("Partitioned")
        static = "; ".join(attributes)
        self._before = f"{name}=".encode("ascii")
        self._after = f"; {static}".encode("ascii")
        self._delete = f"{name}=; Max-Age=0; Expires={_EPOCH}; {static}".encode("ascii")

    def set(self, value: str, max_age: int | None) -> bytes:
        """Return the header value that sets the cookie.

        Args:
            value: What the cookie holds.
            max_age: Seconds, taken as at least 1 (0 would delete the cookie) and at most 400 days (what browsers
                keep); None: until the browser is closed.

        Raises:
            ConfigurationError: The value has characters that no cookie can hold.
        """
        data = value.encode("utf-8", "surrogatepass")
        if 1 in data.translate(_OTHERS):
            raise ConfigurationError(
                f"a value for the cookie {self.name} holds characters that cookies cannot carry: "
                "a sealer returns URL-safe text"
            )
        if max_age is None:
            return self._before + data + self._after
        return b"%b%b; Max-Age=%d%b" % (self._before, data, min(max(max_age, 1), MAX_AGE), self._after)

    def delete(self) -> bytes:
        """Return the header value that makes the browser forget the cookie: the same attributes, in the past."""
        return self._delete


def set_cookie(name: str, value: str, policy: CookiePolicy, max_age: int | None) -> bytes:
    """Return one ``Set-Cookie`` value; for more than one, keep a `CookieWriter`."""
    return CookieWriter(name, policy).set(value, max_age)


def delete_cookie(name: str, policy: CookiePolicy) -> bytes:
    """Return the ``Set-Cookie`` value that makes the browser forget a cookie set with the same policy."""
    return CookieWriter(name, policy).delete()


def stays_at_home(transport: Transport) -> bool:
    """Tell whether browsers leave a token out of what pages of other sites send, although they have one.

    Not so a cookie with SameSite=None, and a header of its own, which such a page has to have the token for: where
    that comes without one there is none.

    Source: draft-ietf-httpbis-rfc6265bis, section 5.8.3 (retrieval), "same-site".
    """
    policy: CookiePolicy | None = getattr(transport, "policy", None)
    return transport.vary.lower() == b"cookie" and (policy is None or policy.same_site != "none")
