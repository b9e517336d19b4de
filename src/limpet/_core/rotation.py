"""Changing the id of a session: the old one ends with the response (`move`) or after a grace (`renew`).

The new record is written first, so that an error leaves the old id as it was. Then a tombstone or a forward record is
written over the old one, if that still has the version that was read; else what was saved in between is merged first.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING

from limpet import events
from limpet._core import conflict, ending, logins, places, plan, questions, withdrawal
from limpet._core.attempt import Attempt
from limpet._core.state import DISPLACED, FORWARDED, LOGIN, OVER, REISSUE, SUCCEEDS, Leaving, Stored
from limpet._outcome import outcome_of
from limpet._wire import forward, marks, tokens
from limpet._wire.marks import Gone
from limpet._wire.record import Found, unpack
from limpet._wire.records import Obstacle
from limpet.contract import Record
from limpet.errors import SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["begin_grace", "finish", "move", "renew"]


class _Standing:
    """What a session stood on before its id was to change, to go back to."""

    __slots__ = ("_created", "_facts", "_flags", "_leaving", "_out", "_state", "fresh", "stored")

    def __init__(self, attempt: Attempt) -> None:
        state, draft = attempt.state, attempt.draft
        assert state.stored is not None
        self._state, self.stored, self._flags = state, state.stored, state.flags & (FORWARDED | REISSUE)
        self._facts = draft.renewed, draft.previous, draft.predecessors, draft.lineage, draft.origin
        self._leaving, self._created, self._out = state.leaving, state.created, state.out
        self.fresh = questions.is_fresh(state)

    async def restore(self, attempt: Attempt, failure: Exception) -> None:
        """Go back: nothing is handed out but what an earlier save made, and the new record is gone."""
        state, draft = self._state, attempt.draft
        await attempt.drop_made(failure)
        state.stored = self.stored
        state.flags = (state.flags & ~(FORWARDED | REISSUE)) | self._flags
        draft.renewed, draft.previous, draft.predecessors, draft.lineage, draft.origin = self._facts
        self.put_back()

    def take(self, leaving: Leaving) -> None:
        """The draft holds what others saved under the old id: from now on it is compared with that."""
        if self._leaving is None:
            self.stored = leaving.stored
        else:
            self._leaving = self._leaving._replace(stored=leaving.stored)

    def put_back(self) -> None:
        """Let a change of id that an earlier save of this request began be under way again."""
        state = self._state
        state.leaving, state.created, state.out, state.line = self._leaving, self._created, self._out, None

    async def drop_earlier(self, attempt: Attempt) -> None:
        """Delete the record that an earlier save of this request made: its id goes out to nobody now."""
        if self._leaving is not None:
            await attempt.engine.storage.try_to_drop(self.stored.key or "")


async def move(attempt: Attempt, *, final: bool) -> None:
    """Give the session a new id; the old one is dead when the response starts.

    Args:
        final: The response starts now; else the end of the old id waits for that.

    Raises:
        SessionLimitReached: The policy refuses a login; the session is as it was.
        StoreUnavailable: The store does not answer; the stored session is as it was, and the change stays noted.
    """
    state, flags = attempt.state, attempt.flags
    if state.leaving is not None and not flags & (LOGIN | DISPLACED):
        await conflict.update(attempt)  # the id that an earlier save made has not gone out: it is new enough
        return
    standing, old = _Standing(attempt), attempt.stored()
    how, merges, earlier = "login" if flags & LOGIN else "regenerate", not flags & DISPLACED, state.leaving
    failure: BaseException | None = None
    try:
        if earlier is None:
            state.leaving = Leaving(old, how, merges, {}, state.created is not None)
        else:  # the id that was to change did not go out: what the browser has is the one before
            goes = how if flags & LOGIN else earlier.how
            saved = withdrawal.acknowledged(earlier, old) if goes != earlier.how else earlier.saved
            state.leaving = earlier._replace(how=goes, merges=merges and earlier.merges, saved=saved)
        if how == "regenerate":
            attempt.draft.origin = attempt.draft.origin or old.key
        _begin_anew(attempt)
        attempt.replaces = old.key
        stands = await logins.insert(attempt)
    except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure, stands = error, False
    if failure is not None:
        if isinstance(failure, SessionLimitReached):
            await attempt.drop_made()
            logins.stand_as_before(attempt.engine, state, old)
            standing.put_back()
        elif isinstance(failure, Exception):
            await standing.restore(attempt, failure)
        else:  # cancelled: nothing more can be awaited, and an id that goes out to nobody leads nowhere
            state.stored, state.out, state.leaving = old, None, earlier
        raise failure
    leaving = state.leaving
    if not stands or leaving is None:  # revoked meanwhile: the browser keeps what it had, until another login
        kept = old if earlier is None else earlier.stored
        contents = unpack(kept.record.payload, attempt.engine.serializer)
        state.rivals = [] if standing.fresh else [Found(kept.raw, kept.key or "", kept.record, contents)]
        if standing.fresh:
            await attempt.engine.storage.try_to_drop(kept.key or "")
        return await standing.drop_earlier(attempt)
    state.leaving = leaving._replace(increments=dict(leaving.named(attempt.increments).increments))
    if final:
        _, unended = await outcome_of(_end_old(attempt, standing))
        if unended is not None:
            if attempt.made is not None:
                await standing.restore(attempt, unended)
            raise unended
    await standing.drop_earlier(attempt)


async def finish(attempt: Attempt) -> None:
    """End the old id of a change that `Session.save` began: the new one goes out now."""
    made = attempt.stored()
    attempt.made = made.key or "", made.record.version
    await _end_old(attempt, None)


async def _end_old(attempt: Attempt, standing: _Standing | None) -> None:
    """Replace the old record by a tombstone; what others saved into it meanwhile is merged into the new one.

    If it cannot be told whether the old record was replaced, the new id goes out all the same: the new record names the
    old one, so that the next request with it ends that.

    Raises:
        StoreUnavailable: The store does not answer, and the old record is alive.
    """
    engine, state, leaving = attempt.engine, attempt.state, attempt.state.leaving
    assert leaving is not None
    old, login = leaving.stored, leaving.how == "login"
    attempt.increments = dict(leaving.increments)  # what the old record has not
    leaving = leaving._replace(increments={})
    base = old.record.payload
    tomb = partial(marks.tombstone, leaving.how, heir=leaving.merges)
    grave = tomb(engine.clock(), attempt.stored().key)
    key, raw, version = old.key or "", old.raw, old.record.version
    while True:
        obstacle = await _bury(engine, key, grave, version)
        if obstacle is None or isinstance(obstacle, _Fate):  # unknown: the new record is there for good
            break
        if obstacle is False and login:  # nothing is left: who else comes with that id is to know of this login
            obstacle = await engine.storage.create(key, grave, urgent=True)
        found = await engine.storage.judge_if_any(raw, key, obstacle)
        if login and isinstance(found, Gone) and found.how == "login" and state.subject is not None:
            state.gone, state.flags = found, state.flags | SUCCEEDS  # this one stands: the earlier login ends after it
            break
        again = False
        while login and isinstance(found, Gone) and not again:
            key, version, again = found.key, found.record.version, True
            if found.how == "login":
                others = await logins.take_place(engine, state, found, attempt.stored().key)
                grave = tomb(engine.clock(), attempt.stored().key, others or (), goes_on=found.goes_on)
                state.gone = state.gone or found
                continue
            after = [] if found.successor is None else [found.successor]
            heir = leaving.merges and (not found.is_final or old.record.subject is None)
            mark = tomb(engine.clock(), attempt.stored().key, after, heir=heir, goes_on=found.goes_on)
            if await engine.storage.replace(key, mark, version) is None:
                found, again = None, False
                for key in after:  # its id was changed meanwhile: it is the same session
                    found = await engine.storage.judge_if_any(b"", key, await engine.storage.load(key))
        if again:
            continue  # write over the tombstone that was found, or look what is there by now
        if not isinstance(found, Found):
            if not login:
                await attempt.drop_made()
                state.stored = old
                conflict.ended_meanwhile(attempt, found)
                return
            if isinstance(obstacle, Record) and found is None:  # over by this host's clock, maybe not by another's
                await ending.end(engine, Stored(raw, key, obstacle), leaving.how, attempt.stored().key)
            if old.record.subject is not None and leaving.merges:
                # A logout won: the login stands, what the old session held does not.
                attempt.keep_changes_only(unpack(base, engine.serializer).data)
                if not await _rewrite(attempt, None):
                    engine.emit(events.SessionRevoked, attempt.stored().key, subject=state.subject)
                    conflict.void(attempt)
                    return
            break
        if leaving.merges:
            seen = attempt.draft.seen
            conflict.merge_in(attempt, found, base)
            base, old = found.record.payload, Stored(found.raw, found.key, found.record, found.contents.ends)
            state.leaving = leaving._replace(stored=old)
            if standing is not None:
                standing.take(state.leaving)
            attempt.draft.previous = None
            attempt.encode()
            if not await _rewrite(attempt, seen if not login else None):
                state.stored = old
                conflict.ended_meanwhile(attempt)
                return
            if not login:
                grave = tomb(engine.clock(), attempt.stored().key)
        raw, key, version = found.raw, found.key, found.record.version
    if login and state.subject is None and state.gone is None:  # who logs in comes to light later: `logins.stay`
        state.gone = Gone(key, grave, leaving.how, attempt.stored().key)
    state.leaving = None
    if leaving.merges:
        event = events.SessionLoggedIn if login and state.subject is not None else events.SessionRegenerated
    else:
        engine.emit(events.SessionLoggedOut, key, subject=old.record.subject)
        event = events.SessionLoggedIn
    engine.emit(event, attempt.stored().key, subject=state.subject)


class _Fate(enum.Enum):
    """What became of a write whose reply was lost, where no other record tells."""

    UNTOUCHED = "it did not happen"
    UNKNOWN = "it cannot be told"


async def _bury(engine: Context, key: str, grave: Record, version: int) -> Obstacle | _Fate:
    """Replace the old record by a tombstone; where the reply was lost, look what became of it.

    Raises:
        StoreUnavailable: It was not written.
    """
    failure: StoreUnavailable | None = None
    try:
        return await engine.storage.replace(key, grave, version)
    except StoreUnavailable as error:
        failure = error
    fate = await _look(engine, key, grave, version, failure)
    if fate is _Fate.UNTOUCHED:
        raise failure
    return fate


async def _look(engine: Context, key: str, mark: Record, version: int, failure: StoreUnavailable) -> Obstacle | _Fate:
    """Look what became of a write whose reply was lost; what a store call would have returned, or a `_Fate`.

    One that a store hung on can land yet, so that a look at what is there says nothing.
    """
    try:
        if failure.waited:
            raise failure
        there = await engine.storage.load(key)
    except StoreUnavailable:
        say = engine.storage.emitter.log.warning
        say("old id", "session %s may still be alive under its old id: the store does not answer", tokens.tag(key))
        return _Fate.UNKNOWN
    if there is None:
        return False
    if there.version == version:
        return _Fate.UNTOUCHED
    return None if there.version == mark.version else there


async def renew(attempt: Attempt) -> None:
    """Give the session a new id and leave a forward record under the old key.

    Raises:
        StoreUnavailable: The store does not answer; the session is as it was, or its old id leads to the new one.
    """
    standing = _Standing(attempt)
    _, failure = await outcome_of(_renew(attempt, standing))
    if failure is not None:
        if attempt.uncertain:
            attempt.made = None  # the old id may lead to it
        if not attempt.state.flags & OVER:
            await standing.restore(attempt, failure)
        raise failure


async def _renew(attempt: Attempt, standing: _Standing) -> None:
    engine, state, old = attempt.engine, attempt.state, attempt.stored()
    assert old.key is not None
    attempt.draft.renewed, attempt.draft.previous = attempt.now, old.key
    attempt.draft.origin = attempt.draft.origin or old.key
    if engine.policy.max_sessions is not None:
        attempt.draft.lineage = places.lineage_of(old.key, *places.ids_of(attempt.draft.lineage))
    attempt.encode()
    await attempt.insert()
    base, key, version = old.record.payload, old.key, old.record.version
    while True:
        new = attempt.stored()
        assert new.key is not None
        leads = forward.seal_forward(old.raw, key, new.raw, new.key)
        expires = plan.forget_at(attempt.draft, attempt.used_at(), engine.policy)
        mark = Record(tokens.new_version(), leads, attempt.now, expires)
        failure: StoreUnavailable | None = None
        try:
            obstacle = await engine.storage.update(key, mark, version)
        except StoreUnavailable as error:
            failure, obstacle = error, False
        if failure is not None:
            fate = await _look(engine, key, mark, version, failure)
            if isinstance(fate, _Fate):
                attempt.uncertain = fate is _Fate.UNKNOWN
                raise failure
            obstacle = fate
        if obstacle is None:
            break
        if isinstance(obstacle, Record) and forward.is_forward(obstacle.payload):
            leader = forward.open_forward(obstacle.payload, old.raw, key)
            led_to = None if leader is None else engine.ids.key_of(leader.raw)
            if led_to == new.key:
                break  # it is this one; its reply was lost, and a request that followed it has begun the grace
        found = await engine.storage.judge_if_any(old.raw, key, obstacle)
        if not isinstance(found, Found):
            await attempt.drop_made()
            state.stored, state.out = old, None
            conflict.ended_meanwhile(attempt, found)
            return
        if found.forwarded:  # another request renewed first: save into the record that it made
            await attempt.drop_made()
            state.stored, state.out, state.line = old, None, None
            attempt.draft.renewed, attempt.draft.previous = found.contents.renewed, found.contents.previous
            conflict.merge_in(attempt, found)
            if not engine.same(attempt.payload, attempt.stored().record.payload):
                await conflict.update(attempt)
            return
        seen = attempt.draft.seen
        conflict.merge_in(attempt, found, base)
        base, version = found.record.payload, found.record.version
        standing.stored = old = Stored(old.raw, key, found.record, found.contents.ends)
        attempt.draft.renewed, attempt.draft.previous = attempt.now, key
        attempt.encode()
        if not await _rewrite(attempt, seen):
            state.stored = old
            conflict.ended_meanwhile(attempt)
            return
    state.created = None  # the old id leads to it: it stays, whatever becomes of this request
    state.flags |= FORWARDED  # this request came with the old id: the grace is not its to begin
    engine.emit(events.SessionRenewed, attempt.stored().key, subject=state.subject)


async def _rewrite(attempt: Attempt, seen: int | None) -> bool:
    """Write merged contents into the new record; False: it was revoked meanwhile.

    A revocation that spared the session may have deleted the record, which did not say so yet: then it is made anew.

    Args:
        seen: The revocations that were taken into account before the merge; None: none spares a login under way.
    """
    while (obstacle := await attempt.rewrite()) is not None:
        made = attempt.stored()
        found = await attempt.engine.storage.judge_if_any(made.raw, made.key or "", obstacle)
        if not isinstance(found, Found):
            break
        counted, attempt.increments = attempt.increments, {}  # who has its public id wrote into it, which has those
        conflict.merge_in(attempt, found)
        attempt.made, attempt.increments = (found.key, found.record.version), counted
    if obstacle is None:
        return True
    if isinstance(obstacle, Record) or seen is None or attempt.draft.seen <= seen:
        return False
    await attempt.insert()
    return True


async def begin_grace(engine: Context, previous: str) -> None:
    """The new id has come back: from now on the old one is served for the grace and no longer."""
    record = await engine.storage.load(previous)
    if record is None or not forward.is_forward(record.payload):
        return
    now = engine.clock()
    ends = now + engine.policy.renewal_grace_ms
    payload = forward.with_grace(record.payload, ends)
    mark = Record(tokens.new_version(), payload, now, min(record.expires, ends + marks.TOMBSTONE_LIFE))
    await engine.storage.replace(previous, mark, record.version)


def _begin_anew(attempt: Attempt) -> None:
    """The new id has no id before it that still leads somewhere, and its renewal is due an interval from now."""
    draft, renews = attempt.draft, attempt.engine.policy.renewal_interval_ms is not None
    draft.renewed, draft.previous = attempt.now if renews else draft.renewed, None
    attempt.encode()
