"""Carries out a plan: what it means in calls of the store, or for a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import _cookie_endings as cookie_endings
from limpet import _importing as importing
from limpet import _tags as tags
from limpet import events
from limpet._core import conflict, cookie_session, ending, logins, plan, questions, rotation, withdrawal
from limpet._core.attempt import Attempt, Overtaken
from limpet._core.places import ids_of, lineage_of
from limpet._core.plan import Plan, Step
from limpet._core.state import (
    ACCESSED,
    DISPLACED,
    ENDED,
    FORWARDED,
    LOGIN,
    OVER,
    READ_ONLY,
    REGENERATE,
    REISSUE,
    RESTYLED,
    SUCCEEDS,
    WATCHED,
    WRITTEN,
    SessionState,
    Stored,
)
from limpet._listing import decoded
from limpet._outcome import outcome_of
from limpet._wire import marks
from limpet._wire.marks import Gone
from limpet._wire.record import Contents, Found
from limpet.errors import SessionClosed, SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["commit"]

_TOO_LATE: Final = "a new id cannot be handed out any more: the response has started"


async def commit(engine: Context, state: SessionState, *, failed: bool, final: bool) -> None:
    """Decide and carry out; of the tasks that share this session object, the caller alone is at work on it.

    Args:
        failed: The response is an error and the policy drops what such a request wrote.
        final: The response starts, or has started; else the handler goes on (`Session.save`).
    """
    if state.flags & READ_ONLY:
        return
    if state.legacy is not None and not failed:
        importing.note(engine, state)
    if not failed and state.draft is not None and state.draft.cookie != engine.rules.cookie:
        _restyle(engine, state, state.draft)
    now = engine.clock()
    todo = engine.decide(state, now, failed)
    if failed:
        if todo.end:
            await _end(engine, state)
        cookie_session.take_back(engine, state)
        state.flags &= ~SUCCEEDS
        return await withdrawal.abandon(engine, state)
    if todo.step is Step.NOTHING and not todo.end and not (final and _owes(state)):
        state.flags &= ~(WRITTEN | ENDED | WATCHED)
        return await _reissue(engine, state, written=False)
    await _carry_out(engine, state, todo, now, final)


def _restyle(engine: Context, state: SessionState, draft: Contents) -> None:
    """Note which attributes the cookie has from now on; one that is out with others goes out again."""
    wanted = engine.rules.cookie
    if state.phase:
        return
    if state.stored is None:
        draft.cookie = wanted
    elif state.flags & ACCESSED and (state.stored.raw or not engine.is_server_side):
        draft.cookie = wanted
        state.flags |= REISSUE | RESTYLED
        state.clears = True


def _owes(state: SessionState) -> bool:
    """Tell whether an earlier save of this request left something to end when the response starts."""
    legacy = state.legacy is not None and state.legacy.how is not None
    return state.leaving is not None or legacy or bool(state.flags & SUCCEEDS)


async def _carry_out(engine: Context, state: SessionState, todo: Plan, now: int, final: bool) -> None:
    """Carry out what was noted until now; what is noted while anything is waited for is the next commit's."""
    attempt = None if state.draft is None else Attempt(engine, state, todo, now)
    saved = None if state.leaving is None else withdrawal.acknowledged(state.leaving, state.stored)
    taken = state.flags & conflict.NOTED
    state.flags &= ~taken
    failure: BaseException | None = None
    try:
        questions.refuse_to_wait_again(state)
        if not engine.is_server_side and attempt is not None and todo.step is not Step.DROP:
            await cookie_session.seal(attempt, todo, final=final)
        elif not engine.is_server_side or engine.storage.immediate or todo.step in (Step.TOUCH, Step.DROP):
            await _steps(engine, state, todo, attempt, final, taken)
        else:
            key = state.stored.key if state.stored is not None and state.stored.key else f"new {id(state):x}"
            async with engine.emitter.runtime.turn(key):  # of this key in this process: so each meets one conflict
                if attempt is not None:
                    attempt.check_overtaken()
                await _steps(engine, state, todo, attempt, final, taken)
    except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure = error
        if not state.flags & OVER and (attempt is None or state.draft is attempt.draft):  # else it was left behind
            state.flags |= taken
            if attempt is not None:
                attempt.give_increments_back()
    if failure is None:
        if attempt is not None:
            conflict.tell(attempt)
        return
    if isinstance(failure, Overtaken):
        return await commit(engine, state, failed=False, final=final)
    if final and isinstance(failure, Exception) and not isinstance(failure, SessionLimitReached):
        cookie_session.take_back(engine, state)
        await withdrawal.withdraw(engine, state, failure, saved)
    raise failure


