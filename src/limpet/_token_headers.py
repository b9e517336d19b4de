"""The headers that hand out the token of a session, or take it back."""

from __future__ import annotations

from limpet._core import plan
from limpet._core.context import Context
from limpet._core.state import SessionState
from limpet.protocols import Header

__all__ = ["headers"]


def headers(engine: Context, state: SessionState) -> list[Header]:
    """Return the headers that this response needs for the token; once."""
    token, line, clears = state.out, state.line, state.clears
    state.clears = False
    if token is None:
        return []
    state.out = state.line = state.created = None
    found: list[Header] = []
    if line is not None:
        found.append(line)
    elif token:
        found.append(engine.transport.write(token, _max_age_of(engine, state)))
    else:
        cleared = engine.transport.clear()
        if cleared is not None:
            found.append(cleared)
        found.extend(engine.farewell)
    if clears and (others := getattr(engine.transport, "clear_others", None)) is not None:
        found.extend(others())
    return found


def _max_age_of(engine: Context, state: SessionState) -> int | None:
    if state.draft is None or state.stored is None:
        return None
    return plan.max_age(state.draft, state.stored.record.accessed, engine.clock(), engine.rules)
