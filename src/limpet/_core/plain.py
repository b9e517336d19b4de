"""What most commits are about: values of a stored session may have changed, and nothing else was asked for.

All that is left to decide is whether the payload differs. A `Commit` would come to the same, by looking at everything
that a request can have asked for; that takes twice as long. What is refused here, or turns out to be more than that, is
left to the commit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from limpet._core import conflict, plan, sealing, tokens
from limpet._core.commit import Commit
from limpet._core.hush import hush
from limpet._core.record import Contents, CorruptPayload, Found, Record, make_record, pack, unpack
from limpet._core.standing import FROZEN, NOTHING_NOTED, READY, SEALED, Notes, Standing
from limpet.errors import LimpetError

if TYPE_CHECKING:
    from limpet._core.manager import Engine
    from limpet._core.session import Session

__all__ = ["load", "reseal", "unseal", "update"]

_WRITTEN: Final = Notes(written=True)


def unseal(engine: Engine, session: Standing) -> None:
    """Open a session that lives in its cookie, and does so without a question in nearly every request.

    Two cookies, a key that was replaced, a deadline of its own: `sealing.unseal` looks again, and at everything.

    Raises:
        SessionNotLoaded: It is kept by a store, which has not been asked yet.
        StoreUnavailable: The store was asked and did not answer.
    """
    if session._state is not SEALED:
        session._refuse_to_read()
    found = None if engine.reader is None else engine.reader(session._presented)
    if found is not None and session._rare is None and _stand_on(engine, session, found[1], sealed=True):
        session._ids = (found[0],)
    else:
        sealing.unseal(engine, session)


async def load(engine: Engine, session: Session) -> Found | None:
    """Read a session from the store, for a request that came with one id; what is found and is unusual is returned.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    token = session._ids[0]
    raw = engine.verify(token)
    if raw is None:
        return None
    key = engine.key_of(raw)
    record = await engine.call("load", engine.server.load(key), key)
    if record is None or not session._unread():  # another task of the same request may have been faster
        return None
    found: Found | None = None
    if _stand_on(engine, session, record, sealed=False):
        session._raw, session._key = raw, key
    elif (found := await engine.admit(raw, key, record)) is None:
        return None
    if engine.id_sealer is not None and not engine.id_sealer.current(token):
        session._reissue = True
    return found


def _stand_on(engine: Engine, session: Standing, record: Record, *, sealed: bool) -> bool:
    """Let a session stand for a record, if that is a session with no question about it; else nothing is done."""
    _, payload, accessed, _, subject = record
    try:
        contents = unpack(payload, engine.serializer, sealed=sealed)
    except CorruptPayload:
        return False
    now = engine.clock()
    if accessed > now or contents.ends is not None or engine.is_over(contents, accessed, now):
        return False
    session._state = READY
    session._record, session._contents, session._subject = record, contents, subject
    session._data, session._base = contents.data, payload
    return True


def reseal(engine: Engine, session: Session) -> bool:
    """Save a session that lives in its cookie; False: it takes a commit, and nothing was done.

    Raises:
        UnstorableValue: A value cannot be stored.
    """
    read, contents = session._record, session._contents
    if read is None or contents is None or engine.is_server_side or engine.tracer is not None:
        return False
    try:
        now = engine.clock()
        payload = _payload(engine, session, read, contents, now)
        if payload is None:
            return False
        if payload != session._base:
            ends, limit = plan.reach(contents, now, engine.policy)
            record = make_record((read.version, payload, now, ends, session._subject))
            if sealing.hand_out(engine, session, record, limit) > sealing.COOKIE_LIMIT:
                return False
            session._record, session._base = record, payload
    except LimpetError as error:
        hush(error)
        raise
    session._written = False
    return True


async def update(engine: Engine, session: Session) -> bool:
    """Save a session that a store keeps; False: it takes a commit, and nothing was done.

    Raises:
        StoreUnavailable: The store does not answer; nothing is reported as saved.
        SessionConflict: A strict key was changed on two sides, or the merge budget ended.
    """
    read, contents, key, now = session._record, session._contents, session._key, engine.clock()
    if read is None or contents is None or key is None:
        return False
    payload = _payload(engine, session, read, contents, now)
    if payload is None:
        return False
    wrote, session._written = session._written, False
    if payload == session._base:
        return True
    expires = plan.forget_at(contents, now, engine.policy)
    record = make_record((tokens.new_version(), payload, now, expires, session._subject))
    try:
        if engine.immediate:
            await _replace(engine, session, key, record, read)
            return True
        async with engine.runtime.turn(key):
            alone = session._record is read and session._notes() == NOTHING_NOTED
            if alone:  # no other task of this request went on meanwhile
                await _replace(engine, session, key, record, read)
    except BaseException:
        session._written = session._written or wrote
        raise
    if not alone:
        session._written = session._written or wrote
    return alone


async def _replace(engine: Engine, session: Session, key: str, record: Record, read: Record) -> None:
    write = partial(engine.server.update, key, record, read.version, now=record.accessed)
    try:
        if engine.immediate:
            outcome = await engine.call("update", write(), key)
        else:
            outcome = await engine.write("update", write, key, record.version)
    except BaseException:  # cancelled, too: it may have landed
        session._tried = {record.version: {}}
        raise
    if conflict.landed(outcome, record):
        session._record, session._base = record, record.payload
        return
    commit = Commit(engine, session)
    commit.now, commit.notes, commit.payload = record.accessed, _WRITTEN, record.payload
    try:
        await commit.update(outcome)
    except BaseException:
        commit.give_increments_back()
        raise
    commit.reissue()


def _payload(engine: Engine, session: Session, read: Record, contents: Contents, now: int) -> bytes | None:
    """Return the session encoded, if nothing but its values is to be looked at; None: it takes a commit."""
    if (
        session._rare is not None
        or session._phase
        or contents.previous is not None
        or contents.ends is not None
        or now >= read.expires
        or not engine.plain_updates
    ):
        return None
    for key in engine.policy.rotate_on:  # nobody has set one of them; was one changed in place?
        value = contents.data.get(key)
        if value is not None and type(value) not in FROZEN:
            return None
    payload = pack(contents, engine.serializer)
    if payload == session._base:  # as it was read: need it not be touched either?
        return payload if now - read.accessed < engine.quiet_ms else None
    return payload if len(payload) <= engine.policy.max_size else None
