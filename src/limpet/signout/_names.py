"""Names in messages: of subjects, sessions and tokens."""

from __future__ import annotations

from typing import Final, TypeGuard

__all__ = ["LONGEST", "is_name"]

LONGEST: Final = 1_000
"""Characters."""


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether a value is a text that every store can keep, and no longer than names are."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
