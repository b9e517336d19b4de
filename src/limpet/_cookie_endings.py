"""How the sessions of cookies end: which is over, which was ended, and what a new cookie takes the place of.

What a login or a new id takes the place of ends when the new cookie goes out, not when the handler saves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import events
from limpet._cookie_revocation import Due, Ended, Whose
from limpet._core import conflict, plan
from limpet._core.plan import Plan, Step
from limpet._core.state import DISPLACED, LOGIN, REGENERATE, SUCCEEDS, SessionState, Stored
from limpet._wire import marks, tokens
from limpet._wire.record import Contents, CorruptPayload, unpack
from limpet.contract import Record

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["Opened", "current", "end", "finish", "is_live", "judge", "key_of", "replaced", "settle"]

_FUTURE: Final = 60_000  # milliseconds by which a sealed cookie may be from the future


class Opened:
    """A live session out of its cookie.

    Attributes:
        record: The record as it was sealed.
        contents: What the payload says.
        token: The cookie's value.
        whose: What revocations go by.
    """

    __slots__ = ("contents", "record", "token", "whose")

    def __init__(self, record: Record, contents: Contents, token: str) -> None:
        self.record: Record = record
        self.contents: Contents = contents
        self.token: str = token
        self.whose: Whose = contents, record.subject


def judge(engine: Context, record: Record, now: int) -> Contents | None:
    """Return what a cookie holds; None: it is no live session."""
    if record.accessed > now + _FUTURE:
        return None
    try:
        contents = unpack(record.payload, engine.serializer, sealed=True)
    except CorruptPayload as problem:
        engine.emit(events.CorruptRecord, reason=str(problem))
        return None
    # A cookie is dead at the deadline that it was sealed with, whatever the policy says since: marks rely on that.
    if plan.is_over(contents, record.accessed, engine.rules, now) or now >= record.expires:
        engine.emit(events.SessionExpired, key_of(engine, contents, record.subject), subject=record.subject)
        return None
    return contents


def key_of(engine: Context, contents: Contents, subject: str | None) -> str | None:
    """Return the key of the mark that would end this session, or None: nothing can end it."""
    return None if engine.revocation is None else engine.revocation.key_of(contents, subject)


async def is_live(engine: Context, contents: Contents, subject: str | None) -> bool:
    """Tell whether the session of a cookie was not ended.

    Raises:
        StoreUnavailable: The store does not answer, so that it cannot be told.
    """
    return engine.revocation is None or await engine.revocation.is_live(engine.storage, contents, subject)


async def end(engine: Context, state: SessionState) -> Ended:
    """Take the cookie back, and end what it held where that was asked for.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    ended, presented = Ended(), await _presented(engine, state)
    named = [(key_of(engine, each.contents, each.record.subject), each.record.subject) for each in presented]
    for key, subject in dict.fromkeys(named):
        if key is not None and engine.revocation is not None:
            ended = await engine.revocation.end(engine.storage, key, subject)
    state.flags &= ~SUCCEEDS
    over = (plan.is_over(each.contents, each.record.accessed, engine.rules, engine.clock()) for each in presented)
    if state.stored is None and all(over):
        return ended  # there is none to take back: at the most one that is alive by another host's clock
    for key, subject in dict.fromkeys(named):
        engine.emit(events.SessionLoggedOut, key, subject=subject)
    state.clears, state.stored, state.ids = len(state.ids) > 1, None, ()
    if not state.phase:
        state.out, state.line = "", None
    return ended


async def settle(attempt: Attempt, todo: Plan, ended: Ended) -> Due | None:
    """Let a session say what its cookie needs; return what to end before that goes out.

    Returns:
        None: Somebody else has ended the session.

    Raises:
        StoreUnavailable: The store does not answer; nothing is handed out.
    """
    engine, state, draft, flags = attempt.engine, attempt.state, attempt.draft, attempt.flags
    assert engine.revocation is not None
    one, due = engine.revocation.mode == "denylist", Due([])
    positions, stood = engine.storage.positions, current(engine, state)
    signs_in = bool(flags & LOGIN) or (todo.step is Step.MOVE and todo.rotates is not None)
    if signs_in and not one:
        if await positions.admit(state, draft, state.subject, own=ended.number, before=ended.before) is False:
            engine.emit(events.SessionRevoked, subject=state.subject)
            conflict.end_state(state)
            return None
        if positions.seq < 0:  # the journal is damaged
            await positions.advance(None)
        draft.seen = positions.seq
    if signs_in or (stood is not None and flags & DISPLACED):  # of two that came at once, neither is left
        own = key_of(engine, draft, state.subject)
        for other in await _presented(engine, state):
            key = key_of(engine, other.contents, other.record.subject)
            if key is not None and (one or key != own):
                due.others.append(other.whose)
    elif stood is not None and todo.step is not Step.TOUCH:
        if not await is_live(engine, stood.contents, stood.record.subject):
            conflict.ended_meanwhile(attempt)
            return None
        if flags & REGENERATE and one:
            draft.generation += 1
            due = Due([], stood.whose)
    if signs_in or draft.lineage is None:
        draft.lineage, draft.generation = tokens.b64encode(tokens.new_id()[:16]), 0
    attempt.encode()
    return due


async def _presented(engine: Context, state: SessionState) -> list[Opened]:
    """Return the session that the request works with, and what else it came with, as any host may see it.

    One that was ended is none of them: with ``epoch`` it would end the later ones of its subject. But the session that
    the request has read is, though it may have another id meanwhile.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    found = [each for each in (current(engine, state), replaced(engine, state)) if each is not None]
    now, known = engine.clock(), {each.contents.lineage for each in found}
    for token in state.ids:
        if (record := engine.client.unseal(token)) is not None:
            contents = judge(engine, record, min(max(record.accessed, now - marks.SKEW), now + marks.SKEW))
            if contents is None or contents.lineage in known:
                continue
            if await is_live(engine, contents, record.subject):
                found.append(Opened(record, contents, token))
    return found


def current(engine: Context, state: SessionState) -> Opened | None:
    """Return the session that the request works with."""
    return _read(engine, state.stored)


def replaced(engine: Context, state: SessionState) -> Opened | None:
    """Return the session that ends when a cookie goes out which an earlier save of the request has made."""
    return _read(engine, state.replaced) if state.flags & SUCCEEDS else None


def _read(engine: Context, stored: Stored | None) -> Opened | None:
    if stored is None:
        return None
    return Opened(stored.record, unpack(stored.record.payload, engine.serializer, sealed=True), "")


async def finish(attempt: Attempt, due: Due) -> bool:
    """End what the cookie takes the place of that goes out now; False: somebody else has ended its session.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    engine, state, revocation = attempt.engine, attempt.state, attempt.engine.revocation
    assert revocation is not None
    if state.flags & SUCCEEDS and not due.others:
        own, *others = [each.whose for each in await _presented(engine, state)]
        due = revocation.owed(due, own, others)
    if await revocation.carry_out(engine.storage, due, attempt.draft.generation):
        state.flags &= ~SUCCEEDS
        return True
    conflict.ended_meanwhile(attempt)
    return False
