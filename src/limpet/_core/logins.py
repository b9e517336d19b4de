"""What a login has to pass beside its own write: revocations that were under way, and a limit of sessions.

The marks are looked at after the record was written, see `limpet._core.marks`. A limit is kept in one of two ways.
``oldest_out`` writes, then ends all but the newest: which those are does not depend on who looks, so that any number
of logins at once leave exactly so many. ``refuse`` counts and writes under a lock of the subject.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from limpet._core import events, forward, locks, marks, plan, rotation
from limpet._core.protocols import DONE, Finds
from limpet._core.record import Contents, CorruptPayload, Record, unpack
from limpet._core.standing import Notes
from limpet.errors import ConfigurationError, LimpetError, SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.commit import Commit
    from limpet._core.manager import Engine

__all__ = ["Kept", "admit", "describe", "end", "find", "live", "read"]

_LOCK_LIFE: Final = 10.0  # seconds that one login may hold up the others of its subject, should its process die


class Kept(NamedTuple):
    """A record of one subject; ``contents`` is None where it cannot be read."""

    key: str
    record: Record
    contents: Contents | None

    @property
    def authenticated(self) -> int:
        """When it was logged in to, in milliseconds since 1970."""
        return 0 if self.contents is None else self.contents.authenticated or self.contents.created


def describe(commit: Commit, contents: Contents) -> None:
    """Note what the application wants to know of the client, where a session begins or somebody logs in."""
    session, engine = commit.session, commit.engine
    begins = session._record is None or session._login or session._ended or session._displaced
    if engine.describe is not None and session.context is not None and begins and session._written:
        contents.device = engine.describe(session.context)


class Revoked(Exception):
    """What was just written had been revoked before; never leaves this module's `admit`."""


async def check(commit: Commit) -> None:
    """Look, right after the new record was written and before the old one is touched, whether it may stand.

    Raises:
        Revoked: Somebody revoked the session before it was written.
        StoreUnavailable: It cannot be told; the caller takes back what it wrote.
    """
    if commit.contents.authenticated is not None and await _is_void(commit, commit.contents):
        raise Revoked


async def admit(commit: Commit, write: Callable[[], Awaitable[None]]) -> None:
    """Write a session under a new id, unless it was revoked before that or the subject may have no more.

    Raises:
        SessionLimitReached: The policy says ``when_full="refuse"`` and there are as many as allowed.
        StoreUnavailable: The store does not answer; nothing is handed out.
    """
    engine, session = commit.engine, commit.session
    contents, subject = commit.contents, session._subject
    if contents.authenticated is None:
        await write()
        return
    limit = None
    if commit.notes.login and subject is not None:
        limit = _limit(engine, subject)
        for name, value in contents.tags.items():
            await _register(engine, name, value, subject, plan.absolute_deadline(contents, engine.policy))
    if limit is not None and subject is not None and limit < 1:
        await _refuse_if_full(commit, subject, 0)
    if limit is not None and subject is not None and engine.policy.when_full == "refuse":
        async with locks.hold(engine, "limit", subject, life=_LOCK_LIFE, wait=engine.policy.merge_timeout):
            await _refuse_if_full(commit, subject, limit)
            await _write(commit, write)
    else:
        await _write(commit, write)
    if session._record is None:
        return  # another request ended the session
    if limit is not None and subject is not None and engine.policy.when_full == "oldest_out":
        with suppress(
            StoreUnavailable
        ):  # said as an event; the id has changed, and the next login ends what is too many
            await _oldest_out(commit, subject, limit)


async def _write(commit: Commit, write: Callable[[], Awaitable[None]]) -> None:
    session, subject = commit.session, commit.session._subject
    try:
        await write()
    except Revoked:
        await rotation.drop_orphan(commit)
        key = session._key
        session._forget()
        commit.engine.emit(events.SessionRevoked, key, subject=subject)
    except StoreUnavailable:
        await rotation.try_to_drop_orphan(commit)
        raise


async def _is_void(commit: Commit, contents: Contents) -> bool:
    """Tell whether somebody revoked the session before it was written."""
    engine, subject = commit.engine, commit.session._subject
    keys = [marks.mark_key(*marks.EVERYONE)]
    if commit.notes.login and subject is not None:
        keys.append(marks.mark_key(*marks.EVERYONE, subject))
        keys += [marks.tag_key(name, value) for name, value in contents.tags.items()]
    since = contents.authenticated or 0
    for key in keys:
        if await marks.before(engine, key) >= since:
            return True
    return False


