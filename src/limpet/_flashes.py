"""Messages for the next page: kept in the session until somebody shows them.

Each has a number of its own, so that requests at the same time can add and show without losing one another's. Flask
and Quart keep theirs, pairs of a category and a message, under the same key: they are merged too, and either side shows
what the other one left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from limpet._merge import Rule

__all__ = ["KEY", "RULES", "Flash", "add", "is_prefetch", "pairs", "take"]

KEY: Final = "_flashes"
"""The session key that holds them."""

RULES: Final[Mapping[str, Rule]] = dict.fromkeys(
    (
        KEY,
        "_f_",  # Pyramid's queue without a name
        "_messages",  # Litestar's `FlashPlugin`, SQLAdmin's `Flash`
        "_smartflash",  # Flask-SmartFlash
        "flash_messages",  # starlette-flash
        "toasts",  # FastHTML
    ),
    "queue",
)
"""How the lists of messages that packages keep in a session are merged: by key."""

_PURPOSES: Final = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})


class Flash(NamedTuple):
    """A message and what kind it is, such as ``"success"``."""

    message: str
    category: str


def add(session: MutableMapping[str, Any], message: str, category: str) -> None:
    """Keep a message for the next page.

    Raises:
        TypeError: The application keeps something of its own under the key.
    """
    held = session.get(KEY)
    others = _listed(held)
    if others is None:
        raise TypeError(
            f"{KEY!r} is where messages are kept, and holds a {type(held).__name__}: take another key for it"
        )
    session[KEY] = [*others, [os.urandom(6).hex(), message, category]]


def take(session: MutableMapping[str, Any], *, forget: bool = True) -> list[Flash]:
    """Return the messages, oldest first, and forget them.

    Args:
        forget: False: they stay, as nothing can be saved any more.
    """
    entries = _listed(session.get(KEY)) or []
    found = [_read(entry) for entry in entries]
    shown = [flash for flash in found if flash is not None]
    if shown and forget:
        if others := [entry for entry, flash in zip(entries, found, strict=True) if flash is None]:
            session[KEY] = others
        else:
            del session[KEY]
    return shown


def pairs(value: Any) -> Any:
    """Return what the key held as Flask and Quart read it: our messages, too, as pairs of a category and a message."""
    return [(entry[2], entry[1]) if _is_ours(entry) else entry for entry in value] if isinstance(value, list) else value


def is_prefetch(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a browser fetches a page before anybody asked for it, so that perhaps nobody will see it.

    Sources: Fetch standard, section 3.8 (``Sec-Purpose``); its forerunners in Chromium, Safari and Firefox.
    """
    return any(
        name in _PURPOSES and (b"prefetch" in value or b"preview" in value or b"prerender" in value)
        for name, value in headers
    )


def _listed(value: Any) -> list[Any] | None:
    return [] if value is None else value if isinstance(value, list) else None


def _is_ours(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 3


def _read(entry: Any) -> Flash | None:
    if _is_ours(entry):
        return Flash(entry[1], entry[2])
    if isinstance(entry, (list, tuple)) and len(entry) == 2:
        return Flash(entry[1], entry[0])
    return None
