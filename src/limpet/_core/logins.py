"""What a new record has to pass beside its own write: revocations, and a limit of sessions.

A login is written first and looks at the journal then; who revokes writes the journal first and looks for sessions
then. So either the one sees the session or the other sees the revocation, see `limpet._core.positions`.

A limit is kept in one of two ways. ``oldest_out`` counts logins in the store, writes, and then ends all but the newest:
which those are does not depend on who looks, so that any number of logins at once leave exactly so many. ``refuse``
counts and writes under a lock of the subject. Of one browser the sessions count as one, see `limpet._core.places`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import _tags as tags
from limpet import events
from limpet._core import conflict, ending, locks, places, plan
from limpet._core.state import DISPLACED, EXPOSED, LOGIN, SessionState, Stored
from limpet._listing import live
from limpet._outcome import outcome_of
from limpet._wire import marks, tokens
from limpet._wire.marks import Gone
from limpet._wire.record import unpack
from limpet.contract import Record
from limpet.errors import SessionBusy, SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["insert", "say_what_is_left", "stand_as_before", "stay", "succeed", "succeed_all", "take_place"]

_OTHERS: Final = 4  # logins of other subjects from one id that its tombstone names
_LOCK_LIFE: Final = 10.0  # seconds that one login may hold up the others of its subject, should its process die
_LOCK_WAIT: Final = 12.0  # seconds: longer than that, as a login that was written is not to fail for it


async def insert(attempt: Attempt) -> bool:
    """Write a session, for `stay` under its own id; False: it was revoked before that, or gave way, and there is none.

    Raises:
        SessionLimitReached: The policy says ``when_full="refuse"`` and there are as many as allowed.
        SessionConflict: A revocation came so close that nobody can tell which was first.
        StoreUnavailable: The store does not answer.
    """
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    subject, legacy, login = state.subject, state.legacy, bool(attempt.flags & LOGIN)
    imports = state.stored is None and legacy is not None and legacy.noted and not legacy.dropped
    if not imports and (subject is None or not login):
        if state.stored is None:
            await _set_seen(attempt, now=True)
        if attempt.replaces is not None and engine.policy.max_sessions is not None:
            draft.lineage = places.lineage_of(attempt.replaces, *places.ids_of(draft.lineage))
            attempt.encode()
        await attempt.insert()
        return True
    limit = None if subject is None else places.limit_of(engine, subject)
    if login and subject is not None:
        for name, value in draft.tags.items():
            await tags.register(engine, name, value, subject, plan.absolute_deadline(draft, engine.policy))
    if subject is None or limit is None:
        return await _insert(attempt, subject)
    if engine.policy.when_full == "refuse" or limit < 1:
        lock = _limit_lock(engine, subject)
        async with lock:
            own = await places.of_this_browser(attempt)
            room = await places.has_room(engine, subject, limit, own)
            admitted = room and await _insert(attempt, subject)
        if admitted and lock.lost:
            room = admitted = await _recount(attempt, subject, limit, own)
        if room:
            return admitted
        engine.emit(events.LimitReached, subject=subject, refused=True)
        if login:
            raise SessionLimitReached(limit)
        conflict.void(attempt)
        return False
    if login:
        draft.order = await _count(engine, subject)
    own = await places.of_this_browser(attempt)
    if not await _insert(attempt, subject):
        return False
    try:
        return await _oldest_out(attempt, subject, limit, own)
    except StoreUnavailable:
        return state.stored is not None  # said as an event; the next login ends what is too many


def _limit_lock(engine: Context, subject: str) -> locks.Lock:
    return locks.Lock(engine, "limit", subject, life=_LOCK_LIFE, wait=engine.policy.merge_timeout)


async def _recount(attempt: Attempt, subject: str, limit: int, own: places.Places) -> bool:
    """The lock's life ended before this login was written, so that another may have counted at the same time."""
    engine = attempt.engine
    own = own._replace(keys=own.keys | {attempt.stored().key or ""})
    while True:
        lock = _limit_lock(engine, subject)
        async with lock:
            room = await places.has_room(engine, subject, limit, own)
            if not room:
                await attempt.drop_made()
        if not room or not lock.lost:
            return room