async def _steps(
    engine: Context, state: SessionState, todo: Plan, attempt: Attempt | None, final: bool, taken: int
) -> None:
    before = None if state.stored is None else state.stored.record.version
    if todo.end:
        await _end(engine, state)
        if attempt is not None:
            attempt.payload = b""  # what is written now names what it came from
    step = todo.step
    if attempt is not None and step is not Step.DROP:
        if state.phase and step in (Step.CREATE, Step.MOVE):
            raise SessionClosed(_TOO_LATE)
        again = step is Step.MOVE and state.leaving is not None and bool(attempt.flags & LOGIN)  # others know the id
        if not todo.end and (again or bool(state.tried) or questions.is_past_saving(engine, state, attempt.now)):
            if (step is Step.TOUCH and not (final and _owes(state))) or not await _still_there(attempt):
                return
            if step is Step.RENEW and state.flags & FORWARDED:  # another request has renewed it meanwhile
                step = Step.UPDATE
        if todo.grace is not None:
            # First, so that a failure leaves the note of it in the record, and the next request begins the grace.
            await rotation.begin_grace(engine, todo.grace)
        await _write(attempt, step, final)
    elif step is Step.DROP:
        conflict.drop(engine, state, taken)
    await _reissue(engine, state, written=state.stored is not None and state.stored.record.version != before)


async def _write(attempt: Attempt, step: Step, final: bool) -> None:
    engine, state = attempt.engine, attempt.state
    came = not questions.is_fresh(state)
    match step:
        case Step.CREATE:
            attempt.prepare()
            await _create(attempt, final)
        case Step.UPDATE:
            slides = plan.cookie_slides(attempt.draft, engine.rules, attempt.now)
            slides = slides and plan.deadline_moves(state, engine.rules, attempt.now)
            attempt.prepare()
            if attempt.flags & LOGIN:
                await logins.stay(attempt)
            elif attempt.is_as_planned(step) or not engine.same(attempt.payload, attempt.stored().record.payload):
                await conflict.update(attempt)
            if slides:
                state.flags |= REISSUE  # a save moves the deadline as a touch does
        case Step.EMPTY:
            attempt.prepare()
            await _empty(attempt, final)
        case Step.MOVE:
            attempt.prepare()
            await rotation.move(attempt, final=final)
            if state.legacy is not None and not state.flags & OVER:
                importing.owe(attempt, state.legacy, saved=True)
            if attempt.flags & LOGIN and not state.flags & OVER:
                state.clears = bool(state.rivals) and len(state.ids) > 1
                more = [key for key in ids_of(attempt.draft.lineage) if key != attempt.replaces]
                earlier = (state.gone is not None or more) and state.subject is not None  # else `logins.stay` looks
                state.flags |= SUCCEEDS if state.rivals or earlier else 0
        case Step.RENEW:
            attempt.prepare()
            await rotation.renew(attempt)
        case Step.TOUCH:
            await _touch(attempt)
    if not final or state.flags & OVER:
        return
    if state.leaving is not None:  # the change of id may be that of an earlier save, whose attempt this is not
        attempt.replaces = state.leaving.stored.key
        attempt.flags |= 0 if state.leaving.merges else DISPLACED
        await rotation.finish(attempt)
    if state.flags & SUCCEEDS:
        attempt.replaces = attempt.replaces if came else None  # what the request began itself took nothing along
        await _end_others(attempt)
    if state.legacy is not None and not state.flags & OVER:
        await importing.close(attempt)


