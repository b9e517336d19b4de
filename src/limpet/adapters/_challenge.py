"""The refusal that each framework's ``fresh_login`` sends when the last login is too old, or not of the level."""

from __future__ import annotations

import re
from typing import Final

from limpet._arguments import check_freshness
from limpet.errors import ConfigurationError

__all__ = ["HEADER", "REFUSAL", "challenge"]

HEADER: Final = "WWW-Authenticate"
REFUSAL: Final = "please log in again"
_QUOTABLE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 9470, section 3: a list that spaces separate


def challenge(minutes: float | None, level: str | None = None) -> str:
    """Return the header's value, which says how old a login may be, in seconds, and of which level it has to be.

    Raises:
        TypeError: The minutes are no number, or the level no text.
        ValueError: The minutes are negative, or not finite.
        ConfigurationError: The level cannot stand in a header.

    Source: RFC 9470, section 3.
    """
    check_freshness(minutes, level)
    value = 'Session error="insufficient_user_authentication"'
    if minutes is not None:
        value += f", max_age={round(minutes * 60)}"
    if level is None:
        return value
    if not _QUOTABLE.fullmatch(level):
        raise ConfigurationError(f"level={level!r} cannot stand in a header: give a word such as 'aal2' or a URI")
    return f'{value}, acr_values="{level}"'
