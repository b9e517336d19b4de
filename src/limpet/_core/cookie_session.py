"""Cookie sessions: nothing is stored, the token itself is the record. How they end: `_cookie_endings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import _cookie_endings as endings
from limpet import events
from limpet._cookie_endings import Opened
from limpet._cookie_revocation import Due, Ended
from limpet._core import conflict, plan
from limpet._core.attempt import Attempt
from limpet._core.plan import Plan, Step
from limpet._core.state import DISPLACED, LOGIN, READY, REISSUE, SUCCEEDS, SessionState, Stored
from limpet._wire.record import Contents
from limpet.contract import Record
from limpet.errors import CookieTooLarge, SessionClosed
from limpet.protocols import Header

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["adopt", "find", "open_sealed", "seal", "take_back"]

_LATE: Final = "this session lives in its cookie, which can no longer be set: the response has started"


# -- reading


def open_sealed(engine: Context, state: SessionState) -> None:
    """Open a session that lives in its cookie. Anything that cannot be opened or is past its deadline: anonymous."""
    state.loaded = READY
    if engine.reader is not None:
        found = engine.reader(state.presented)  # one cookie, spelled as browsers do: finds and opens it in one go
        if found is not None:
            token, record = found
            state.ids = (token,)
            if (contents := endings.judge(engine, record, engine.clock())) is not None:
                _adopt(engine, state, record, contents)
            return
    state.ids = engine.transport.read(state.presented)
    if state.ids:
        refused: list[str] = []
        opened = _open(engine, state, refused)
        for _ in refused:
            engine.emitter.note_unknown()
        if opened is not None:
            adopt(engine, state, opened)


async def find(engine: Context, state: SessionState, refused: list[str]) -> Opened | None:
    """Open a session that lives in its cookie, and ask whether it was ended.

    Args:
        refused: Takes the cookies that were not sealed here.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    found = _open(engine, state, refused)
    if found is None or await endings.is_live(engine, found.contents, found.record.subject):
        return found
    subject = found.record.subject
    engine.emit(events.SessionReused, endings.key_of(engine, found.contents, subject), subject=subject)
    return None


def _open(engine: Context, state: SessionState, refused: list[str]) -> Opened | None:
    """Return the one live session among the cookies of a request; two different ones are none."""
    now = engine.clock()
    opened: Opened | None = None
    for token in state.ids:
        record = engine.client.unseal(token)
        if record is None:
            refused.append(token)
        contents = None if record is None else endings.judge(engine, record, now)
        if record is None or contents is None:
            continue
        if opened is not None and not _same(opened.record, record):
            engine.note_ambiguous(state)
            return None
        opened = Opened(record, contents, token)
    return opened


def _same(one: Record, other: Record) -> bool:
    """Tell whether two cookies hold the same session; one of them may have been sent again since."""
    return one.payload == other.payload and one.subject == other.subject


def adopt(engine: Context, state: SessionState, found: Opened) -> None:
    """Let the session stand for what was in the cookie, which is sent again if it is of an older key."""
    _adopt(engine, state, found.record, found.contents)
    if not engine.client.current(found.token):
        state.flags |= REISSUE


def _adopt(engine: Context, state: SessionState, record: Record, contents: Contents) -> None:
    state.stored = Stored(b"", endings.key_of(engine, contents, record.subject), record, contents.ends)
    state.draft, state.data, state.subject = contents, contents.data, record.subject
    state.met_alive = True


# -- writing


async def seal(attempt: Attempt, todo: Plan, *, final: bool) -> None:
    """Carry out a plan: end what the request came with, seal the session into its cookie, or end it.

    What a new cookie takes the place of ends when that goes out, and not if the handler fails before.

    Args:
        final: The response starts, or has started.

    Raises:
        StoreUnavailable: The store of revocations does not answer; nothing is handed out.
        SessionClosed: The response has started.
        CookieTooLarge: The cookie would not be kept by browsers. It ended none: without a logout, the old one is valid.
    """
    engine, state, draft, step = attempt.engine, attempt.state, attempt.draft, todo.step
    stays = todo.end or state.stored is None or attempt.flags & (LOGIN | DISPLACED)
    if not stays and attempt.now >= plan.forget_at(draft, attempt.now, engine.policy):
        return conflict.ended_meanwhile(attempt)  # as it is over however active, its cookie would be dead on arrival
    ended = await endings.end(engine, state) if todo.end else Ended()
    if step is Step.EMPTY:
        await endings.end(engine, state)
        state.draft = Contents(engine.clock(), state.data)  # what is written now begins another
    elif step is Step.NOTHING and final and state.flags & SUCCEEDS:
        await endings.finish(attempt, Due([]))
    if step is Step.NOTHING or step is Step.EMPTY:
        return
    if step is not Step.TOUCH:
        if state.phase:
            raise SessionClosed(_LATE)
        attempt.prepare()
    elif state.phase:
        return
    facts, revocation, before = (draft.seen, draft.lineage, draft.generation), engine.revocation, state.stored
    due: Due | None = None
    try:
        if revocation is not None and (due := await endings.settle(attempt, todo, ended)) is None:
            return
        if not attempt.payload:
            attempt.encode()
        record, token, header = _make(attempt)
        if due is not None and final and not await endings.finish(attempt, due):
            return
    except BaseException:
        draft.seen, draft.lineage, draft.generation = facts
        raise
    state.out, state.line, state.met_alive = token, header, True
    attempt.saved(b"", endings.key_of(engine, draft, state.subject), record)
    state.flags &= ~REISSUE
    if due is not None and not final and (due.others or due.renewed is not None):
        state.replaced = state.replaced if state.flags & SUCCEEDS else before
        state.flags |= SUCCEEDS
    if attempt.flags & LOGIN:
        state.clears = len(state.ids) > 1
        engine.warn_of_copies()
        engine.emit(events.SessionLoggedIn, attempt.stored().key, subject=state.subject)


def _make(attempt: Attempt) -> tuple[Record, str, Header]:
    engine, record = attempt.engine, attempt.record()
    token = engine.client.seal(record)
    header = engine.transport.write(token, plan.max_age(attempt.draft, record.accessed, attempt.now, engine.rules))
    if len(header[1]) > engine.cookie_limit:
        raise CookieTooLarge(len(header[1]), engine.cookie_limit, attempt.largest())
    return record, token, header


def take_back(engine: Context, state: SessionState) -> None:
    """Let a cookie not go out before which something was to end: the request failed.

    What was saved under a new id goes back to the one before.
    """
    if engine.is_server_side or not state.flags & SUCCEEDS:
        return
    stood, replaced = endings.current(engine, state), endings.replaced(engine, state)
    state.flags &= ~SUCCEEDS
    state.out = state.line = None
    if stood is not None and replaced is not None and replaced.contents.lineage == stood.contents.lineage:
        draft = stood.contents
        draft.generation, state.draft, state.data = replaced.contents.generation, draft, draft.data
        state.subject, state.flags = stood.record.subject, state.flags & ~conflict.NOTED
        attempt = Attempt(engine, state, plan.NO_PLAN, engine.clock())
        attempt.encode()
        record, state.out, state.line = _make(attempt)
        state.stored = attempt.stored().on(record)