async def stay(attempt: Attempt) -> None:
    """Write a login under the id that the session has: the application has changed that by itself.

    Raises:
        SessionLimitReached: As for `insert`; the session is as it was.
        SessionConflict: As for `insert`; the session is as it was.
        StoreUnavailable: The store does not answer; if it can be told, there is no login.
    """
    engine, state, old = attempt.engine, attempt.state, attempt.stored()
    attempt.replaces = old.key
    admitted, failure = await outcome_of(insert(attempt))
    if failure is not None:
        await attempt.drop_made(failure)
        if isinstance(failure, SessionLimitReached):
            stand_as_before(engine, state, old)
        raise failure
    if not admitted:
        return
    attempt.kept = None
    engine.emit(events.SessionLoggedIn, old.key, subject=state.subject)
    gone, state.gone = state.gone, None
    if gone is None:
        return
    try:
        if await take_place(engine, state, gone, old.key) is not None:
            there = await engine.storage.load(gone.key)  # maybe that of another login by now: the last one stands
            after = None if there is None else marks.ended(gone.key, there, engine.clock(), met_alive=True)
            await succeed(engine, state, after or gone, old.key)
            await take_place(engine, state, after or gone, old.key)  # it may have looked before this was written
    except StoreUnavailable:
        say_what_is_left(engine, old.key)


def say_what_is_left(engine: Context, own: str | None) -> None:
    """Log that an earlier login may go on beside one that stands."""
    said = "session %s began, and not all that its request presented could be ended"
    engine.storage.emitter.log.warning("rivals", said, tokens.tag(own or ""))


async def _insert(attempt: Attempt, subject: str | None) -> bool:
    if attempt.flags & LOGIN and subject is not None:
        return await _insert_login(attempt, subject)
    # An old session is from before every revocation that came after it was admitted.
    attempt.draft.seen = attempt.state.position
    attempt.encode()
    await attempt.insert()
    positions = attempt.engine.storage.positions
    if attempt.engine.storage.has_marks:
        await positions.read()
    return await positions.holds(attempt.draft, subject) or await _refuse(attempt, subject)


async def _refuse(attempt: Attempt, subject: str | None) -> bool:
    """Take back what was revoked before it was written; return False."""
    key = attempt.stored().key
    await attempt.drop_made()
    conflict.void(attempt)
    attempt.engine.emit(events.SessionRevoked, key, subject=subject)
    return False


async def _insert_login(attempt: Attempt, subject: str) -> bool:
    while True:
        await _set_seen(attempt)
        if attempt.plan.step is not plan.Step.UPDATE:
            await attempt.insert()
        else:
            attempt.kept = await conflict.update(attempt)
            if attempt.state.stored is None:
                return False  # it was ended meanwhile
            if attempt.kept is not None:
                attempt.made = attempt.stored().key or "", attempt.stored().record.version
        admitted = await attempt.engine.storage.positions.admit(attempt.state, attempt.draft, subject)
        if admitted is not None:
            return admitted or await _refuse(attempt, subject)
        await attempt.drop_made()  # it cannot be told which was first: once more


async def _set_seen(attempt: Attempt, *, now: bool = False) -> None:
    seen = await attempt.engine.storage.positions.current(now=now)
    if seen != attempt.draft.seen:
        attempt.draft.seen = seen
        attempt.encode()


