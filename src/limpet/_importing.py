"""Moving in: a request that has no session of ours and one of another library keeps what it holds.

The old session is only read. The first response that has to do with the session turns it into a new one, with an id of
its own; a logout takes the old cookie away too, so that it cannot come back. An import is a login at the time of the
old session: revocations and limits hold for it. Each old token is taken once. A note in the store says so, until the
importer stops reading; for a minute it is as the tombstone of an id, or leads requests that were sent at the same time
to the new session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from limpet import events
from limpet._core import conflict, ending, logins, places, plan, predecessors, rotation
from limpet._core.notes import adopt
from limpet._core.positions import names_of
from limpet._core.state import (
    ACCESSED,
    EXPOSED,
    LOGIN,
    OVER,
    PENDING,
    REGENERATE,
    WATCHED,
    WRITTEN,
    Leaving,
    Legacy,
    SessionState,
    Stored,
)
from limpet._merge import add_up
from limpet._wire import forward, marks
from limpet._wire.facts import IMPORT
from limpet._wire.marks import Gone
from limpet._wire.record import Contents, Found, pack
from limpet.contract import Record
from limpet.errors import StoreUnavailable, UnstorableValue
from limpet.protocols import Header, Imported

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context
    from limpet._listing import Kept

__all__ = ["base_of", "close", "forget", "forget_origins", "look", "note", "read"]

_ORIGIN: Final = "import:"
"""What the origin of a session begins with that was taken over, before the key of the note about the old one."""


def look(engine: Context, state: SessionState, headers: Sequence[Header]) -> None:
    """Note the old cookies of a request, if an importer is still open for them; nothing is decoded."""
    now = engine.clock()
    found = [(each, values) for each in engine.importers if now < each.until and (values := each.find(headers))]
    if found:
        state.legacy = Legacy(found)
        state.loaded = PENDING


async def read(engine: Context, state: SessionState, legacy: Legacy) -> None:
    """Take over the one old session of a request, unless it was taken before.

    Raises:
        StoreUnavailable: The old store, or ours, does not answer.
    """
    imported = await _find(engine, legacy)
    if imported is not None and await _admit(engine, state, legacy, imported) and not legacy.dropped:
        legacy.imported = imported
        _adopt(engine, state, legacy, imported)


async def _find(engine: Context, legacy: Legacy) -> Imported | None:
    """Look for the one old session of a request; two that disagree are none.

    Raises:
        StoreUnavailable: The old store does not answer.
    """
    for importer, values in legacy.found:
        sessions: list[tuple[str, Imported]] = []
        for value in values:
            imported = await engine.storage.call("import", importer.read(value, engine.clock()))
            if imported is not None:
                sessions.append((value, imported))
        if sessions and all(each[:2] == sessions[0][1][:2] for _, each in sessions):
            legacy.token, imported = sessions[0]
            legacy.source = importer
            if engine.is_server_side:
                legacy.key = marks.mark_key("imported", importer.origin, importer.cookie, legacy.token)
            return imported
    return None


async def _admit(engine: Context, state: SessionState, legacy: Legacy, imported: Imported) -> bool:
    """Judge an old session: was it taken before, revoked, or is there no room for it?"""
    key = legacy.key
    if key is None:
        return True
    there = await engine.storage.load(key)
    if there is not None:
        gone = marks.ended(key, there, engine.clock())
        found: Found | Gone | None = gone
        if gone is not None and gone.how == "import" and gone.successor is not None:
            found = await engine.storage.locate(b"", gone.successor)
        if isinstance(found, Found):
            found = await predecessors.end(engine, found, went_out=False)
        if legacy.dropped:
            return False  # another task has ended it meanwhile
        if isinstance(found, Found):  # sent at the same time as the request that took it
            adopt(state, found)
        elif isinstance(found, Gone):
            state.flags |= OVER
            state.gone = found
        else:
            legacy.key = None  # it was long ago, or revoked since: who comes with it now begins anew
        return False
    subject, began = imported.subject, imported.at
    if engine.storage.has_marks:
        await engine.storage.positions.read()
        state.position = engine.storage.positions.seq
        if not await _is_unrevoked(engine, subject, began):
            return False
    if subject is None:
        return True
    limit = places.limit_of(engine, subject)
    if limit is None:
        return True
    own = places.Places(frozenset({key}))
    rank = (0, 0 if engine.policy.when_full == "refuse" else min(began or engine.clock(), engine.clock()), "")
    if await places.has_room(engine, subject, limit, own, rank):
        return True
    engine.emit(events.LimitReached, subject=subject, refused=True)
    return False


async def _is_unrevoked(engine: Context, subject: str | None, began: int | None) -> bool:
    """Tell whether no revocation of a subject, or of everyone, can have come after an old session began."""
    positions = engine.storage.positions
    for name in names_of(subject, {}):
        record = await engine.storage.load(name)
        facts = None if record is None else marks.read(record.payload) or {}
        if facts is not None and (began is None or not positions.known_before(facts, began)):
            return False
    everyone = positions.last_of_everyone()
    return everyone is None or (began is not None and positions.known_before(everyone, began))


def _adopt(engine: Context, state: SessionState, legacy: Legacy, imported: Imported) -> None:
    """Let a new session hold what the old one held; what cannot be stored is left out."""
    origin = None if legacy.key is None else _ORIGIN + legacy.key  # requests that move it at once share its locks
    draft = state.draft = Contents(engine.clock(), origin=origin)
    state.data, state.subject, state.met_alive = draft.data, None, True
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
        draft.lineage = None if legacy.key is None else places.lineage_of(legacy.key)
    if imported.subject is not None or plan.rotation_of(engine.rules.rotate_on, {}, state.data) is not None:
        draft.authenticated = draft.created if imported.at is None else min(imported.at, draft.created)
        draft.methods = (IMPORT,)
    state.flags |= WATCHED
    legacy.draft, legacy.left_out = draft, tuple(left_out)
    legacy.base = pack(draft, engine.serializer)


def base_of(state: SessionState) -> bytes:
    """Return what a session held when it was read, or when it was taken over, encoded; b"": it is new."""
    stored, legacy = state.stored, state.legacy
    if stored is not None:
        return stored.record.payload
    return b"" if legacy is None or legacy.draft is None or legacy.draft is not state.draft else legacy.base


def note(engine: Context, state: SessionState) -> None:
    """Let an old session that was taken over be written, if the handler had to do with it."""
    legacy = state.legacy
    if (
        legacy is None
        or legacy.source is None
        or legacy.noted
        or legacy.dropped
        or state.phase
        or not state.flags & ACCESSED
    ):
        return
    if legacy.imported is None:
        return
    legacy.noted = True
    state.flags |= WRITTEN | EXPOSED
    engine.emit(events.SessionImported, subject=state.subject, origin=legacy.source.origin, left_out=legacy.left_out)


def owe(attempt: Attempt, legacy: Legacy, *, saved: bool) -> None:
    """Note that a new session takes the place of an old one: the store is told when the response starts."""
    login = bool(attempt.flags & LOGIN)
    if legacy.key is not None and (login or (legacy.noted and not legacy.dropped)):
        legacy.saved = saved
        how = "import" if attempt.replaces is None and not attempt.flags & REGENERATE else "regenerate"
        legacy.how = "login" if login or legacy.how == "login" else how
        add_up(legacy.increments, attempt.increments)


async def close(attempt: Attempt) -> None:
    """Note in the store that an old token was taken, and by which session.

    If another request was quicker, what this one changed is saved into the session that it made. A login, and a session
    whose id is to change, take the place of that one.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    engine, state = attempt.engine, attempt.state
    legacy, made = state.legacy, state.stored
    if legacy is None or legacy.source is None or legacy.key is None or legacy.how is None or made is None:
        return
    attempt.made = made.key or "", made.record.version
    attempt.increments, legacy.increments = legacy.increments, {}
    attempt.patient = legacy.saved
    key, how, legacy.how = legacy.key, legacy.how, None
    try:
        mark = _note(engine, how, made.key, legacy.source.until, heir=attempt.draft is legacy.draft)
        obstacle = await engine.storage.create(key, mark, urgent=True)
    except StoreUnavailable:
        return  # said as an event; the session stands, and what might happen is that the token is taken once more
    if not isinstance(obstacle, Record):
        return
    gone = marks.ended(key, obstacle, attempt.now, met_alive=True)
    found: Found | Gone | None = None
    if gone is not None and gone.successor == made.key:
        return
    if gone is not None and gone.successor is not None and gone.how != "login":
        found = await engine.storage.locate(b"", gone.successor, met_alive=True)
        gone = found if isinstance(found, Gone) else gone
    if how == "import":
        if legacy.saved and not isinstance(found, Found):
            found = await _heir(engine, gone)
        if isinstance(found, Found) and found.record.subject != state.subject:
            found = gone
        await _join(attempt, found, legacy)
    elif isinstance(found, Found):
        await _replace(attempt, found, how, legacy, gone)
    elif how == "login":
        await _succeed(attempt, gone, heir=attempt.draft is legacy.draft)
    else:
        await attempt.drop_made()
        attempt.flags |= REGENERATE  # an earlier save may have carried it out
        conflict.ended_meanwhile(attempt, gone)


