"""The parts of a store's URL: where the service is, and after ``?`` named options, each with its kind.

A URL may hold a password, and a password that is not percent-encoded can end up in any part of it. So no message here
shows what is not known to be something else, and no error has another one as its cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from limpet.errors import ConfigurationError

__all__ = ["boolean", "integer", "is_misread", "misread", "options", "own_options", "seconds", "text"]

Kind = Callable[[str], Any]
_MAY_HAVE_AT: Final = re.compile(r"(?:user|password|sentinel_username|sentinel_password|sslpassword|passfile|service)=")
"""Options whose values may have an ``@``: such a user is called app@server."""
_NEARLY: Final = 0.87  # of `difflib`: one letter more, less or other in a word of ten


def text(value: str) -> str:
    """Return the value as it is."""
    return value


def integer(value: str) -> int:
    """Return a whole number."""
    return int(value)


def seconds(value: str) -> float:
    """Return a number of seconds."""
    return float(value)


def boolean(value: str) -> bool:
    """Return True for ``true``, ``yes``, ``on`` or ``1``, False for their opposites."""
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if value.lower() not in known:
        raise ValueError("true or false is expected")
    return known[value.lower()]


def options(url: str, kinds: Mapping[str, Kind]) -> tuple[str, dict[str, Any]]:
    """Return what stands between the scheme and ``?``, and the options as keyword arguments.

    Raises:
        ConfigurationError: An option is unknown, given twice, or its value is of another kind.
    """
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?")
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in kinds:
            if is_misread(place, query):
                raise misread(scheme)
            known = ", ".join(sorted(kinds)) or "none"
            raise ConfigurationError(f"the store URL {scheme}: has no option {name!r}; its options are: {known}")
        if name in found:
            raise ConfigurationError(f"the store URL {scheme}: gives the option {name!r} twice: keep one")
        try:
            found[name] = kinds[name](value)
        except ValueError as error:
            problem = f"the option {name!r} of the store URL {scheme}: cannot be {value!r}: {error}"
        else:
            continue
        raise misread(scheme) if is_misread(place, query) else ConfigurationError(problem)
    return place, found


def own_options(
    url: str, kinds: Mapping[str, Kind], clients: Collection[str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the URL without the options that are the store's own, and these as keyword arguments.

    Args:
        clients: All options that are the client's; None: not known here.

    Raises:
        ConfigurationError: An option is unknown, nearly one of the store's own, given twice, or of another kind.
    """
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?")
    if is_misread(place, query):
        raise misread(scheme)
    pairs = parse_qsl(query, keep_blank_values=True)
    _, own = options(f"{scheme}:?" + urlencode([pair for pair in pairs if pair[0] in kinds]), kinds)
    for name, _ in pairs:
        close = get_close_matches(name, kinds, n=1, cutoff=_NEARLY)
        if name not in kinds and ((clients is None and close) or (clients is not None and name not in clients)):
            known = ", ".join(sorted({*kinds, *(clients or ())}))
            what = "its options are" if clients is not None else f"is it {close[0]!r}? The store's own options are"
            raise ConfigurationError(f"the store URL {scheme}: has no option {name!r}; {what}: {known}")
    others = urlencode([pair for pair in pairs if pair[0] not in kinds])
    return f"{scheme}:{place}" + (f"?{others}" if others else ""), own


def is_misread(place: str, query: str) -> bool:
    """Tell whether the second half of a login was taken for the query: an ``@`` behind ``?`` and none before."""
    fields = re.split("[&;]", query)
    late = any("@" in field and not _MAY_HAVE_AT.match(field) for field in fields)
    return (late and "@" not in place) or any("@" in field.partition("=")[0] for field in fields)


def misread(scheme: str) -> ConfigurationError:
    """Return the error for a URL whose login could not be told from its other parts; it shows none of them."""
    return ConfigurationError(
        f"this {scheme}: URL cannot be read: in a user name or password write '@' as %40, '/' as %2F, '?' as %3F "
        "and '#' as %23"
    )
