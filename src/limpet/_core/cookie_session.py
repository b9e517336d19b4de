"""Cookie sessions: nothing is stored, the token itself is the record; and how they are ended where that was asked for.

What ends them are marks (`limpet._core.marks`) in a server-side store. With ``denylist`` there is one for each login,
named by the *lineage* that all its cookies have in common: it says that the login was ended, or how often its id was
changed, so that cookies from before the last change are dead. With ``epoch`` sessions of a subject are ended together,
by the numbers of `limpet._core.positions`. A cookie is believed only after the mark was looked for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from limpet._core import conflict, events, marks, plan, tokens
from limpet._core.plan import Plan, Step
from limpet._core.policy import slack_ms
from limpet._core.positions import JOURNAL, number_of, subject_key
from limpet._core.record import NEVER, Contents, CorruptPayload, Record, unpack
from limpet._core.state import DISPLACED, LOGIN, READY, REGENERATE, REISSUE, Read, SessionState
from limpet.errors import CookieTooLarge, LimpetError, SessionClosed

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.engine import Engine
    from limpet._core.protocols import Store

__all__ = [
    "COOKIE_LIMIT",
    "Ended",
    "Mode",
    "Opened",
    "Revocation",
    "adopt",
    "end",
    "find",
    "is_live",
    "open_sealed",
    "seal",
]

COOKIE_LIMIT: Final = 4096
"""Bytes of a whole Set-Cookie line. Browsers drop a name and value over 4,096 bytes (RFC 6265bis, section 5.6); some
front ends drop the line when all of it is longer, so the line is held to the same number."""

Mode = Literal["none", "epoch", "denylist"]

log = logging.getLogger("limpet")

_FUTURE: Final = 60_000  # milliseconds by which a sealed cookie may be from the future
_LONGEST: Final = 400 * 86_400_000  # milliseconds that a browser keeps a cookie at most
_REMEMBERED: Final = 10_000  # answers that the cache holds at most
_LATE: Final = "this session lives in its cookie, which can no longer be set: the response has started"


class Opened(NamedTuple):
    """A live session out of its cookie.

    Attributes:
        record: The record as it was sealed.
        contents: What the payload says.
        token: The cookie's value.
    """

    record: Record
    contents: Contents
    token: str

    def __repr__(self) -> str:
        """Show nothing of what is in it."""
        return "<Opened>"


class Revocation:
    """How cookie sessions are ended.

    Args:
        mode: ``"epoch"`` or ``"denylist"``.
        store: Where the marks are kept.
        cache_ms: So long an answer of the store is believed without asking again. 0: not at all.
    """

    def __init__(self, mode: Mode, store: Store, cache_ms: int) -> None:
        self.mode = mode
        self.store = store
        self._cache_ms = cache_ms
        self._answers: dict[str, tuple[int, int]] = {}

    async def limit(self, engine: Engine, key: str) -> int:
        """Return what a cookie has to have seen at least, as the mark of this key says.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        now = engine.clock()
        known = self._answers.get(key)
        if known is not None and 0 <= now - known[0] < self._cache_ms:
            return known[1]
        if self.mode == "epoch":
            record, journal = await engine.storage.load_many((key, JOURNAL))
            engine.storage.positions.take(journal)
        else:
            record = await engine.storage.load(key)
        if record is None:
            limit = 0
        elif self.mode == "epoch":
            limit = number_of(record, engine.storage.positions.seq)
        else:
            facts = marks.read(record.payload)
            # A damaged mark ends what it is about: trouble in the store never logs anybody in.
            limit = NEVER if facts is None or facts.get("at") else int(facts.get("turn", 0))
        if self._cache_ms:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = now, limit
        return limit

    def forget(self, key: str) -> None:
        """Ask for this mark again, as this process has just written it."""
        self._answers.pop(key, None)


# -- reading


def open_sealed(engine: Engine, state: SessionState) -> None:
    """Open a session that lives in its cookie. Anything that cannot be opened or is past its deadline: anonymous."""
    state.loaded = READY
    if engine.reader is not None:
        found = engine.reader(state.presented)  # one cookie, spelled as browsers do: finds and opens it in one go
        if found is not None:
            token, record = found
            state.ids = (token,)
            opened = _judge(engine, token, record, engine.clock())
            if opened is not None:
                adopt(engine, state, opened)
            return
    state.ids = engine.transport.read(state.presented)
    if state.ids:
        opened = _open(engine, state)
        if opened is not None:
            adopt(engine, state, opened)


