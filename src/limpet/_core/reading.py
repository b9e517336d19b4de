"""Reading a session: when a request begins, and again while it runs."""

from __future__ import annotations

from limpet import _client_change as client_change
from limpet import _cookie_endings as cookie_endings
from limpet import _importing as importing
from limpet._cookie_endings import Opened
from limpet._core import conflict, cookie_session, plan, predecessors, questions
from limpet._core.attempt import Attempt
from limpet._core.context import Context
from limpet._core.notes import adopt
from limpet._core.plan import NO_PLAN
from limpet._core.state import (
    DISPLACED,
    ENDED,
    FORWARDED,
    LAPSED,
    OVER,
    PASSIVE,
    PREDECESSORS_ENDED,
    READY,
    REISSUE,
    UNPROVEN,
    SessionState,
    Stored,
)
from limpet._redact import redact
from limpet._wire import record
from limpet._wire.marks import Gone
from limpet._wire.record import Found
from limpet.errors import StoreUnavailable

__all__ = ["find", "is_live", "refresh"]


async def find(engine: Context, state: SessionState) -> None:
    """Look for the session of the ids that a request presented, and let the state stand for it.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    found: Found | Opened | None = None
    gone: Gone | None = None
    refused: list[str] = []
    if not engine.is_server_side:
        found = await cookie_session.find(engine, state, refused) if state.ids else None
    else:
        live: list[Found] = []
        for token in state.ids:
            raw = engine.ids.verify(token)
            if raw is None:
                refused.append(token)
            each = None if raw is None else await engine.storage.locate(raw, engine.ids.key_of(raw))
            if isinstance(each, Gone):
                gone = each if gone is None or gone.successor is None else gone  # one that led on says more
            elif each is not None and all(each.key != other.key for other in live):
                live.append(each)
                if not engine.ids.current(token):
                    state.flags |= REISSUE
        if len(live) > 1:  # those that a login was to end, and could not, end now
            named = {row[0] for each in live for row in each.contents.predecessors}
            live = [each for each in live if each.key not in named]
        if len(live) == 1:
            found = live[0]
        elif live:
            state.rivals = live
            engine.note_ambiguous(state)
    if isinstance(found, Found) and found.contents.predecessors:
        now = await predecessors.end(engine, found)
        found, gone = (None, now) if isinstance(now, Gone) else (now, None)
    if state.loaded == READY:
        return  # another task has ended it meanwhile
    if found is None and not state.rivals and gone is None and state.legacy is not None:
        await importing.read(engine, state, state.legacy)
    state.loaded = READY
    for token in refused:
        if state.legacy is None or state.legacy.token != token:  # else it is another library's, by the same cookie
            engine.emitter.note_unknown()
            engine.ids.note_refused(token)
    if isinstance(found, Found) and engine.binder is not None and not engine.binder.admits(found, state.headers):
        state.rivals, state.flags = [found], state.flags | UNPROVEN  # a login ends it, and so does a logout
    elif isinstance(found, Found):
        adopt(state, found)
        if found.contents.predecessors:
            state.flags |= PREDECESSORS_ENDED
        if engine.policy.on_client_change:
            await client_change.judge(engine, state)
        await _keep_for_this_request(engine, state)
    elif found is not None:
        cookie_session.adopt(engine, state, found)
    elif gone is not None and not state.rivals:
        state.gone = gone
        state.flags |= OVER


async def _keep_for_this_request(engine: Context, state: SessionState) -> None:
    """Note the use now where the session could end while the request runs: a use counts from its beginning.

    That is so once an eighth of the idle timeout has passed; busier sessions are touched when the response starts.
    """
    stored, draft = state.stored, state.draft
    if stored is None or draft is None or not engine.policy.rolling or draft.ends is not None or state.flags & PASSIVE:
        return
    idle = plan.idle_timeout(draft, engine.policy)
    now = used = engine.clock()
    if idle is None or now - stored.record.accessed <= idle // 8 or not stored.raw:
        return
    if plan.cookie_slides(draft, engine.rules, now):  # a touch by a request that uses the session stays due
        used -= engine.policy.touch_after(idle) or 0  # so a little less is noted, and the commit sends the cookie
    if used <= stored.record.accessed:
        return
    expires = plan.forget_at(draft, used, engine.policy)
    try:
        there = await engine.storage.touch(stored.key or "", used, expires)
    except StoreUnavailable:
        return  # said as an event; the session is alive, and the commit touches again
    if there:
        state.stored = stored.on(stored.record._replace(accessed=used, expires=max(stored.record.expires, expires)))


async def is_live(engine: Context, state: SessionState) -> bool:
    """Return whether the store still has a session that was loaded, and its deadlines have not passed.

    One that is bound to a device lives no longer for a request than the proof that the request came with.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    stored = state.stored
    if stored is None or state.flags & (ENDED | OVER):
        return False
    questions.refuse_to_wait_again(state)
    try:
        return await _is_live(engine, state, stored)
    except StoreUnavailable as error:
        state.error = redact(error)
        raise


async def _is_live(engine: Context, state: SessionState, stored: Stored) -> bool:
    if not engine.is_server_side:
        contents = record.unpack(stored.record.payload, engine.serializer, sealed=True)
        return await cookie_endings.is_live(engine, contents, stored.record.subject)
    found = await engine.storage.locate(stored.raw, stored.key or "", met_alive=True)
    if not isinstance(found, Found):
        if state.stored is stored:  # a save from now on has to look again: there is no slack for it
            state.stored = stored.on(stored.record._replace(expires=0))
        return False
    if found.forwarded and state.stored is stored:  # so that a long-lived socket never has many renewals to follow
        state.stored = Stored(found.raw, found.key, stored.record, stored.ends)
        state.flags |= FORWARDED | REISSUE
    if engine.binder is not None and engine.binder.lacks(found, state.headers) is not None:
        state.flags |= LAPSED
        return False
    return True


async def refresh(engine: Context, state: SessionState) -> None:
    """Read the record of a loaded session again and merge unsaved changes over it; the caller has its only turn.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    stored, draft = state.stored, state.draft
    if engine.is_server_side and stored is not None and draft is not None and not state.flags & (ENDED | DISPLACED):
        found = await engine.storage.locate(stored.raw, stored.key or "", met_alive=True)
        if state.draft is not draft:
            return  # another task has ended it meanwhile, or logged somebody else in
        differs = questions.differs(engine, state)
        attempt = Attempt(engine, state, NO_PLAN, engine.clock())
        conflict.rebase(attempt, found, differs)
