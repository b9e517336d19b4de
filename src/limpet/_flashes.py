"""Messages for the next page: kept in the session until somebody shows them.

Each has a number of its own, so that requests at the same time can add and show without losing one another's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, NamedTuple

from limpet._merge import MISSING

__all__ = ["KEY", "Flash", "add", "combine", "is_prefetch", "take"]

KEY: Final = "_flashes"
"""The session key that holds them."""


_PURPOSES: Final = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})


class Flash(NamedTuple):
    """A message and what kind it is, such as ``"success"``."""

    message: str
    category: str


def add(session: MutableMapping[str, Any], message: str, category: str) -> None:
    """Keep a message for the next page."""
    session[KEY] = [*_held(session.get(KEY)), [os.urandom(6).hex(), message, category]]


def take(session: MutableMapping[str, Any], *, forget: bool = True) -> list[Flash]:
    """Return the messages, oldest first, and forget them.

    Args:
        forget: False: they stay, as nothing can be saved any more.
    """
    held = _held(session.get(KEY))
    if held and forget:
        del session[KEY]
    return [Flash(message, category) for _, message, category in held]


def is_prefetch(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a browser fetches a page before anybody asked for it, so that perhaps nobody will see it.

    Sources: Fetch standard, section 3.8 (``Sec-Purpose``); its forerunners in Chromium, Safari and Firefox.
    """
    return any(
        name in _PURPOSES and (b"prefetch" in value or b"preview" in value or b"prerender" in value)
        for name, value in headers
    )


def combine(base: Any, mine: Any, theirs: Any) -> Any:
    """Merge two requests: what either has shown is gone, what either has added is there."""
    before, here, there = ({entry[0]: entry for entry in _held(side)} for side in (base, mine, theirs))
    kept = [entry for number, entry in there.items() if number in here or number not in before]
    return [*kept, *(entry for number, entry in here.items() if number not in before)] or MISSING


def _held(value: Any) -> list[list[str]]:
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, list) and len(entry) == 3]