async def _create(attempt: Attempt, final: bool) -> None:
    """Write the first record of a new session, and end what else the request presented if it is a login."""
    engine, state = attempt.engine, attempt.state
    before = state.out
    if attempt.flags & LOGIN and state.rivals:
        attempt.encode()  # the record of a login names them
    admitted, failure = await outcome_of(logins.insert(attempt))
    if failure is not None:
        await attempt.drop_made(failure)
        attempt.draft.predecessors = ()
        if isinstance(failure, SessionLimitReached):
            logins.stand_as_before(engine, state, None)
        else:
            state.stored, state.out, state.line = None, before, None  # the cookie of what was ended stays taken back
        raise failure
    if not admitted:
        return
    key = attempt.stored().key
    state.clears, state.met_alive = state.clears or len(state.ids) > 1, True
    engine.emit(events.SessionCreated, key, subject=state.subject)
    if attempt.flags & LOGIN:
        engine.emit(events.SessionLoggedIn, key, subject=state.subject)
        state.flags |= SUCCEEDS
    if state.legacy is not None:
        importing.owe(attempt, state.legacy, saved=not final)


async def _end_others(attempt: Attempt) -> None:
    """End what else a login's request presented, and earlier logins from those ids; it stands, whatever fails here."""
    engine, state, key = attempt.engine, attempt.state, attempt.stored().key
    rivals, gone = state.rivals, list[Gone]()
    state.rivals, state.flags = (), state.flags & ~SUCCEEDS
    if state.gone is not None and state.subject is not None:  # else it is said later whose login this is (Django)
        gone, state.gone = [state.gone], None
    for rival in rivals:
        try:
            grave, ended = await ending.end(engine, Stored(rival.raw, rival.key, rival.record), "login", key)
        except StoreUnavailable:
            continue  # the new record names it, so that the next request with the new id ends it
        if ended:
            engine.emit(events.SessionLoggedOut, rival.key, subject=rival.record.subject)
        gone += [grave] if grave is not None and grave.how == "login" else []
    try:
        for each in gone:
            heir = each.key == attempt.replaces and not attempt.flags & DISPLACED
            await logins.succeed(engine, state, each, key, heir=heir)
        await logins.succeed_all(attempt)
    except StoreUnavailable:
        logins.say_what_is_left(engine, key)


async def _empty(attempt: Attempt, final: bool) -> None:
    """End a session whose last key is gone; what others put into it meanwhile keeps it, under a new id if due."""
    engine, state = attempt.engine, attempt.state
    while True:
        stored = attempt.stored()
        grave = marks.tombstone("logout", engine.clock(), None)
        obstacle = await engine.storage.replace(stored.key or "", grave, stored.record.version)
        if obstacle is None:
            break
        if not await conflict.meet(attempt, obstacle):
            return
        if state.data or state.subject is not None:
            if attempt.flags & REGENERATE or attempt.plan.rotates is not None:
                if state.phase:
                    raise SessionClosed(_TOO_LATE)
                await rotation.move(attempt, final=final)
            else:
                await conflict.update(attempt)
            return
    came, state.gone = [stored.key or ""], Gone(stored.key or "", grave, "logout", None)
    if state.leaving is not None:
        came.append(state.leaving.stored.key or "")
        state.gone, _ = await ending.end(engine, state.leaving.stored, "logout", None)
    await ending.end_predecessors(engine, stored.key or "", stored.record, "logout")  # a job finds them alive
    engine.emit(events.SessionLoggedOut, stored.key, subject=stored.record.subject)
    draft, state.draft = attempt.draft, Contents(engine.clock(), state.data)
    if engine.policy.max_sessions is not None:
        state.draft.lineage = lineage_of(*came, *ids_of(draft.lineage))
    _is_over(state, ended=not _began(state))


def _is_over(state: SessionState, *, ended: bool) -> None:
    """Let the session be none; if this request is what ended it, let the client forget what it presented."""
    state.stored = state.leaving = state.created = None
    state.flags &= ~(FORWARDED | REISSUE | SUCCEEDS)
    if ended and state.ids:
        state.clears, state.ids = len(state.ids) > 1, ()
    if not state.phase and (ended or state.out):  # an id that was to go out opens nothing, whoever ended it
        state.out, state.line = "" if ended else None, None


