"""What a new record has to pass beside its own write: revocations, and a limit of sessions.

A login is written first and looks at the journal then; who revokes writes the journal first and looks for sessions
then. So either the one sees the session or the other sees the revocation, see `limpet._core.positions`.

A limit is kept in one of two ways. ``oldest_out`` counts logins in the store, writes, and then ends all but the newest:
which those are does not depend on who looks, so that any number of logins at once leave exactly so many. ``refuse``
counts and writes under a lock of the subject. Two logins from one id are one browser: the later takes the place of the
earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import events
from limpet._core import conflict, locks, marks, plan
from limpet._core.listing import Kept, live
from limpet._core.record import CorruptPayload, unpack
from limpet._core.state import EXPOSED, LOGIN, Gone, Read, SessionState
from limpet.errors import ConfigurationError, SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["has_room", "insert", "leave_tags", "limit_of", "stand_as_before", "stay", "take_place"]

_LISTED: Final = 200  # subjects that are listed under one tag
_DAY: Final = 86_400_000  # milliseconds
_LOCK_LIFE: Final = 10.0  # seconds that one login may hold up the others of its subject, should its process die


async def insert(attempt: Attempt) -> bool:
    """Write a session under a new id; False: it was revoked before that, and there is no session.

    Raises:
        SessionLimitReached: The policy says ``when_full="refuse"`` and there are as many as allowed.
        SessionConflict: A revocation came so close that nobody can tell which was first.
        StoreUnavailable: The store does not answer.
    """
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    subject = state.subject
    if not attempt.flags & LOGIN or subject is None:
        if state.read is None:
            await _set_seen(attempt, now=True)
        await attempt.insert()
        return True
    limit = limit_of(engine, subject)
    for name, value in draft.tags.items():
        await _register(engine, name, value, subject, plan.absolute_deadline(draft, engine.policy))
    if limit is None:
        return await _insert_login(attempt, subject)
    if engine.policy.when_full == "refuse" or limit < 1:
        async with locks.Lock(engine, "limit", subject, life=_LOCK_LIFE, wait=engine.policy.merge_timeout):
            places = await _places_of_this_browser(engine, state, attempt.replaces)
            if not await has_room(engine, subject, limit, places):
                engine.emit(events.LimitReached, subject=subject, refused=True)
                raise SessionLimitReached(limit)
            return await _insert_login(attempt, subject)
    draft.order = await _count(engine, subject)
    attempt.encode()
    if not await _insert_login(attempt, subject):
        return False
    try:
        return await _oldest_out(attempt, subject, limit)
    except StoreUnavailable:
        return True  # said as an event; the id has changed, and the next login ends what is too many


async def stay(attempt: Attempt) -> None:
    """Write a login under the id that the session has: the application has changed that by itself.

    Raises:
        SessionLimitReached: As for `insert`; the session is as it was.
        SessionConflict: As for `insert`; the session is ended.
        StoreUnavailable: The store does not answer.
    """
    engine, state, old = attempt.engine, attempt.state, attempt.stored()
    attempt.replaces = old.key
    try:
        stands = await insert(attempt)
    except SessionLimitReached:
        stand_as_before(engine, state, old)
        raise
    if not stands:
        return
    engine.emit(events.SessionLoggedIn, old.key, subject=state.subject)
    gone, state.gone = state.gone, None
    there = None if gone is None else await engine.storage.load(gone.key)
    if gone is None or there is None:
        return
    newest = marks.buried(gone.key, there, engine.clock(), met=True) or gone
    for other in (gone, newest):  # logins from the same id: the one that was saved last stands
        if other.successor != old.key:
            await take_place(engine, state, other)
    if newest.successor != old.key:
        await engine.storage.replace(gone.key, marks.tombstone("login", attempt.now, old.key), newest.record.version)


async def _insert_login(attempt: Attempt, subject: str) -> bool:
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    while True:
        await _set_seen(attempt)
        if attempt.plan.step is not plan.Step.UPDATE:
            await attempt.insert()
        else:
            await conflict.update(attempt)
            if state.read is None:
                return False  # it was ended meanwhile
            attempt.made = attempt.stored().key or "", attempt.stored().record.version
        failure: BaseException | None = None
        stands: bool | None = False
        try:
            stands = await engine.storage.positions.admit(state, draft, subject)
        except Exception as error:  # noqa: BLE001 - raised again below, where something can be awaited
            failure = error
        if failure is not None:
            await attempt.drop_made()
            raise failure
        if stands:
            return True
        key = attempt.stored().key
        if stands is False or attempt.plan.step is not plan.Step.UPDATE:
            await attempt.drop_made()
        if stands is False:
            conflict.end_state(state)
            engine.emit(events.SessionRevoked, key, subject=subject)
            return False


async def _set_seen(attempt: Attempt, *, now: bool = False) -> None:
    seen = await attempt.engine.storage.positions.current(now=now)
    if seen != attempt.draft.seen:
        attempt.draft.seen = seen
        attempt.encode()


def limit_of(engine: Context, subject: str) -> int | None:
    """Return how many sessions a subject may have, or None for any number."""
    limit = engine.policy.max_sessions
    if not callable(limit):
        return limit
    given = limit(subject)
    if given is not None and type(given) is not int:
        raise ConfigurationError(
            f"the function max_sessions returned {given!r}: it is to return a whole number of sessions, or None"
        )
    return given


async def has_room(engine: Context, subject: str, limit: int, own: set[str]) -> bool:
    """Tell whether a subject may have one more session beside those that are this browser's own."""
    if limit < 1:
        return False
    return len(await _others(engine, subject, own)) < limit


