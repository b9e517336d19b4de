"""When another request was there first: merge with what it saved, or give way to what it ended.

Every write carries the version that was read. On a mismatch the store returns the record that is there now, so that
meeting another request costs no further round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from limpet import _flashes as flashes
from limpet import _form_tokens as form_tokens
from limpet import events
from limpet._core import questions
from limpet._core.settle import settle, settle_views
from limpet._core.state import (
    CROSS_SITE,
    DISPLACED,
    ENDED,
    EXPOSED,
    FORWARDED,
    LOGIN,
    OVER,
    REGENERATE,
    REISSUE,
    SUCCEEDS,
    UNPROVEN,
    WATCHED,
    WRITTEN,
    SessionState,
    Stored,
)
from limpet._merge import Rule, add_up, merge
from limpet._wire.marks import Gone
from limpet._wire.record import FACTS, LOGIN_FACTS, Contents, CorruptPayload, Found, pack, unpack
from limpet._wire.records import UNTOLD, Obstacle
from limpet.contract import Record
from limpet.errors import SessionEnded, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = [
    "NOTED",
    "drop",
    "end_state",
    "ended_meanwhile",
    "holds_more",
    "meet",
    "merge_in",
    "rebase",
    "tell",
    "update",
    "void",
]

NOTED: Final = WRITTEN | LOGIN | REGENERATE | ENDED | DISPLACED | WATCHED
"""What a handler asked for; a commit takes these flags up before it waits for anything."""

_FROM_OTHERS: Final = ("renewed", "previous", "bound")  # a renewal by another request, or that its device is known


async def meet(attempt: Attempt, obstacle: Obstacle) -> bool:
    """Merge with the record that stands in the way, wherever a renewal moved it; False if the session is over.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended.
        SessionEnded: The session is over, and the policy says ``on_ended="raise"``.
        StoreUnavailable: An earlier write of this session may have landed, and it cannot be told any more.
    """
    stored = attempt.stored()
    found = await attempt.engine.storage.judge_if_any(stored.raw, stored.key or "", obstacle)
    if not isinstance(found, Found):
        ended_meanwhile(attempt, found)
        return False
    merge_in(attempt, found)
    return True


async def update(attempt: Attempt) -> Stored | None:
    """Replace the record that was read, merging with what others saved first; return what was replaced, if any was.

    Raises:
        StoreUnavailable: The store does not answer, or it cannot be told whether an earlier write was saved.
        SessionConflict: A strict key was changed on two sides, or the budget of merging has ended.
    """
    engine, state = attempt.engine, attempt.state
    while True:
        stored, record = attempt.stored(), attempt.record()
        assert stored.key is not None
        before = state.tried
        state.tried = {**(before or {}), record.version: dict(attempt.increments)}  # stays, if this fails
        obstacle = await engine.storage.update(stored.key, record, stored.record.version)
        state.tried = before
        if obstacle is None:
            attempt.saved(stored.raw, stored.key, record)
            _note_saved(state, attempt.increments)
            return stored
        if not await meet(attempt, obstacle) or engine.same(attempt.payload, attempt.stored().record.payload):
            return None


def _note_saved(state: SessionState, increments: dict[str, Any]) -> None:
    """Note what was added to numbers under a new id that has not gone out."""
    if state.leaving is not None:
        add_up(state.leaving.increments, increments)
    if state.legacy is not None and state.legacy.how is not None:
        add_up(state.legacy.increments, increments)


def tell(attempt: Attempt) -> None:
    """Say that what another request had saved first was merged, now that the result is saved."""
    state = attempt.state
    if attempt.conflicts and state.stored is not None:
        attempt.engine.emit(
            events.SessionMerged, state.stored.key, subject=state.subject, attempts=attempt.conflicts + 1
        )


def merge_in(attempt: Attempt, found: Found, base_payload: bytes | None = None) -> None:
    """Merge what another request saved into the session; first see whether it was an earlier write of this very one.

    Args:
        base_payload: What both had read, where the session stands on another record by now, and goes on to. None: what
            this one had read; the session then stands on the record that was found.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended; the session is as it was.
        StoreUnavailable: An earlier write of this session may have landed, and it cannot be told any more.
        UnstorableValue: Together they are larger than the policy allows.
    """
    engine, state, mine, theirs = attempt.engine, attempt.state, attempt.draft, found.contents
    attempt.check_overtaken()
    if state.tried and base_payload is None:
        return _recognise(attempt, found.record)
    base = _base(attempt, base_payload)
    base.data.update(attempt.revived)
    attempt.take_increments()
    settle_views(engine, state)
    if state.leaving is not None and base_payload is None:
        state.leaving.learn(base.predecessors, theirs.predecessors)
    if state.leaving is not None or attempt.repairs:
        form_tokens.leave_behind(base.data, theirs.data)
    rules: dict[str, Rule] = {form_tokens.KEY: form_tokens.combine, **flashes.RULES, **engine.policy.merge}
    if attempt.repairs:
        rules = {key: rule for key, rule in rules.items() if rule != "strict"}
    result = merge(
        base.data,
        mine.data,
        theirs.data,
        encode=engine.serializer.encode,
        increments=attempt.increments,
        rules=rules,
        strict=engine.policy.strict_merge and not attempt.repairs,
        revived=attempt.revived,
    )
    gone = base.data.keys() - theirs.data.keys() - attempt.increments.keys()
    attempt.revived = {key: base.data[key] for key in gone & result.data.keys()}
    if not attempt.repairs:  # that one has a budget of its own
        attempt.count(result.overwritten)
    login = state.leaving is not None and base_payload is not None and state.leaving.how == "login"  # saved before
    for fact in ("created", *FACTS):
        there = getattr(theirs, fact)
        if fact in LOGIN_FACTS and (login or attempt.flags & LOGIN):
            continue  # what a login notes is its own
        # A renewal by another request counts for this one too, and so does the grace that it owes to the id before.
        if getattr(mine, fact) == getattr(base, fact) or (fact in _FROM_OTHERS and there != getattr(base, fact)):
            setattr(mine, fact, there)
    if not attempt.flags & LOGIN and base_payload is None:  # under a new id it is whose it was made for
        state.subject = attempt.subject = found.record.subject
    settle(engine, state, result.data)
    if base_payload is None:
        state.stored = Stored(found.raw, found.key, found.record, theirs.ends)
        state.flags |= FORWARDED | REISSUE if found.forwarded else 0  # it goes on under the id of a renewal
    attempt.encode()
    if result.overwritten:
        engine.emit(events.ValueOverwritten, found.key, subject=state.subject, keys=result.overwritten)


def ended_meanwhile(attempt: Attempt, gone: Gone | None = None) -> None:
    """The session ended meanwhile: store nothing, send nothing, until a login.

    A request that wrote nothing, and whose commit was about housekeeping, is told nothing.

    Args:
        gone: The tombstone that was found: a logout later in this request ends what took the session's place.

    Raises:
        SessionEnded: The policy says ``on_ended="raise"``.
    """
    engine, state = attempt.engine, attempt.state
    wrote, subject = _wrote(attempt) or state.leaving is not None, state.subject  # a new id, too, is void
    void(attempt)
    state.gone = gone
    if wrote:
        _say_it_is_lost(engine, questions.whose(state)[0], subject)


def _say_it_is_lost(engine: Context, key: str | None, subject: str | None) -> None:
    engine.emit(events.WriteAfterEnd, key, subject=subject)
    if engine.policy.on_ended == "raise":
        raise SessionEnded("another request ended this session while this one was running; nothing was saved")


def void(attempt: Attempt) -> None:
    """Let the session of a commit be over, if it still is the one that the commit is about.

    Raises:
        Overtaken: Another task of the request has logged in or out meanwhile, and that stands.
    """
    attempt.check_overtaken()
    end_state(attempt.state)


def end_state(state: SessionState) -> None:
    """Let a session be over: anonymous, with nothing of what it held."""
    state.was = questions.whose(state)
    state.flags = (state.flags | OVER) & ~(NOTED | EXPOSED | REISSUE | FORWARDED | SUCCEEDS)
    state.stored = state.draft = state.out = state.line = None
    state.leaving = state.created = None
    state.data, state.subject = {}, None
    state.increments = state.views = state.loans = state.owned = state.assigned = state.tried = None


def drop(engine: Context, state: SessionState, taken: int) -> None:
    """What was written goes nowhere: say so."""
    if state.flags & OVER:
        end_state(state)
        _say_it_is_lost(engine, *state.was)
    elif state.flags & UNPROVEN and taken:
        reason = "the session is bound to a device, and the request did not show that it comes from there"
        engine.emit(events.WriteDropped, state.rivals[0].key if state.rivals else None, reason=reason)
    elif state.flags & CROSS_SITE and taken:
        engine.emit(events.WriteDropped, reason="the request came from another site, without the session's cookie")


def rebase(attempt: Attempt, found: Found | Gone | None, differs: bool) -> None:
    """Let the session stand for what the store has now, with its own unsaved changes over it.

    Raises:
        SessionEnded: The session is over, there were unsaved changes, and the policy says ``on_ended="raise"``.
        StoreUnavailable: As for `merge_in`.
    """
    state = attempt.state
    if not isinstance(found, Found):
        if attempt.flags & LOGIN:
            return  # new credentials stand, whatever became of the session before them
        if differs:
            ended_meanwhile(attempt, found)
        else:
            end_state(state)
            state.gone = found
        return
    try:
        if state.stored is None or found.record.version == state.stored.record.version:
            state.stored = Stored(found.raw, found.key, found.record, found.contents.ends)
        else:
            merge_in(attempt, found)
    finally:
        attempt.give_increments_back()


def _recognise(attempt: Attempt, there: Record) -> None:
    """Stand on an earlier write of this very session that landed after all, and count nothing twice.

    Raises:
        StoreUnavailable: Another request has written since.
    """
    state, stored = attempt.state, attempt.stored()
    counted = None if state.tried is None else state.tried.get(there.version)
    if counted is None:
        raise StoreUnavailable(UNTOLD)
    state.stored, state.tried = Stored(stored.raw, stored.key, there, attempt.draft.ends), None
    _note_saved(state, counted)
    for key in counted.keys() & attempt.increments.keys():
        attempt.increments[key] -= counted[key]


def _base(attempt: Attempt, payload: bytes | None = None) -> Contents:
    stored = attempt.state.stored
    if payload is None:
        payload = b"" if stored is None else stored.record.payload
    try:
        return unpack(payload, attempt.engine.serializer)
    except CorruptPayload:
        return Contents(attempt.draft.created)


def _wrote(attempt: Attempt) -> bool:
    """Tell whether there is anything to save but the notes that a new id keeps for itself."""
    state = attempt.state
    if attempt.flags & (LOGIN | REGENERATE):
        return True
    if state.draft is None or state.stored is None:
        return bool(attempt.flags & WRITTEN)
    return holds_more(attempt.engine, state.draft.copy(state.data), _base(attempt))


def holds_more(engine: Context, contents: Contents, base: Contents) -> bool:
    """Tell whether a session holds what another does not, but for the notes of its id, which this takes from it."""
    contents.renewed, contents.previous, contents.predecessors = base.renewed, base.previous, base.predecessors
    contents.cookie, contents.lineage, contents.origin = base.cookie, base.lineage, base.origin
    return not engine.same(pack(contents, engine.serializer), pack(base, engine.serializer))
