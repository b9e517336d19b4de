"""Cookie sessions: nothing is stored, the token itself is the record. How they are ended: `cookie_revocation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import events
from limpet._cookie_revocation import Due, Ended
from limpet._core import conflict, plan
from limpet._core.plan import Plan, Step
from limpet._core.state import DISPLACED, LOGIN, READY, REGENERATE, REISSUE, SessionState, Stored
from limpet._wire import marks, tokens
from limpet._wire.record import Contents, CorruptPayload, unpack
from limpet.contract import Record
from limpet.errors import CookieTooLarge, SessionClosed

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["Opened", "adopt", "end", "find", "is_live", "open_sealed", "seal"]

_FUTURE: Final = 60_000  # milliseconds by which a sealed cookie may be from the future
_LATE: Final = "this session lives in its cookie, which can no longer be set: the response has started"


class Opened:
    """A live session out of its cookie.

    Attributes:
        record: The record as it was sealed.
        contents: What the payload says.
        token: The cookie's value.
    """

    __slots__ = ("contents", "record", "token")

    def __init__(self, record: Record, contents: Contents, token: str) -> None:
        self.record: Record = record
        self.contents: Contents = contents
        self.token: str = token


# -- reading


def open_sealed(engine: Context, state: SessionState) -> None:
    """Open a session that lives in its cookie. Anything that cannot be opened or is past its deadline: anonymous."""
    state.loaded = READY
    if engine.reader is not None:
        found = engine.reader(state.presented)  # one cookie, spelled as browsers do: finds and opens it in one go
        if found is not None:
            token, record = found
            state.ids = (token,)
            if (contents := _judge(engine, record, engine.clock())) is not None:
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
    if found is None or await is_live(engine, found.contents, found.record.subject):
        return found
    subject = found.record.subject
    engine.emit(events.SessionReused, key_of(engine, found.contents, subject), subject=subject)
    return None


def _open(engine: Context, state: SessionState, refused: list[str]) -> Opened | None:
    """Return the one live session among the cookies of a request; two different ones are none."""
    now = engine.clock()
    opened: Opened | None = None
    for token in state.ids:
        record = engine.client.unseal(token)
        if record is None:
            refused.append(token)
        contents = None if record is None else _judge(engine, record, now)
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


def _judge(engine: Context, record: Record, now: int) -> Contents | None:
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


def adopt(engine: Context, state: SessionState, found: Opened) -> None:
    """Let the session stand for what was in the cookie, which is sent again if it is of an older key."""
    _adopt(engine, state, found.record, found.contents)
    if not engine.client.current(found.token):
        state.flags |= REISSUE


def _adopt(engine: Context, state: SessionState, record: Record, contents: Contents) -> None:
    state.stored = Stored(b"", key_of(engine, contents, record.subject), record, contents.ends)
    state.draft, state.data, state.subject = contents, contents.data, record.subject
    state.met_alive = True


# -- writing


async def seal(attempt: Attempt, todo: Plan) -> None:
    """Carry out a plan: end what the request came with, seal the session into its cookie, or end it.

    Raises:
        StoreUnavailable: The store of revocations does not answer; nothing is handed out.
        SessionClosed: The response has started.
        CookieTooLarge: The cookie would not be kept by browsers. It ended none: without a logout, the old one is valid.
    """
    engine, state, draft, step = attempt.engine, attempt.state, attempt.draft, todo.step
    stays = todo.end or state.stored is None or attempt.flags & (LOGIN | DISPLACED)
    if not stays and attempt.now >= plan.forget_at(draft, attempt.now, engine.policy):
        return conflict.ended_meanwhile(attempt)  # as it is over however active, its cookie would be dead on arrival
    ended = await end(engine, state) if todo.end else Ended()
    if step is Step.NOTHING or step is Step.EMPTY:
        if step is Step.EMPTY:
            await end(engine, state)
            state.draft = Contents(engine.clock(), state.data)  # what is written now begins another
        return
    if step is not Step.TOUCH:
        if state.phase:
            raise SessionClosed(_LATE)
        attempt.prepare()
    elif state.phase:
        return
    facts, revocation = (draft.seen, draft.lineage, draft.generation), engine.revocation
    due: Due | None = None
    try:
        if revocation is not None and (due := await _settle(attempt, todo, ended)) is None:
            return
        if not attempt.payload:
            attempt.encode()
        record = attempt.record()
        token = engine.client.seal(record)
        header = engine.transport.write(token, plan.max_age(draft, record.accessed, attempt.now, engine.rules))
        if len(header[1]) > engine.cookie_limit:
            raise CookieTooLarge(len(header[1]), engine.cookie_limit, attempt.largest())
        if revocation is not None and not await revocation.carry_out(engine.storage, due, draft.generation):
            return conflict.ended_meanwhile(attempt)
    except BaseException:
        draft.seen, draft.lineage, draft.generation = facts
        raise
    state.out, state.line, state.met_alive = token, header, True
    attempt.saved(b"", key_of(engine, draft, state.subject), record)
    state.flags &= ~REISSUE
    if attempt.flags & LOGIN:
        state.clears = len(state.ids) > 1
        engine.warn_of_copies()
        engine.emit(events.SessionLoggedIn, attempt.stored().key, subject=state.subject)


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
    over = (plan.is_over(each.contents, each.record.accessed, engine.rules, engine.clock()) for each in presented)
    if state.stored is None and all(over):
        return ended  # there is none to take back: at the most one that is alive by another host's clock
    for key, subject in dict.fromkeys(named):
        engine.emit(events.SessionLoggedOut, key, subject=subject)
    state.clears, state.stored, state.ids = len(state.ids) > 1, None, ()
    if not state.phase:
        state.out, state.line = "", None
    return ended


# -- revocation


def key_of(engine: Context, contents: Contents, subject: str | None) -> str | None:
    """Return the key of the mark that would end this session, or None: nothing can end it."""
    return None if engine.revocation is None else engine.revocation.key_of(contents, subject)


async def is_live(engine: Context, contents: Contents, subject: str | None) -> bool:
    """Tell whether the session of a cookie was not ended.

    Raises:
        StoreUnavailable: The store does not answer, so that it cannot be told.
    """
    return engine.revocation is None or await engine.revocation.is_live(engine.storage, contents, subject)


async def _settle(attempt: Attempt, todo: Plan, ended: Ended) -> Due | None:
    """Let a session say what its cookie needs; return what to end before that goes out.

    Returns:
        None: Somebody else has ended the session.

    Raises:
        StoreUnavailable: The store does not answer; nothing is handed out.
    """
    engine, state, draft, flags = attempt.engine, attempt.state, attempt.draft, attempt.flags
    assert engine.revocation is not None
    one, due = engine.revocation.mode == "denylist", Due([])
    positions, stood = engine.storage.positions, _stood(engine, state)
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
                due.others.append((other.contents, other.record.subject))
    elif stood is not None and todo.step is not Step.TOUCH:
        if not await is_live(engine, stood.contents, stood.record.subject):
            conflict.ended_meanwhile(attempt)
            return None
        if flags & REGENERATE and one:
            draft.generation += 1
            due = Due([], (stood.contents, stood.record.subject))
    if signs_in or draft.lineage is None:
        draft.lineage, draft.generation = tokens.b64encode(tokens.new_id()[:16]), 0
    attempt.encode()
    return due


async def _presented(engine: Context, state: SessionState) -> list[Opened]:
    """Return the session that the request works with, and what else it came with, as any host may see it.

    One that was ended is none of them: with ``epoch`` it would end the later ones of its subject.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    stood = _stood(engine, state)
    now, found = engine.clock(), [] if stood is None else [stood]
    for token in state.ids:
        if (record := engine.client.unseal(token)) is not None:
            contents = _judge(engine, record, min(max(record.accessed, now - marks.SKEW), now + marks.SKEW))
            if contents is None or (stood is not None and contents.lineage == stood.contents.lineage):
                continue
            if await is_live(engine, contents, record.subject):
                found.append(Opened(record, contents, token))
    return found


def _stood(engine: Context, state: SessionState) -> Opened | None:
    """Return the session that the request came with."""
    if state.stored is None:
        return None
    return Opened(state.stored.record, unpack(state.stored.record.payload, engine.serializer, sealed=True), "")