async def find(engine: Engine, state: SessionState) -> Opened | None:
    """Open a session that lives in its cookie, and ask whether it was ended.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    found = _open(engine, state)
    if found is None or await is_live(engine, found.contents, found.record.subject):
        return found
    key = key_of(engine, found.contents, found.record.subject)
    engine.emit(events.SessionReused, key, subject=found.record.subject)
    return None


def _open(engine: Engine, state: SessionState) -> Opened | None:
    """Return the one live session among the cookies of a request; two different ones are none."""
    now = engine.clock()
    opened: Opened | None = None
    for token in state.ids:
        record = engine.client.unseal(token)
        found = None if record is None else _judge(engine, token, record, now)
        if found is None:
            continue
        if opened is not None and opened.record.payload != found.record.payload:
            engine.note_ambiguous(state)
            return None
        opened = found
    return opened


def _judge(engine: Engine, token: str, record: Record, now: int) -> Opened | None:
    if record.accessed > now + _FUTURE:
        return None
    try:
        contents = unpack(record.payload, engine.serializer, sealed=True)
    except CorruptPayload as problem:
        engine.emit(events.CorruptRecord, reason=str(problem))
        return None
    # A cookie is dead at the deadline that it was sealed with, whatever the policy says since: marks rely on that.
    if plan.is_over(contents, record.accessed, engine.rules, now) or now >= record.expires:
        engine.emit(events.SessionExpired, subject=record.subject)
        return None
    return Opened(record, contents, token)


def adopt(engine: Engine, state: SessionState, found: Opened) -> None:
    """Let the session stand for what was in the cookie."""
    record, contents, token = found
    key = None if engine.revocation is None else key_of(engine, contents, record.subject)
    state.read = Read(b"", key, record, contents.ends)
    state.draft, state.data, state.subject = contents, contents.data, record.subject
    if not engine.client.current(token):
        state.flags |= REISSUE


# -- writing


class Ended(NamedTuple):
    """What ending a session came to.

    Attributes:
        number: The number of the revocation that was written for it; 0: none.
        before: What the mark said before.
    """

    number: int = 0
    before: Sequence[marks.Facts] = ()


async def seal(attempt: Attempt, todo: Plan, ended: Ended) -> None:
    """Seal the session into its cookie.

    Args:
        ended: What a logout in the same request has written.

    Raises:
        StoreUnavailable: The store of revocations does not answer; nothing is handed out.
        SessionClosed: The response has started.
        CookieTooLarge: The cookie would not be kept by browsers; the old one stays valid.
    """
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    if state.phase:
        if todo.step is not Step.TOUCH:
            raise SessionClosed(_LATE)
        return
    if engine.revocation is not None and not await _settle(attempt, todo, ended):
        return
    if not attempt.payload:
        attempt.encode()
    record = attempt.record()
    token = engine.client.seal(record)
    limit = plan.cookie_deadline(draft, record.accessed, engine.policy)
    header = engine.transport.write(token, engine.max_age(limit, attempt.now))
    if len(header[1]) > COOKIE_LIMIT:
        raise CookieTooLarge(len(header[1]), COOKIE_LIMIT, attempt.largest())
    state.out, state.line = token, (token, header)
    key = None if engine.revocation is None else key_of(engine, draft, state.subject)
    attempt.saved(b"", key, record)
    state.flags &= ~REISSUE
    if attempt.flags & LOGIN:
        engine.warn_of_copies()
        engine.emit(events.SessionLoggedIn, subject=state.subject)


async def end(engine: Engine, state: SessionState) -> Ended:
    """Take the cookie back, and end what it held where that was asked for.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    found = [_stood(engine, state)]
    if found[0] is None:
        now = engine.clock()
        records = [(token, engine.client.unseal(token)) for token in state.ids]
        found = [_judge(engine, token, record, now) for token, record in records if record is not None]
    ended = Ended()
    if engine.revocation is not None:
        for opened in found:
            key = None if opened is None else key_of(engine, opened.contents, opened.record.subject)
            if opened is not None and key is not None:
                ended = await _end_one(engine, key, opened.record.subject)
    subject = state.read.record.subject if state.read is not None else None
    engine.emit(events.SessionLoggedOut, subject=subject)
    state.read, state.ids = None, ()
    if not state.phase:
        state.out, state.line = "", None
    return ended


# -- revocation


def key_of(engine: Engine, contents: Contents, subject: str | None) -> str | None:
    """Return the key of the mark that would end this session, or None: it has no lineage, so nothing can end it."""
    if engine.revocation is None:
        return None
    if engine.revocation.mode == "epoch" and subject is not None:
        return subject_key(subject)
    return None if contents.lineage is None else marks.mark_key("cookie", contents.lineage)


