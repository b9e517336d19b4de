"""Steps that change the state of a session by what a handler does to it."""

from __future__ import annotations

from typing import Any

from limpet._core.state import EXPOSED, FORWARDED, FROZEN, LOGIN, REGENERATE, REISSUE, SessionState, Stored
from limpet._wire.record import Contents, Found

__all__ = ["adopt", "begin", "expose", "forget_key", "own"]


def adopt(state: SessionState, found: Found) -> None:
    """Let a session stand for what was found in the store."""
    state.stored = Stored(found.raw, found.key, found.record, found.contents.ends)
    state.draft, state.data, state.subject = found.contents, found.contents.data, found.record.subject
    state.met_alive = True
    if found.forwarded:
        state.flags |= FORWARDED | REISSUE


def begin(state: SessionState, now: int) -> Contents:
    """Start over with empty contents, and return them."""
    state.draft = draft = Contents(now)
    state.data = draft.data
    state.subject = None
    state.flags &= ~(LOGIN | REGENERATE | EXPOSED)
    state.increments = state.views = state.loans = state.owned = state.assigned = None
    return draft


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
