"""Moving in: a request that has no session of ours and one of another library keeps what it holds.

The old session is only read. The first response that has to do with the session turns it into a new one, with an id of
its own; a logout takes the old cookie away too, so that it cannot come back. An import is a login at the time of the
old session: revocations and limits hold for it. Each old token is taken once. A note in the store says so, until the
importer stops reading; for a minute it leads requests that were sent at the same time to the new session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limpet import events
from limpet._core import conflict, logins, marks, tokens
from limpet._core.notes import adopt
from limpet._core.positions import names_of
from limpet._core.record import Contents, Found, pack
from limpet._core.state import ACCESSED, EXPOSED, LOGIN, OVER, PENDING, WATCHED, WRITTEN, Old, Read, SessionState
from limpet.contract import Record
from limpet.errors import StoreUnavailable, UnstorableValue
from limpet.protocols import Header, Imported, Importer

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["close", "forget", "leftovers", "look", "note", "read"]


def look(engine: Context, state: SessionState, headers: Sequence[Header]) -> None:
    """Note the old cookies of a request, if an importer is still open for them; nothing is decoded."""
    now = engine.clock()
    found = [(each, values) for each in engine.importers if now < each.until and (values := each.find(headers))]
    if found:
        state.old = Old(found)
        state.loaded = PENDING


async def read(engine: Context, state: SessionState, old: Old) -> None:
    """Take over the one old session of a request; two that disagree are none.

    Raises:
        StoreUnavailable: The old store, or ours, does not answer.
    """
    for importer, values in old.found:
        sessions: list[tuple[str, Imported]] = []
        for value in values:
            imported = await engine.storage.call("import", importer.read(value, engine.clock()))
            if imported is not None:
                sessions.append((value, imported))
        if sessions and all(each[:2] == sessions[0][1][:2] for _, each in sessions):
            old.token, imported = sessions[0]
            if await _admit(engine, state, importer, imported, old.token):
                old.source, old.imported = importer, imported
                _adopt(engine, state, old, imported)
            return


def _note_key(importer: Importer, token: str) -> str:
    return marks.mark_key("imported", importer.origin, importer.cookie, token)


async def _admit(engine: Context, state: SessionState, importer: Importer, imported: Imported, token: str) -> bool:
    """Judge an old session: was it taken before, revoked, or is there no room for it?"""
    if not engine.is_server_side:
        return True
    there = await engine.storage.load(_note_key(importer, token))
    if there is not None:
        facts = marks.read(there.payload) or {}
        successor = facts.get("next")
        if engine.clock() < int(facts.get("gone", 0)):
            found = await engine.storage.locate(b"", successor) if isinstance(successor, str) else None
            if isinstance(found, Found):  # sent at the same time as the request that took it
                adopt(state, found)
            else:
                state.flags |= OVER
        return False
    subject = imported.subject
    if subject is None:
        return True
    began = imported.at
    if engine.storage.has_marks:
        await engine.storage.positions.read()
        if not await _is_unrevoked(engine, subject, began):
            return False
    limit = logins.limit_of(engine, subject)
    if limit is None or (engine.policy.when_full != "refuse" and limit > 0):
        return True
    if await logins.has_room(engine, subject, limit, set()):
        return True
    engine.emit(events.LimitReached, subject=subject, refused=True)
    return False


async def _is_unrevoked(engine: Context, subject: str, began: int | None) -> bool:
    """Tell whether no revocation of a subject, or of everyone, can have come after an old session began."""
    positions = engine.storage.positions
    for name in names_of(subject, {}):
        record = await engine.storage.load(name)
        facts = None if record is None else marks.read(record.payload) or {}
        if facts is not None and (began is None or not positions.known_before(facts, began)):
            return False
    everyone = positions.last_of_everyone()
    return everyone is None or (began is not None and positions.known_before(everyone, began))


def _adopt(engine: Context, state: SessionState, old: Old, imported: Imported) -> None:
    """Let a new session hold what the old one held; what cannot be stored is left out."""
    draft = state.draft = Contents(engine.clock())
    state.data, state.subject = draft.data, None
    left_out: list[str] = []
    for key, value in imported.data.items():
        try:
            engine.serializer.encode({key: value})
        except UnstorableValue:
            left_out.append(str(key))
        else:
            state.data[key] = value
    if imported.subject is not None:
        state.subject = imported.subject
        draft.authenticated = draft.created if imported.at is None else min(imported.at, draft.created)
    state.flags |= WATCHED
    old.left_out = tuple(left_out)
    old.base = pack(draft, engine.serializer)


def note(engine: Context, state: SessionState) -> None:
    """Let an old session that was taken over be written, if the handler had to do with it."""
    old = state.old
    if old is None or old.source is None or old.noted or old.dropped or state.phase or not state.flags & ACCESSED:
        return
    old.noted = True
    state.flags |= WRITTEN | EXPOSED
    engine.emit(events.SessionImported, subject=state.subject, origin=old.source.origin, left_out=old.left_out)


async def close(attempt: Attempt) -> None:
    """Note in the store that an old token was taken, and by which session.

    If another request was quicker, what this one changed is saved into the session that it made. A login stands by
    itself: no request that brings the old token is led to it.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    engine, state = attempt.engine, attempt.state
    old, made = state.old, state.read
    if old is None or old.source is None or not old.noted or made is None or not engine.is_server_side:
        return
    login = bool(attempt.flags & LOGIN)
    facts: marks.Facts = {"gone": attempt.now + marks.TOMBSTONE_LIFE, "how": "import"}
    if not login:
        facts["next"] = made.key
    record = Record(tokens.new_version(), marks.write(facts), attempt.now, old.source.until)
    try:
        met = await engine.storage.create(_note_key(old.source, old.token), record, insist=True)
    except StoreUnavailable:
        return  # said as an event; the session stands, and what might happen is that the token is taken once more
    if not isinstance(met, Record) or login:
        return
    await attempt.drop_made()
    state.out = state.line = None
    successor = (marks.read(met.payload) or {}).get("next")
    found = await engine.storage.locate(b"", successor) if isinstance(successor, str) else None
    if not isinstance(found, Found):
        state.read = None
        conflict.lost(attempt)
        return
    conflict.merge_in(attempt, found, old.base)
    state.read = Read(b"", found.key, found.record, found.contents.ends)
    if not engine.same(attempt.payload, found.record.payload):
        await conflict.update(attempt)