async def _undo(commit: Commit, kind: type[events.Event]) -> None:
    """Take back what was just written, and hand out nothing."""
    engine, session, key = commit.engine, commit.session, commit.key
    await engine.write("delete", partial(engine.server.delete, key), key)
    subject = session._subject
    session._forget()
    engine.emit(kind, key, subject=subject)


def _limit(engine: Engine, subject: str) -> int | None:
    limit = engine.policy.max_sessions
    if not callable(limit):
        return limit
    given = limit(subject)
    if given is not None and type(given) is not int:
        raise ConfigurationError(
            f"the function max_sessions returned {given!r}: it is to return a whole number of sessions, or None"
        )
    return given


async def _refuse_if_full(commit: Commit, subject: str, limit: int) -> None:
    engine, session = commit.engine, commit.session
    others = [kept for kept in await live(engine, subject) if kept.key != session._key]
    if len(others) < limit:
        return
    engine.emit(events.LimitReached, subject=subject, refused=True)
    _stand_as_before(commit)
    raise SessionLimitReached(limit)


def _stand_as_before(commit: Commit) -> None:
    """Let a refused login leave no trace: the session is what it was when the request began, or nobody's."""
    session, engine = commit.session, commit.engine
    commit.notes = Notes()
    record = session._record
    if record is None:
        session._forget()
        return
    contents = unpack(record.payload, engine.serializer)
    session._contents, session._data, session._subject = contents, contents.data, record.subject
    session._login = session._regenerate = session._written = session._exposed = False
    session._increments = session._views = None


async def _oldest_out(commit: Commit, subject: str, limit: int) -> None:
    engine, own = commit.engine, commit.key
    newest = sorted(await live(engine, subject), key=lambda kept: (kept.authenticated, kept.key), reverse=True)
    for kept in newest[limit:]:
        if kept.key == own:
            await _undo(commit, events.LimitReached)
        elif await end(engine, kept.key, kept.record):
            engine.emit(events.LimitReached, kept.key, subject=subject)


async def _register(engine: Engine, name: str, value: str, subject: str, until: int) -> None:
    """Note that a subject has logged in with a tag: first, so that whoever revokes the tag looks at the subject."""

    def add(facts: marks.Facts) -> tuple[marks.Facts, int]:
        now = engine.clock()
        subjects = {who: end for who, end in facts.get("subjects", {}).items() if end > now}
        subjects[subject] = max(until, subjects.get(subject, 0))
        return {**facts, "subjects": subjects}, max(*subjects.values(), now + marks.LIFE)

    await marks.amend(engine, marks.tag_key(name, value), add)


# -- the records of a subject


async def find(engine: Engine, subject: str) -> list[Kept]:
    """Return all records of a subject, also those that are past their deadline or cannot be read.

    Raises:
        LimpetError: The store keeps no index by subject.
        StoreUnavailable: The store does not answer.
    """
    store = engine.server
    if not isinstance(store, Finds):
        raise LimpetError(f"{type(store).__name__} cannot find sessions by subject: it has no find(), see Finds")
    found = await engine.call("find", cast(Finds, store).find(subject))
    return [read(engine, key, record) for key, record in found]


async def live(engine: Engine, subject: str) -> list[Kept]:
    """Return the live sessions of a subject, each once, a renewal under way counting as one."""
    now, policy = engine.clock(), engine.policy
    alive = [
        kept
        for kept in await find(engine, subject)
        if kept.contents is not None and now < plan.deadline(kept.contents, kept.record.accessed, policy)
    ]
    renewed = {kept.contents.previous for kept in alive if kept.contents is not None}
    return [kept for kept in alive if kept.key not in renewed]


async def end(engine: Engine, key: str, record: Record) -> bool:
    """Delete a session, whatever is saved into it meanwhile and whatever id a renewal gives it; False: it was gone.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    while True:
        if forward.is_forward(record.payload):
            key = forward.successor(record.payload)
            there = await engine.call("load", engine.server.load(key), key)
            if there is None:
                return False
            record = there
            continue
        outcome = await engine.write("delete", partial(engine.server.delete, key, record.version), key)
        if not isinstance(outcome, Record):
            return outcome is DONE
        record = outcome


def read(engine: Engine, key: str, record: Record) -> Kept:
    """Return a record with what its payload says, as far as it can be read."""
    try:
        return Kept(key, record, unpack(record.payload, engine.serializer))
    except CorruptPayload:
        return Kept(key, record, None)