async def take_place(engine: Context, state: SessionState, gone: Gone, own: str | None) -> tuple[str, ...] | None:
    """End the sessions of earlier logins from the same id, if they were of the same subject; return those that stand.

    Args:
        own: The store key of the login that takes their place; None is returned if that has ended, as they are later.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    for _ in range(engine.policy.merge_attempts):
        there = await places.reached(engine, [*gone.others, gone.successor], engine.clock())
        found = [(key, record) for key, record in there.items() if record and record.subject is not None and key != own]
        others = tuple(key for key, record in found if record.subject != state.subject)[-_OTHERS:]
        earlier, raced = [(key, record) for key, record in found if record.subject == state.subject], False
        if not earlier:
            return others
        try:
            # Of two logins at once, each of which has found the other, one ends the other.
            async with locks.Lock(engine, "login", state.subject or "", life=_LOCK_LIFE, wait=_LOCK_WAIT):
                mine = await engine.storage.load(own or "")
                if mine is None or marks.is_mark(mine.payload):
                    return None
                for key, record in earlier:
                    grave = marks.tombstone("login", engine.clock(), own)
                    if await engine.storage.replace(key, grave, record.version) is None:
                        engine.emit(events.SessionLoggedOut, key, subject=record.subject)
                    else:
                        raced = True
        except SessionBusy:
            break
        if not raced:
            return others
    raise StoreUnavailable("an earlier login is in use so much that it could not be ended: try again")


async def succeed(
    engine: Context, state: SessionState, gone: Gone | None, own: str | None, *, heir: bool = False
) -> None:
    """Take the place of every earlier login from an id, and let its tombstone name this one.

    Args:
        gone: The tombstone that was found, or the note about an old token, which stays as long as it was to.
        own: The store key of this login.
        heir: It took along what was there.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    while gone is not None and gone.successor != own:
        if (others := await take_place(engine, state, gone, own)) is None:
            return
        now = engine.clock()
        grave = marks.tombstone("login", now, own, others, heir=heir, goes_on=gone.goes_on)
        grave = grave._replace(expires=max(grave.expires, gone.record.expires))
        obstacle = await engine.storage.replace(gone.key, grave, gone.record.version)
        gone = marks.ended(gone.key, obstacle, now, met_alive=True) if isinstance(obstacle, Record) else None


async def succeed_all(attempt: Attempt) -> None:
    """Take the place of every earlier login from the ids that a login came from, but for the id that it replaced.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    engine, state, own = attempt.engine, attempt.state, attempt.stored().key
    moves_in = None if state.legacy is None or state.legacy.how is None else state.legacy.key  # it has yet to be told
    keys = [key for key in places.ids_of(attempt.draft.lineage) if key not in (attempt.replaces, moves_in)]
    merges = attempt.replaces is not None and not attempt.flags & DISPLACED
    for key, record in zip(keys, await engine.storage.load_many(keys) if keys else (), strict=True):
        gone = None if record is None else marks.ended(key, record, engine.clock(), met_alive=True)
        await succeed(engine, state, gone, own, heir=merges and gone is not None and gone.heir)


def stand_as_before(engine: Context, state: SessionState, old: Stored | None) -> None:
    """Let a refused login leave no trace: the session is what it was when the request began, or anonymous."""
    state.out = state.line = state.leaving = None
    state.increments = state.views = state.loans = state.owned = state.assigned = state.tried = None
    state.flags = (state.flags & ~(conflict.NOTED | EXPOSED)) | state.left
    state.stored = old
    if old is None:
        state.draft, state.data, state.subject = None, {}, None
        return
    state.draft = unpack(old.record.payload, engine.serializer)
    state.data, state.subject = state.draft.data, old.record.subject


async def _oldest_out(attempt: Attempt, subject: str, limit: int, taken: places.Places) -> bool:
    engine, own = attempt.engine, attempt.stored().key
    # Those that this login takes the place of are ended in their own way.
    sessions = [kept for kept in await live(engine, subject) if kept.key == own or not taken.hold(kept)]
    admitted = True
    for kept in (kept for group in places.by_browser(sessions)[limit:] for kept in group):
        if kept.key == own:
            await attempt.drop_made()
            conflict.void(attempt)
            engine.emit(events.LimitReached, own, subject=subject)
            admitted = False
        elif (await ending.end(engine, Stored(b"", kept.key, kept.record), "revoke", None, alone=True))[1]:
            engine.emit(events.LimitReached, kept.key, subject=subject)
    return admitted


async def _count(engine: Context, subject: str) -> int:
    """Return which login of its subject this is, as the store counts them."""

    def next_(facts: marks.Facts) -> tuple[marks.Facts, int]:
        return {**facts, "n": facts.get("n", 0) + 1}, engine.storage.positions.keep_until()

    facts = await marks.amend(engine.storage, marks.mark_key("logins", subject), next_)
    return int(facts["n"])