def _note(engine: Context, how: str, successor: str | None, until: int, *, heir: bool = False) -> Record:
    """Return the note that an old token was taken: for a minute it is as the tombstone of an id."""
    return marks.tombstone(how, engine.clock(), successor, heir=heir)._replace(expires=until)


async def _replace(attempt: Attempt, found: Found, how: str, legacy: Legacy, gone: Found | Gone | None) -> None:
    """Take the place of the session that another request made of the same old one, as of one whose id changes.

    Args:
        gone: The note that named that session: from now on it names a login.
    """
    state = attempt.state
    merges, stands = found.record.subject == state.subject and attempt.draft is legacy.draft, False
    state.leaving = Leaving(Stored(b"", found.key, found.record, found.contents.ends), how, merges, {})
    failure: Exception | None = None
    try:
        if merges:
            attempt.draft.seen = attempt.draft.seen if how == "login" else 0
            conflict.merge_in(attempt, found, legacy.base)
        else:
            attempt.encode()
        stands = await attempt.rewrite() is None  # it names what it takes the place of
    except Exception as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure = error
    if failure is not None:
        await attempt.drop_made(failure)
        state.stored = state.leaving = state.out = state.line = None
        raise failure
    if not stands:
        return conflict.ended_meanwhile(attempt)
    await rotation.finish(attempt)
    if how != "login" or state.flags & OVER or not isinstance(gone, Gone):
        return
    await _succeed(attempt, gone, heir=merges)