async def forget(engine: Context, state: SessionState, now: int) -> bool:
    """Note at a logout that an old session is not to be taken over again; tell whether this ended a session of ours.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    old = state.old
    if old is None or old.source is None or not engine.is_server_side:
        return False
    key = _note_key(old.source, old.token)
    facts: marks.Facts = {"gone": now + marks.TOMBSTONE_LIFE, "how": "import"}
    met = await engine.storage.create(key, Record(tokens.new_version(), marks.write(facts), now, old.source.until))
    if not isinstance(met, Record):
        return False
    successor = (marks.read(met.payload) or {}).get("next")  # another request took it over meanwhile
    there = await engine.storage.load(successor) if isinstance(successor, str) else None
    return there is not None and await engine.storage.end(str(successor), there)


def leftovers(engine: Context, state: SessionState, handed_out: bool) -> list[Header]:
    """Return the headers that take old cookies away.

    Args:
        handed_out: This response carries the new session's cookie.
    """
    old = state.old
    if old is None:
        return []
    if old.dropped:
        return [importer.clear() for importer, _ in old.found]
    same = old.source is not None and getattr(engine.transport, "name", None) == old.source.cookie
    if old.source is not None and old.source.forget and old.noted and handed_out and not same:
        return [old.source.clear()]
    return []
