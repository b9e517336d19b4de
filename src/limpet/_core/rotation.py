"""Changing the id of a session: at once (`move`, for login and regenerate) or with a grace (`renew`).

Both write the new record first, so that an error on the way leaves the old id as it was, and then act on the old record
by the version that was read. What another request saved in between comes back as a conflict and is merged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from limpet._core import conflict, events, forward, tokens
from limpet._core.merge import diff_keys
from limpet._core.protocols import DONE
from limpet._core.record import Record, unpack
from limpet.errors import StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.commit import Commit

__all__ = ["begin_grace", "change_id", "drop_orphan", "move", "renew", "try_to_drop_orphan"]


async def change_id(commit: Commit, change: Callable[[Commit], Awaitable[None]]) -> None:
    """Change the id; on an error the session stands for its old record again, and hands out nothing."""
    session, contents = commit.session, commit.contents
    stood = session._raw, session._key, session._record, session._base, session._forwarded, session._reissue
    noted = contents.renewed, contents.previous, session._ends_read
    try:
        await change(commit)
    except BaseException as error:
        session._raw, session._key, session._record, session._base, session._forwarded, session._reissue = stood
        contents.renewed, contents.previous, session._ends_read = noted
        session._out = None
        if isinstance(error, Exception):
            await try_to_drop_orphan(commit)
        raise


async def move(commit: Commit) -> None:
    """Give the session a new id; the old one is dead at once."""
    engine, session = commit.engine, commit.session
    login, base = commit.notes.login, session._base
    raw, key, old = commit.stored()
    _settle_facts(commit)
    await commit.insert()
    while True:
        delete = partial(engine.server.delete, key, old.version)
        if login and old.subject is None:
            outcome = await engine.write("delete", delete, key)
        else:  # not tried again on failure: an absent record would then not tell a lost reply from a logout
            outcome = await engine.call("delete", delete(), key)
        if outcome is DONE:
            break
        found = await engine.admit(raw, key, outcome, met=True) if isinstance(outcome, Record) else None
        if found is None:
            if not login:
                await _abandon(commit, base)
                return
            if old.subject is not None:  # a logout won: the login stands, what the old session held does not
                await _keep_changes_only(commit, base)
            break
        session._base = base
        conflict.merge_in(commit, found)
        base = session._base
        _settle_facts(commit)
        if not await _rewrite(commit):
            await _abandon(commit, base)
            return
        raw, key, old = found.raw, found.key, found.record
    kind = events.SessionLoggedIn if login else events.SessionRegenerated
    engine.emit(kind, session._key, subject=session._subject)


async def renew(commit: Commit) -> None:
    """Give the session a new id and leave a forward record under the old key."""
    engine, session = commit.engine, commit.session
    base = session._base
    raw, key, old = commit.stored()
    _note_renewal(commit, key)
    await commit.insert()
    new = session._raw
    assert new is not None
    leads = forward.seal_forward(raw, key, new, commit.key)
    while True:
        mark = Record(tokens.new_version(), leads, commit.now, commit.expires())
        write = partial(engine.server.update, key, mark, old.version, now=commit.now)
        commit.orphan = None  # should this fail, it may have landed all the same: then the old id leads to the new one
        outcome = await engine.write("update", write, key)
        if conflict.landed(outcome, mark):
            break
        commit.orphan = commit.key
        if not isinstance(outcome, Record):
            await _abandon(commit, base)
            return
        if forward.is_forward(outcome.payload):
            leader = forward.open_forward(outcome.payload, raw, key)
            if leader is not None and leader.raw == new:
                commit.orphan = None
                break  # it is this one; its reply was lost, and a request that followed it has begun the grace
            await _follow_winner(commit, raw, key, base, outcome)
            return
        found = await engine.admit(raw, key, outcome, met=True)
        if found is None:
            await _abandon(commit, base)
            return
        session._base = base
        conflict.merge_in(commit, found)
        base = session._base
        _note_renewal(commit, key)
        if not await _rewrite(commit):
            await _abandon(commit, base)
            return
        old = found.record
    session._forwarded = True  # this request came with the old id: the grace is not its to begin
    engine.emit(events.SessionRenewed, session._key, subject=session._subject)


async def begin_grace(commit: Commit, previous: str) -> None:
    """The new id has come back: from now on the old one is served for the grace and no longer."""
    engine = commit.engine
    record = await engine.call("load", engine.server.load(previous), previous)
    if record is None or not forward.is_forward(record.payload):
        return
    ends = commit.now + engine.policy.renewal_grace_ms
    mark = record._replace(version=tokens.new_version(), payload=forward.with_grace(record.payload, ends))
    write = partial(engine.server.update, previous, mark, record.version, now=commit.now)
    await engine.write("update", write, previous)


async def _follow_winner(commit: Commit, raw: bytes, key: str, base: bytes | None, outcome: Record) -> None:
    """Another request renewed first: drop the record made here and save into the winner's."""
    engine, session, contents = commit.engine, commit.session, commit.contents
    await drop_orphan(commit)
    found = await engine.admit(raw, key, outcome, met=True)
    session._base = base
    if found is None:
        conflict.lost(commit)
        return
    contents.renewed, contents.previous = found.contents.renewed, found.contents.previous
    conflict.merge_in(commit, found)
    conflict.follow(session, found)
    session._out = None
    if commit.payload != session._base:
        await commit.update()


def _note_renewal(commit: Commit, key: str) -> None:
    commit.contents.renewed, commit.contents.previous = commit.now, key
    commit.encode()


def _settle_facts(commit: Commit) -> None:
    """The new id has no id before it that still leads somewhere, and its renewal is due an interval from now."""
    contents, renews = commit.contents, commit.engine.policy.renewal_interval_ms is not None
    if renews or contents.previous is not None:
        contents.renewed, contents.previous = commit.now if renews else contents.renewed, None
        commit.encode()


async def _rewrite(commit: Commit) -> bool:
    """Save merged contents into the record made by this commit; False if it was revoked meanwhile."""
    engine, key, record = commit.engine, commit.key, commit.record()
    write = partial(engine.server.update, key, record, commit.made, now=commit.now)
    if not conflict.landed(await engine.write("update", write, key), record):
        return False
    commit.made = record.version
    commit.saved(record)
    return True


async def _abandon(commit: Commit, base: bytes | None) -> None:
    await drop_orphan(commit)
    commit.session._base = base
    conflict.lost(commit)


async def drop_orphan(commit: Commit) -> None:
    """Delete the record that this commit made and that nobody knows of."""
    key, commit.orphan = commit.orphan, None
    if key is not None:
        await commit.engine.write("delete", partial(commit.engine.server.delete, key), key)


async def try_to_drop_orphan(commit: Commit) -> None:
    """Do so if the store still answers."""
    try:
        await drop_orphan(commit)
    except StoreUnavailable:
        return  # said as an event; nobody knows the id, and the record expires


async def _keep_changes_only(commit: Commit, base: bytes | None) -> None:
    session, serializer = commit.session, commit.engine.serializer
    before = unpack(base or b"", serializer).data
    changed = diff_keys(before, session._data, serializer.encode)
    for key in list(session._data):
        if key not in changed:
            del session._data[key]
    commit.encode()
    if not await _rewrite(commit):
        await _abandon(commit, base)