def _began(state: SessionState) -> bool:
    """Tell whether the request began its session itself, though it had come with an id: somebody else ended that."""
    return questions.is_fresh(state) and bool(state.ids or state.legacy)


async def _touch(attempt: Attempt) -> None:
    engine, state, stored = attempt.engine, attempt.state, attempt.stored()
    expires = plan.forget_at(attempt.draft, attempt.used_at(), engine.policy)
    try:
        there = await engine.storage.touch(stored.key or "", attempt.now, expires)
    except StoreUnavailable:
        return  # said as an event; nothing of the user's is lost, and the next request touches again
    if not there:  # no record is left
        state.flags &= ~REISSUE
        return
    if plan.cookie_slides(attempt.draft, engine.rules, attempt.now):
        state.flags |= REISSUE
    state.stored = stored.on(stored.record._replace(accessed=attempt.now, expires=max(stored.record.expires, expires)))


async def _still_there(attempt: Attempt) -> bool:
    """Look again, as the time to forget it passed while the request ran, or as the reply to a write was lost.

    Goes on, merged, if others kept the session alive, and with a login in any case. False: the session is over.
    """
    stored = attempt.stored()
    found = await attempt.engine.storage.locate(stored.raw, stored.key or "", met_alive=True)
    if not isinstance(found, Found):
        if attempt.flags & (LOGIN | DISPLACED):
            return True
        conflict.ended_meanwhile(attempt, found)
        return False
    if found.record.version != stored.record.version and not attempt.flags & DISPLACED:
        conflict.merge_in(attempt, found)
    return True


async def _end(engine: Context, state: SessionState) -> None:
    """End every session that the request presented, and let the client forget the token.

    A failure on the way leaves the rest to the next try: what was ended stays so.
    """
    if not engine.is_server_side:
        await cookie_endings.end(engine, state)
        return
    questions.refuse_to_wait_again(state)
    ended, leaving = False, [] if state.leaving is None else [state.leaving.stored]
    targets = [] if state.stored is None else [*leaving, state.stored]  # what the browser has comes first
    quiet = [*targets] if _began(state) else []  # their end takes no cookie back
    targets.extend(Stored(rival.raw, rival.key, rival.record) for rival in state.rivals)
    if state.gone is None or state.gone.how == "renewal":
        alive, over = await ending.find_presented(engine, state, targets)
        targets += alive + over
        quiet += over
    kept = [decoded(engine, target.key or "", target.record) for target in targets]
    await importing.forget_origins(engine, kept)
    grave: Gone | None = None
    for target in targets:
        here, this_did = await ending.end(engine, target, "logout", None)
        grave = grave or here
        if this_did:
            engine.emit(events.SessionLoggedOut, target.key, subject=target.record.subject)
            ended = ended or target not in quiet
    await tags.leave(engine, kept)
    if kept and state.draft is not None and engine.policy.max_sessions is not None:
        came = [name for each in kept if each.contents is not None for name in ids_of(each.contents.lineage)]
        state.draft.lineage = lineage_of(*(each.key for each in kept), *came)
    after = await ending.successor(engine, state.gone)
    if after is not None and (await ending.end(engine, after, "logout", None))[1]:
        engine.emit(events.SessionLoggedOut, after.key, subject=after.record.subject)
        ended = True
    state.stored = state.leaving = None
    state.rivals, state.gone = (), grave or state.gone  # a login in the same request looks who else came with that id
    if state.legacy is not None:
        ended = await importing.forget(engine, state) or ended
    _is_over(state, ended=ended)


async def _reissue(engine: Context, state: SessionState, *, written: bool) -> None:
    """Hand the same token out again: under the newest key, with a new Max-Age, or in place of a renewed id.

    Args:
        written: A write by version has just shown that the id still is the session's.
    """
    flags, stored = state.flags, state.stored
    if not flags & REISSUE or state.out is not None or state.phase:
        return
    state.flags &= ~REISSUE
    if stored is None:
        return
    if not engine.is_server_side:
        if flags & ACCESSED:
            state.out = engine.client.seal(stored.record)
    elif (
        stored.raw and flags & (ACCESSED | FORWARDED) and (written or await ending.is_current(engine, stored.key or ""))
    ):
        state.out = engine.ids.present(stored.raw)
