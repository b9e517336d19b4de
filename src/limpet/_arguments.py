"""Checks of what an application hands to a call: a wrong type is a `TypeError`, a wrong value a `ValueError`.

Each names the argument and says what it takes, before anything is changed or asked. Settings have checks of their own,
which raise `ConfigurationError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from math import isfinite
from typing import Any

from limpet._moments import CENTURY

__all__ = [
    "check_flag",
    "check_freshness",
    "check_lock",
    "check_subject",
    "check_sweep",
    "check_text",
    "labels",
    "life_ms",
    "of_tag",
]


def check_text(name: str, value: object, such: str) -> None:
    """Refuse what is no str.

    Args:
        name: The argument.
        such: What it is to be, such as "one that login was given".

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, {such}, not {_kind(value)}")


def check_subject(value: object) -> None:
    """Refuse what nobody can have logged in as. An empty one has no sessions.

    Raises:
        TypeError: It is no str.
    """
    check_text("subject", value, "as login was given it, such as str(user.id)")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {value!r}: write {name}=bool(...)")


def check_lock(name: object, life: object, wait: object) -> None:
    """Refuse what no lock can be named by, live for or wait for.

    Raises:
        TypeError: One of them has another type.
        ValueError: A time cannot be.
    """
    check_text("the name of a lock", name, "such as 'payment'")
    for what, seconds, least in (("life", life, 0.001), ("wait", wait, 0)):
        number = _number(seconds)
        if number is None:
            raise TypeError(f"{what} is a number of seconds, such as 30, not {_kind(seconds)}")
        if not least <= number <= CENTURY:
            raise ValueError(f"{what} is from {least} seconds to a hundred years, not {number!r}")


def check_freshness(minutes: object, level: object) -> None:
    """Refuse what no login can be compared with.

    Raises:
        TypeError: One of them has another type.
        ValueError: The minutes are negative, or not finite.
    """
    if minutes is not None:
        number = _number(minutes)
        if number is None:
            raise TypeError(f"minutes is a number, such as 5, or None for any age, not {_kind(minutes)}")
        if not _is_finite(number) or number < 0:
            raise ValueError(f"minutes is 0 or more and finite, or None for any age, not {number!r}")
    if level is not None:
        check_text("level", level, "such as 'aal2', or None for any")


def check_sweep(limit: object, once: object) -> None:
    """Refuse what is no number of records, or neither True nor False.

    Raises:
        TypeError: One of them has another type.
        ValueError: The number is negative.
    """
    check_flag("once", once)
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit is a whole number of records, or None for all, not {_kind(limit)}")
    if limit < 0:
        raise ValueError(f"limit is 0 or more records, or None for all, not {limit!r}")


def of_tag(tag: Any) -> tuple[str, str]:
    """Return the name and the value of a tag.

    Raises:
        TypeError: They are no two strings.
    """
    pair = tuple(tag) if isinstance(tag, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        shape = f"({', '.join(map(_kind, pair))})" if pair else _kind(tag)
        raise TypeError(f"tag is a name and a value, two strings such as tag=('oidc_sid', sid), not {shape}")
    return pair


def labels(tags: Any) -> dict[str, str]:
    """Return the tags of a login; none for None.

    Raises:
        TypeError: They are no strings by name.
    """
    if tags is None:
        return {}
    if not isinstance(tags, Mapping) or not all(isinstance(text, str) for pair in tags.items() for text in pair):
        raise TypeError("tags are strings by name, such as {'oidc_sid': sid}")
    return dict(tags)


def life_ms(life: object) -> int | None:
    """Return what `Session.expire_in` takes in milliseconds, at most a hundred years; None for None.

    Raises:
        TypeError: It has another type.
        ValueError: It is not positive, or not finite.
    """
    if life is None:
        return None
    seconds = life.total_seconds() if isinstance(life, timedelta) else _number(life)
    if seconds is None:
        raise TypeError(f"expire_in takes seconds, a timedelta or None, not {_kind(life)}")
    if seconds <= 0 or not _is_finite(seconds):
        raise ValueError(
            f"expire_in takes a positive, finite time, not {life!r}: to end the session call logout(), "
            "to go back to the policy's timeouts expire_in(None)"
        )
    return round(min(seconds, CENTURY) * 1000)


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_finite(number: float) -> bool:
    return isinstance(number, int) or isfinite(number)  # an int may be too large for a float


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
