"""The part of a store's URL after ``?``: named options, each with its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from limpet.errors import ConfigurationError

__all__ = ["boolean", "integer", "options", "seconds", "text"]

Kind = Callable[[str], Any]


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
            known = ", ".join(sorted(kinds)) or "none"
            raise ConfigurationError(f"the store URL {scheme}: has no option {name!r}; its options are: {known}")
        if name in found:
            raise ConfigurationError(f"the store URL {scheme}: gives the option {name!r} twice: keep one")
        try:
            found[name] = kinds[name](value)
        except ValueError as error:
            raise ConfigurationError(
                f"the option {name!r} of the store URL {scheme}: cannot be {value!r}: {error}"
            ) from error
    return place, found
