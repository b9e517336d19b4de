"""Checks of settings that both policies make."""

from __future__ import annotations

from limpet.errors import ConfigurationError

__all__ = ["flag", "one_of"]


def flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is neither True nor False: give one of them")


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: give one of {', '.join(map(repr, choices))}")
