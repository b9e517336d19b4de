"""Checks of what an application hands to a call: a wrong type is a `TypeError`, a wrong value a `ValueError`.

Each names the argument and says what it takes, before anything is changed or asked. Settings have checks of their own,
which raise `ConfigurationError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from limpet._moments import CENTURY
from limpet._native import caused

__all__ = [
    "check_flag",
    "check_freshness",
    "check_lock",
    "check_subject",
    "check_sweep",
    "check_text",
    "labels",
    "life_of",
    "login_facts",
    "of_tag",
]


def life_of(life: Any) -> int | None:
    """Return the time that a session was given to live, in milliseconds, or None.

    Args:
        life: Seconds, a timedelta, or None; more than a hundred years are a hundred.

    Raises:
        TypeError: It is something else.
        ValueError: It is not positive, or not finite.
    """
    if life is None:
        return None
    if not isinstance(life, (int, float, timedelta)) or isinstance(life, bool):
        raise TypeError(f"expire_in takes seconds, a timedelta or None, not {life!r}")
    seconds = life.total_seconds() if isinstance(life, timedelta) else life
    if not 0 < seconds < math.inf:
        raise ValueError(
            f"expire_in takes a positive, finite time, not {life!r}: to end the session call logout(), "
            "to go back to the policy's timeouts expire_in(None)"
        )
    return round(min(seconds, CENTURY) * 1000)


def login_facts(subject: Any, tags: Mapping[str, str], acr: Any, amr: Any) -> tuple[str, str | None, list[str]]:
    """Return the subject, level and methods of a login as plain texts.

    Args:
        tags: As `labels` returns them.

    Raises:
        TypeError: One of the others is no text.
        ValueError: One of them, or a tag, is no text that every store can keep.
    """
    if not isinstance(subject, str) or not subject:
        what = "an empty one" if isinstance(subject, str) else type(subject).__name__
        raise TypeError(f"login takes a non-empty str such as str(user.id), not {what}")
    if acr is not None and (not isinstance(acr, str) or not acr):
        raise TypeError(f"acr is a non-empty str such as 'aal2', or None, not {acr!r}")
    methods = [] if isinstance(amr, (str, bytes)) or not isinstance(amr, Iterable) else list(amr)
    if not all(isinstance(method, str) and method for method in methods) or (amr and not methods):
        raise TypeError(f"amr is a list of strings such as ['pwd', 'otp'], not {amr!r}")
    _check_storable("subject", subject)
    for text in (text for pair in tags.items() for text in pair):
        _check_storable("tag", text)
    for text in [*methods, *([] if acr is None else [acr])]:
        _check_storable("acr or amr", text)
    return str.__str__(subject), None if acr is None else str.__str__(acr), [str.__str__(text) for text in methods]


def _check_storable(what: str, text: str) -> None:
    """Refuse what not every store can keep.

    Raises:
        ValueError: It is no text that UTF-8 can encode, or holds a NUL character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        no_text = ValueError(
            f"the {what} {text!r} is no text: it holds half of a surrogate pair, which UTF-8 cannot encode"
        )
        raise caused(no_text, error) from error
    if "\x00" in text:
        raise ValueError(f"the {what} {text!r} holds a NUL character, which not every store can keep: leave it out")


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


def _number(value: object) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_finite(number: Any) -> bool:
    return isinstance(number, int) or math.isfinite(number)  # an int may be too large for a float


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
