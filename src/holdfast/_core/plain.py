"""What most commits are about: values of a stored session may have changed, and nothing else was asked for.

All that is left to decide is whether the payload differs. A `Commit` would come to the same, by looking at everything
that a request can have asked for; that takes twice as long. What is refused here, or turns out to be more than that, is
left to the commit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast._core import conflict, plan, sealing, tokens
from holdfast._core.commit import Commit
from holdfast._core.record import Contents, Record, pack
from holdfast._core.standing import FROZEN, NOTHING_NOTED, Notes

if TYPE_CHECKING:
    from holdfast._core.manager import Engine
    from holdfast._core.session import Session

__all__ = ["reseal", "update"]

_WRITTEN: Final = Notes(written=True)


class _Usual(NamedTuple):
    """A save that is a matter of values."""

    read: Record
    contents: Contents
    record: Record


def reseal(engine: Engine, session: Session) -> bool:
    """Save a session that lives in its cookie; False: it takes a commit, and nothing was done.

    Raises:
        UnstorableValue: A value cannot be stored.
    """
    usual = _look(engine, session)
    if usual is None:
        return False
    if usual.record is not usual.read:
        if sealing.hand_out(engine, session, usual.contents, usual.record) > sealing.COOKIE_LIMIT:
            return False
        session._record, session._base = usual.record, usual.record.payload
    session._written = False
    return True


async def update(engine: Engine, session: Session) -> bool:
    """Save a session that a store keeps; False: it takes a commit, and nothing was done.

    Raises:
        StoreUnavailable: The store does not answer; nothing is reported as saved.
        SessionConflict: A strict key was changed on two sides, or the merge budget ended.
    """
    key, usual = session._key, _look(engine, session)
    if usual is None or key is None:
        return False
    wrote, session._written = session._written, False
    if usual.record is usual.read:
        return True
    try:
        if engine.immediate:
            await _replace(engine, session, key, usual)
            return True
        async with engine.runtime.turn(key):
            alone = session._record is usual.read and session._notes() == NOTHING_NOTED
            if alone:  # no other task of this request went on meanwhile
                await _replace(engine, session, key, usual)
    except BaseException:
        session._written = session._written or wrote
        raise
    if not alone:
        session._written = session._written or wrote
    return alone


async def _replace(engine: Engine, session: Session, key: str, usual: _Usual) -> None:
    record = usual.record
    write = partial(engine.server.update, key, record, usual.read.version, now=record.accessed)
    try:
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


def _look(engine: Engine, session: Session) -> _Usual | None:
    """Return what is to be saved, if nothing but values is to be looked at; the record as read if it needs no save."""
    read, contents, now = session._record, session._contents, engine.clock()
    if (
        read is None
        or contents is None
        or session._rare is not None
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
    if payload == session._base:
        return _Usual(read, contents, read) if now - read.accessed < engine.quiet_ms else None
    if len(payload) > engine.policy.max_size:
        return None
    expires = plan.forget_at(contents, now, engine.policy)
    return _Usual(read, contents, Record(tokens.new_version(), payload, now, expires, session._subject))