async def _succeed(attempt: Attempt, gone: Gone | None, *, heir: bool) -> None:
    """Take the place of another login from the old session; this one stands, whatever fails here."""
    own = attempt.stored().key
    try:
        await logins.succeed(attempt.engine, attempt.state, gone, own, heir=heir)
    except StoreUnavailable:
        logins.say_what_is_left(attempt.engine, own)


async def _heir(engine: Context, gone: Found | Gone | None) -> Found | Gone | None:
    """Return what became of a session: most logins and new ids take along what was saved."""
    for _ in range(engine.policy.merge_attempts):
        if not isinstance(gone, Gone) or gone.successor is None or not gone.heir:
            break
        gone = await engine.storage.locate(b"", gone.successor, met_alive=True)
    return gone


async def _join(attempt: Attempt, found: Found | Gone | None, legacy: Legacy) -> None:
    """Save into the session that another request made of the same old one, and hand out nothing."""
    engine, state, base = attempt.engine, attempt.state, legacy.base
    await attempt.drop_made()
    state.out = state.line = None
    attempt.draft.seen = 0  # as it was read: what the other session has seen counts
    while isinstance(found, Found) and found.record.subject == state.subject:
        conflict.merge_in(attempt, found, base)
        state.stored = Stored(b"", found.key, found.record, found.contents.ends)
        record = attempt.record()
        if engine.same(attempt.payload, found.record.payload):
            return
        obstacle = await engine.storage.update(found.key, record, found.record.version)
        if obstacle is None:
            attempt.saved(b"", found.key, record)
            return
        base = found.record.payload
        there = await engine.storage.judge_if_any(b"", found.key, obstacle)
        found = await _heir(engine, there) if legacy.saved else there
    state.stored = None
    conflict.ended_meanwhile(attempt, found if isinstance(found, Gone) else None)


async def forget(engine: Context, state: SessionState) -> bool:
    """Note at a logout that an old session is not to be taken over again; tell whether this ended a session of ours.

    Raises:
        StoreUnavailable: The old store, or ours, does not answer.
    """
    legacy = state.legacy
    if legacy is None:
        return False
    was_read = legacy.source is not None
    if not was_read:  # a logout ends all that was presented
        await _find(engine, legacy)
    source, key, legacy.how = legacy.source, legacy.key, None
    if source is None or key is None:
        return False
    return await _note_logout(engine, key, source.until, met_alive=was_read)


async def forget_origins(engine: Context, kept: Sequence[Kept]) -> None:
    """Note at a logout that what these sessions were taken over from is over, as the reply to that note may be lost.

    Another session can have come of the same old one then, which ends.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    until = max((each.until for each in engine.importers), default=0)
    own = [each.key for each in kept]
    for origin in dict.fromkeys(each.contents.origin for each in kept if each.contents is not None):
        if origin is not None and origin.startswith(_ORIGIN) and engine.clock() < until:
            await _note_logout(engine, origin.removeprefix(_ORIGIN), until, met_alive=True, but=own)


async def _note_logout(engine: Context, key: str, until: int, *, met_alive: bool, but: Sequence[str] = ()) -> bool:
    """Note that an old session was logged out; tell whether this ended a session of ours, which is none of these."""
    obstacle = await engine.storage.create(key, _note(engine, "logout", None, until), urgent=True)
    there = obstacle if isinstance(obstacle, Record) else None  # another request took it over meanwhile
    first: Stored | None = None  # where that session is to be had, or was before its id was renewed
    while there is not None:
        if not marks.is_mark(there.payload):
            first = first or Stored(b"", key, there)
            if not forward.is_forward(there.payload):
                break
            after: str | None = forward.successor(there.payload)
        else:
            gone = marks.ended(key, there, engine.clock(), met_alive=met_alive)
            after = None if gone is None or gone.how == "login" else gone.successor
        if after in but:
            return False
        there = None if after is None else await engine.storage.load(key := after)
    if first is None or not (await ending.end(engine, first, "logout", None))[1]:
        return False
    engine.emit(events.SessionLoggedOut, key, subject=None if there is None else there.subject)
    return True
