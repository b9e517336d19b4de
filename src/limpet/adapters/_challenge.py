"""The refusal that each framework's ``fresh_login`` sends when the last login is too old."""

from __future__ import annotations

from typing import Final

__all__ = ["HEADER", "REFUSAL", "challenge"]

HEADER: Final = "WWW-Authenticate"
REFUSAL: Final = "please log in again"


def challenge(minutes: float) -> str:
    """Return the header's value, which says how old a login may be, in seconds.

    Source: RFC 9470, section 3.
    """
    return f'Session error="insufficient_user_authentication", max_age={round(minutes * 60)}'
