"""Checks of what people set: of policies, stores, keys and middleware."""

from __future__ import annotations

from typing import Final

from limpet.errors import ConfigurationError

__all__ = ["CENTURY", "flag", "interval", "one_of", "whole"]

_YEAR: Final = 366 * 86_400.0
CENTURY: Final = 36_525 * 86_400.0
"""Seconds: as long as anything may live."""


def flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is neither True nor False: give one of them")


def interval(name: str, value: object, *, zero: bool = False, most: float = _YEAR, none: str = "") -> None:
    """Refuse what is no number of seconds.

    Args:
        zero: 0 is one too.
        most: The largest there may be.
        none: What None stands for, if it is allowed.
    """
    if none and value is None:
        return
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else -1
    if not 0 <= number <= most or (number == 0 and not zero):  # NaN too
        least = "0 or more" if zero else "more than 0"
        others = f", or None {none}" if none else ""
        raise ConfigurationError(f"{name}={value!r}: give seconds, {least} and at most {most:.0f}{others}")


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: give one of {', '.join(map(repr, choices))}")


def whole(name: str, value: object, what: str, *, least: int = 1) -> None:
    """Refuse what is no whole number of something, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}={value!r}: give a whole number of {what}, {least} or more")
