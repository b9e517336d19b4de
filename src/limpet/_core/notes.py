"""Steps that change the state of a session by what a handler does to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from limpet._core.state import EXPOSED, FORWARDED, FROZEN, LOGIN, REGENERATE, REISSUE, SessionState, Stored
from limpet._native import caused
from limpet._wire.record import Contents, Found

__all__ = ["add_up", "adopt", "begin", "check_login", "expose", "forget_key", "own"]


def adopt(state: SessionState, found: Found) -> None:
    """Let a session stand for what was found in the store."""
    state.stored = Stored(found.raw, found.key, found.record, found.contents.ends)
    state.draft, state.data, state.subject = found.contents, found.contents.data, found.record.subject
    state.met_alive = True
    if found.forwarded:
        state.flags |= FORWARDED | REISSUE


def begin(state: SessionState, now: int) -> None:
    """Start over with empty contents."""
    state.draft = Contents(now)
    state.data = state.draft.data
    state.subject = None
    state.flags &= ~(LOGIN | REGENERATE | EXPOSED)
    state.increments = state.views = state.loans = state.owned = state.assigned = None


def add_up(total: dict[str, Any], increments: Mapping[str, Any]) -> None:
    """Add what was added to numbers to what was added before, by key."""
    for key, by in increments.items():
        total[key] = total.get(key, 0) + by


def forget_key(state: SessionState, key: str) -> None:
    """Drop what was noted about a key whose value was replaced."""
    if state.increments is not None:
        state.increments.pop(key, None)
    if state.views is not None:
        state.views.pop(key, None)
    if state.loans is not None:
        state.loans = [loan for loan in state.loans if loan[0] != key] or None


def expose(state: SessionState, key: str, value: Any) -> None:
    """Note that a container goes out, and which containers in it are the engine's own."""
    state.flags |= EXPOSED
    if state.assigned is None:
        state.assigned = set()
    if key in state.assigned:
        return
    state.assigned.add(key)
    if state.owned is None:
        state.owned = {}
    own(state.owned, value)


def own(owned: dict[int, Any], value: Any) -> None:
    """Add every container in a decoded value to those that the engine may change in place."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is dict:
            owned[id(each)] = each
            waiting.extend(item for item in each.values() if type(item) not in FROZEN)
        elif kind is list:
            owned[id(each)] = each
            waiting.extend(item for item in each if type(item) not in FROZEN)
        elif kind is set:
            owned[id(each)] = each


def check_login(subject: Any, tags: Mapping[str, str], acr: Any, amr: Any) -> tuple[str, str | None, list[str]]:
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
