"""What a handler gives a session, checked before anything is noted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from limpet._moments import CENTURY
from limpet._native import caused

__all__ = ["life_of", "login_facts"]


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

    Raises:
        TypeError: One of them, or a tag, is no text.
        ValueError: One of them is no text that every store can keep.
    """
    if not isinstance(subject, str) or not subject:
        what = "an empty one" if isinstance(subject, str) else type(subject).__name__
        raise TypeError(f"login takes a non-empty str such as str(user.id), not {what}")
    if not all(isinstance(text, str) for pair in tags.items() for text in pair):
        raise TypeError("tags are strings by name, such as {'oidc_sid': sid}")
    if acr is not None and (not isinstance(acr, str) or not acr):
        raise TypeError(f"acr is a non-empty str such as 'aal2', or None, not {acr!r}")
    methods = [] if isinstance(amr, (str, bytes)) or not isinstance(amr, Iterable) else list(amr)
    if not all(isinstance(method, str) and method for method in methods) or (amr and not methods):
        raise TypeError(f"amr is a list of strings such as ['pwd', 'otp'], not {amr!r}")
    _check_text("subject", subject)
    for text in (text for pair in tags.items() for text in pair):
        _check_text("tag", text)
    for text in [*methods, *([] if acr is None else [acr])]:
        _check_text("acr or amr", text)
    return str.__str__(subject), None if acr is None else str.__str__(acr), [str.__str__(text) for text in methods]


def _check_text(what: str, text: str) -> None:
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