async def _places_of_this_browser(engine: Context, state: SessionState, old: str | None) -> set[str]:
    """Return the keys of the sessions that a login takes the place of.

    Args:
        old: The key of the session that the request had; None: none.
    """
    own: set[str] = {rival.key for rival in state.rivals}
    if old is not None:
        own.add(old)
        there = await engine.storage.load(old)
        if there is not None and marks.is_mark(there.payload):  # another login from the same id was quicker
            state.gone = marks.buried(old, there, engine.clock(), met=True)
    elif state.gone is not None:
        there = await engine.storage.load(state.gone.key)
        if there is not None and marks.is_mark(there.payload):
            state.gone = marks.buried(state.gone.key, there, engine.clock(), met=True) or state.gone
    if state.gone is not None and state.gone.successor is not None:
        own.add(state.gone.successor)
    return own


async def take_place(engine: Context, state: SessionState, gone: Gone) -> None:
    """End the session of an earlier login from the same id, if it was of the same subject.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    if gone.successor is None:
        return
    there = await engine.storage.load(gone.successor)
    same = there is not None and there.subject is not None and there.subject == state.subject
    if there is not None and same and await engine.storage.end(gone.successor, there):
        engine.emit(events.SessionLoggedOut, gone.successor, subject=there.subject)


def stand_as_before(engine: Context, state: SessionState, old: Read | None) -> None:
    """Let a refused login leave no trace: the session is what it was when the request began, or anonymous."""
    state.out = state.line = state.leaving = None
    state.increments = state.views = state.loans = state.owned = state.assigned = state.tried = None
    state.flags &= ~(conflict.NOTED | EXPOSED)
    state.read = old
    if old is None:
        state.draft, state.data, state.subject = None, {}, None
        return
    state.draft = unpack(old.record.payload, engine.serializer)
    state.data, state.subject = state.draft.data, old.record.subject


async def _oldest_out(attempt: Attempt, subject: str, limit: int) -> bool:
    engine, own = attempt.engine, attempt.stored().key
    # Those that this login takes the place of are ended in their own way.
    places = await _places_of_this_browser(engine, attempt.state, attempt.replaces) - {own}
    sessions = await _others(engine, subject, places)
    newest = sorted(sessions, key=lambda kept: kept.rank, reverse=True)
    stands = True
    for kept in newest[limit:]:
        if kept.key == own:
            await attempt.drop_made()
            conflict.end_state(attempt.state)
            engine.emit(events.LimitReached, own, subject=subject)
            stands = False
        elif await engine.storage.end(kept.key, kept.record):
            engine.emit(events.LimitReached, kept.key, subject=subject)
    return stands


async def _others(engine: Context, subject: str, own: set[str]) -> list[Kept]:
    """Return the live sessions of a subject beside these; a change of id under way is one, its first record."""
    sessions = [kept for kept in await live(engine, subject) if kept.key not in own]
    keys = {kept.key for kept in sessions}
    return [
        kept
        for kept in sessions
        if kept.contents is None or keys.isdisjoint(row[0] for row in kept.contents.predecessors)
    ]


async def _count(engine: Context, subject: str) -> int:
    """Return which login of its subject this is, as the store counts them."""

    def next_(facts: marks.Facts) -> tuple[marks.Facts, int]:
        return {**facts, "n": facts.get("n", 0) + 1}, engine.storage.positions.keep_until()

    facts = await marks.amend(engine.storage, marks.mark_key("logins", subject), next_)
    number: int = facts["n"]
    return number


async def _register(engine: Context, name: str, value: str, subject: str, until: int) -> None:
    """Note that a subject has logged in with a tag: first, so that who revokes the tag looks at the subject.

    Of a tag with very many subjects it is noted, once a day, that there are more: then all sessions are looked at.
    """
    key = marks.tag_key(name, value)
    there = await engine.storage.load(key)
    known = (marks.read(there.payload) or {}) if there is not None else {}
    if until <= known.get("many", 0) or known.get("subjects", {}).get(subject, 0) >= until:
        return

    def add(facts: marks.Facts) -> tuple[marks.Facts, int]:
        now = engine.clock()
        subjects = {who: end for who, end in facts.get("subjects", {}).items() if end > now}
        many = facts.get("many", 0)
        if subject in subjects or len(subjects) < _LISTED:
            subjects[subject] = max(until, subjects.get(subject, 0))
        else:
            many = max(many, until + _DAY)
        later = engine.storage.positions.keep_until() if facts.get("at") else 0
        more = {"many": many} if many else {}
        return {**facts, **more, "subjects": subjects}, max(*subjects.values(), many, later)

    await marks.amend(engine.storage, key, add)


async def leave_tags(engine: Context, read: Read) -> None:
    """Drop the lists of tags that only this session, which was logged out, is on: a tag of its own leaves nothing."""
    try:
        contents = unpack(read.record.payload, engine.serializer)
    except CorruptPayload:
        return
    own = {read.record.subject: plan.absolute_deadline(contents, engine.policy)}
    for name, value in contents.tags.items():
        key = marks.tag_key(name, value)
        try:
            there = await engine.storage.load(key)
            facts = None if there is None else marks.read(there.payload)
            if there is not None and facts is not None and facts == {"subjects": own}:
                await engine.storage.delete(key, there.version)
        except StoreUnavailable:
            return  # said as an event