async def is_live(engine: Engine, contents: Contents, subject: str | None) -> bool:
    """Tell whether the session of a cookie was not ended.

    Raises:
        StoreUnavailable: The store does not answer, so that it cannot be told.
    """
    revocation = engine.revocation
    if revocation is None:
        return True
    key = key_of(engine, contents, subject)
    if key is None:
        return False  # one from before revocation was switched on could never be ended
    of_subject = revocation.mode == "epoch" and subject is not None
    return await revocation.limit(engine, key) <= (contents.seen if of_subject else contents.turn)


async def revoke_lineage(engine: Engine, key: str) -> None:
    """Write the mark that ends a login.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    until = longest(engine)

    def ended(facts: marks.Facts) -> tuple[marks.Facts, int]:
        kept = max(until, int(facts.get("until", 0)))
        return {**facts, "at": 1, "until": kept}, kept

    await marks.amend(engine.storage, key, ended)
    if engine.revocation is not None:
        engine.revocation.forget(key)


async def _end_one(engine: Engine, key: str, subject: str | None) -> Ended:
    assert engine.revocation is not None
    if engine.revocation.mode == "epoch" and subject is not None:
        before: list[marks.Facts] = []
        number = await engine.storage.positions.advance(key, note=before.append)
        engine.revocation.forget(key)
        return Ended(number, before)
    await revoke_lineage(engine, key)
    return Ended()


async def _settle(attempt: Attempt, todo: Plan, ended: Ended) -> bool:
    """Before a cookie is sealed: end what is to be ended; False if somebody else has ended the session.

    Raises:
        StoreUnavailable: The store does not answer; nothing is handed out.
    """
    engine, state, draft, flags = attempt.engine, attempt.state, attempt.draft, attempt.flags
    assert engine.revocation is not None
    one = engine.revocation.mode == "denylist"
    positions, stood = engine.storage.positions, _stood(engine, state)
    signs_in = bool(flags & LOGIN) or (todo.step is Step.MOVE and todo.rotates is not None)
    if signs_in and not one:
        if await positions.admit(state, draft, state.subject, own=ended.number, before=ended.before) is False:
            conflict.end_state(state)
            engine.emit(events.SessionRevoked, subject=state.subject)
            return False
        draft.seen = positions.seq
    if stood is not None:
        key = key_of(engine, stood.contents, stood.record.subject)
        if signs_in or flags & DISPLACED:
            if key is not None and (one or key != key_of(engine, draft, state.subject)):
                await _end_one(engine, key, stood.record.subject)
        elif todo.step is not Step.TOUCH:
            if not await is_live(engine, stood.contents, stood.record.subject):
                conflict.lost(attempt)
                return False
            if flags & REGENERATE and key is not None and one and not await _turn(engine, key, draft):
                conflict.lost(attempt)
                return False
    if signs_in or draft.lineage is None:
        draft.lineage, draft.turn = tokens.b64encode(tokens.new_id()[:16]), 0
    attempt.encode()
    return True


async def _turn(engine: Engine, key: str, draft: Contents) -> bool:
    """Make every cookie of this lineage from before now dead; False: somebody else has done so, or ended it."""
    turn, until, stands = draft.turn, longest(engine), True

    def next_(facts: marks.Facts) -> tuple[marks.Facts, int]:
        nonlocal stands
        stands = not facts.get("at") and facts.get("turn", 0) <= turn
        kept = max(until, int(facts.get("until", 0)))
        return ({**facts, "turn": turn + 1, "until": kept} if stands else facts), kept

    await marks.amend(engine.storage, key, next_)
    if stands:
        draft.turn = turn + 1
    if engine.revocation is not None:
        engine.revocation.forget(key)
    return stands


def _stood(engine: Engine, state: SessionState) -> Opened | None:
    """Return the session that the request came with."""
    if state.read is None:
        return None
    return Opened(state.read.record, unpack(state.read.record.payload, engine.serializer, sealed=True), "")


def longest(engine: Engine) -> int:
    """Return when every cookie that exists now is dead, whatever session it is of and whatever policy sealed it."""
    policy = engine.policy
    spans = [policy.absolute_ms if policy.absolute_ms is not None else policy.idle_ms]
    spans += [policy.remember_ms] if policy.remember_ms is not None else []
    lasting = [span for span in spans if span is not None]
    if len(lasting) < len(spans):
        return NEVER
    return engine.clock() + max(_LONGEST, 2 * max(lasting)) + slack_ms(None)


def require(engine: Engine, mode: Mode) -> None:
    """Check that cookie sessions are ended in this way.

    Raises:
        LimpetError: They are not; the message says which setting would do it.
    """
    if engine.revocation is None or engine.revocation.mode != mode:
        what = "a single cookie session" if mode == "denylist" else "all cookie sessions of a subject"
        raise LimpetError(f"{what} can be ended with CookieStore(revocation={mode!r}, revocation_store=...) only")
