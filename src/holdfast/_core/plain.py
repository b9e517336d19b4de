"""What most commits are about: values of a stored session may have changed, and nothing else was asked for.

All that is left to decide is whether the payload differs. A `Commit` would come to the same, by looking at everything
that a request can have asked for; that takes twice as long. What is refused here, or turns out to be more than that, is
left to the commit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from holdfast._core import conflict, plan, tokens
from holdfast._core.commit import Commit
from holdfast._core.record import NEVER, Record, pack
from holdfast._core.sealing import COOKIE_LIMIT
from holdfast._core.standing import FROZEN, NOTHING_NOTED, Notes

if TYPE_CHECKING:
    from holdfast._core.manager import Engine
    from holdfast._core.session import Session

__all__ = ["reseal", "update"]

_WRITTEN: Final = Notes(written=True)


def reseal(engine: Engine, session: Session) -> bool:
    """Save a session that lives in its cookie; False: it takes a commit, and nothing was done.

    Raises:
        UnstorableValue: A value cannot be stored.
    """
    record, contents = session._record, session._contents
    if record is None or contents is None:
        return False
    now = engine.clock()
    payload = _payload(engine, session, now)
    if payload is None:
        return False
    if payload == session._base:
        return _is_settled(engine, session, now)
    expires, limit = plan.reach(contents, now, engine.policy)
    sealed = Record(record.version, payload, now, expires, session._subject)
    token = engine.client.seal(sealed)
    header = engine.transport.write(token, engine.seconds_until(expires if limit == NEVER else limit, now))
    if len(header[1]) > COOKIE_LIMIT:
        return False
    session._record, session._base, session._written = sealed, payload, False
    session._out, session._line = token, (token, header)
    return True


async def update(engine: Engine, session: Session) -> bool:
    """Save a session that a store keeps; False: it takes a commit, and nothing was done.

    Raises:
        StoreUnavailable: The store does not answer; nothing is reported as saved.
        SessionConflict: A strict key was changed on two sides, or the merge budget ended.
    """
    record, key = session._record, session._key
    if record is None or key is None:
        return False
    now = engine.clock()
    payload = _payload(engine, session, now)
    if payload is None:
        return False
    if payload == session._base:
        return _is_settled(engine, session, now)
    wrote, session._written = session._written, False
    try:
        if engine.immediate:
            await _replace(engine, session, key, record, payload, now)
            return True
        async with engine.runtime.turn(key):
            alone = session._record is record and session._notes() == NOTHING_NOTED
            if alone:  # no other task of this request went on meanwhile
                await _replace(engine, session, key, record, payload, now)
    except BaseException:
        session._written = session._written or wrote
        raise
    if not alone:
        session._written = session._written or wrote
    return alone


async def _replace(engine: Engine, session: Session, key: str, read: Record, payload: bytes, now: int) -> None:
    contents = session._contents
    assert contents is not None
    record = Record(tokens.new_version(), payload, now, plan.forget_at(contents, now, engine.policy), session._subject)
    write = partial(engine.server.update, key, record, read.version, now=now)
    try:
        outcome = await engine.write("update", write, key, record.version)
    except BaseException:  # cancelled, too: it may have landed
        session._tried = {record.version: {}}
        raise
    if conflict.landed(outcome, record):
        session._record, session._base = record, payload
        return
    commit = Commit(engine, session)
    commit.now, commit.notes, commit.payload = now, _WRITTEN, payload
    try:
        await commit.update(outcome)
    except BaseException:
        commit.give_increments_back()
        raise
    commit.reissue()


def _payload(engine: Engine, session: Session, now: int) -> bytes | None:
    """Return the session encoded, if nothing but its values is to be looked at."""
    record, contents = session._record, session._contents
    if (
        record is None
        or contents is None
        or session._rare is not None
        or session._phase
        or contents.previous is not None
        or contents.ends is not None
        or now >= record.expires
        or not engine.plain_updates
    ):
        return None
    for key in engine.policy.rotate_on:  # nobody has set one of them; was one changed in place?
        value = contents.data.get(key)
        if value is not None and type(value) not in FROZEN:
            return None
    payload = pack(contents, engine.serializer)
    return payload if len(payload) <= engine.policy.max_size else None


def _is_settled(engine: Engine, session: Session, now: int) -> bool:
    """Tell whether a session that is as it was read need not be touched either."""
    if session._record is None or now - session._record.accessed >= engine.quiet_ms:
        return False
    session._written = False
    return True
