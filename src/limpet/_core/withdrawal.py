"""Taking back a new id that has not gone out: the browser keeps the session that it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from limpet._core import conflict
from limpet._core.attempt import Attempt
from limpet._core.plan import NO_PLAN
from limpet._core.state import Leaving, SessionState, Stored
from limpet._outcome import outcome_of
from limpet._wire.record import unpack, without_predecessors
from limpet.errors import SessionConflict, SessionEnded, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["abandon", "acknowledged", "withdraw"]

Saved: TypeAlias = tuple[Leaving, Stored | None]


def acknowledged(leaving: Leaving, made: Stored | None) -> Saved:
    """Return what earlier saves of this request have acknowledged under an id that has not gone out."""
    return leaving._replace(increments=dict(leaving.increments)), made


async def abandon(engine: Context, state: SessionState, saved: Saved | None = None) -> None:
    """Take back a new id that did not go out: the browser keeps what it had, with what was saved under that."""
    leaving, made = saved or (state.leaving, state.stored)
    if leaving is not None:
        leaving, made = _before_a_login(leaving, made)
    created, state.leaving, state.created = state.created, None, None
    if created is None or not state.out:
        return
    state.out = state.line = None
    kept = None if leaving is None or leaving.fresh else leaving.stored
    state.stored, state.tried = kept, None  # what was tried was tried under the new id
    failure: Exception | None = None
    if leaving is not None and state.stored is not None and made is not None:
        _, failure = await outcome_of(_save_back(engine, state, leaving, made))
    await engine.storage.try_to_drop(created)
    if leaving is not None and leaving.fresh:
        await engine.storage.try_to_drop(leaving.stored.key or "")
    if failure is not None:
        raise failure


def _before_a_login(leaving: Leaving, made: Stored | None) -> Saved:
    """Return what was saved under a new id; the login that moved it on, and what was saved since, are taken back."""
    return (leaving.saved or (leaving, None)) if leaving.how == "login" else (leaving, made)


def _holds_more(engine: Context, leaving: Leaving, made: Stored) -> bool:
    """Tell whether what was saved under the new id is not in the session that the browser keeps."""
    saved, kept = (unpack(each.record.payload, engine.serializer) for each in (made, leaving.stored))
    return conflict.holds_more(engine, saved, kept)


async def _save_back(engine: Context, state: SessionState, leaving: Leaving, made: Stored) -> None:
    """What was saved under the new id was acknowledged: it goes back to the session that the browser keeps."""
    if not _holds_more(engine, leaving, made):
        return
    draft = unpack(without_predecessors(made.record.payload, engine.serializer), engine.serializer)
    state.draft, state.data, state.subject = draft, draft.data, made.record.subject
    state.flags &= ~conflict.NOTED
    state.increments = dict(leaving.increments) or None  # numbers add up with what others added to them
    attempt = Attempt(engine, state, NO_PLAN, engine.clock())
    attempt.patient = True
    attempt.encode()
    await conflict.update(attempt)  # whatever is there meanwhile
    conflict.tell(attempt)


async def withdraw(engine: Context, state: SessionState, failure: Exception, saved: Saved | None) -> None:
    """Take back the new id, as the old one could not be ended, and of a conflict what it kept from being saved."""
    if state.leaving is None:
        return
    lost, before = False, saved or (state.leaving, None)
    if isinstance(failure, StoreUnavailable) and failure.waited:  # a store that hangs is not waited for twice
        leaving, made = _before_a_login(*before)
        lost = made is not None and _holds_more(engine, leaving, made)
        state.leaving = state.created = state.out = state.line = None
    else:
        try:
            await abandon(engine, state, before if isinstance(failure, SessionConflict) else None)
        except (StoreUnavailable, SessionConflict, SessionEnded):
            lost = True
    if lost:
        engine.storage.emitter.log.warning("new id", "what was saved under an id that did not go out is lost")
