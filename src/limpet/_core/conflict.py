"""When another request was there first: merge with what it saved, or give way to what it ended.

Every write carries the version that was read. On a mismatch the store returns the record that is there now, so that
meeting another request costs no further round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from limpet._core import events, flashes, form_tokens
from limpet._core.merge import MISSING, merge
from limpet._core.protocols import DONE, Outcome
from limpet._core.record import FACTS, Contents, CorruptPayload, Record, pack, unpack
from limpet.errors import SessionConflict, SessionEnded, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.commit import Commit
    from limpet._core.manager import Engine, Found
    from limpet._core.session import Session

__all__ = ["combine", "count", "follow", "landed", "lost", "meet", "merge_in", "rebase"]


_RENEWAL: Final = ("renewed", "previous")


async def meet(commit: Commit, outcome: Outcome) -> bool:
    """Merge with the record that stands in the way, wherever a renewal moved it; False if the session is over.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended.
        StoreUnavailable: An earlier write of this session may have landed, and it cannot be told any more.
    """
    session, (raw, key, _) = commit.session, commit.stored()
    if isinstance(outcome, Record) and session._tried:
        counted = session._tried.get(outcome.version)
        if counted is None:
            raise StoreUnavailable(
                "the reply to an earlier write was lost and another request has written since: whether it was saved "
                "cannot be told"
            )
        _recognise(commit, outcome, counted)
        return True
    found = await commit.engine.admit(raw, key, outcome, met=True) if isinstance(outcome, Record) else None
    if found is None:
        lost(commit)
        return False
    merge_in(commit, found)
    follow(session, found)
    return True


def landed(outcome: Outcome, record: Record) -> bool:
    """Tell whether a write has happened: now, or in an attempt whose reply was lost, as its version token shows."""
    return outcome is DONE or (isinstance(outcome, Record) and outcome.version == record.version)


def follow(session: Session, found: Found) -> None:
    """Go on under the id that a renewal by another request made."""
    if found.forwarded:
        session._raw, session._key, session._forwarded, session._reissue = found.raw, found.key, True, True


def merge_in(commit: Commit, found: Found) -> None:
    """Merge what another request saved into the session, which then stands on that record.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended.
        UnstorableValue: Together they are larger than the policy allows.
    """
    engine, session, mine, theirs = commit.engine, commit.session, commit.contents, found.contents
    base = _base(commit)
    commit.take_increments()
    result = merge(
        base.data,
        mine.data,
        theirs.data,
        encode=engine.serializer.encode,
        increments=commit.increments,
        rules={form_tokens.KEY: form_tokens.combine, flashes.KEY: flashes.combine, **engine.policy.merge},
        strict=engine.policy.strict_merge,
    )
    count(commit, result.overwritten)
    for fact in ("created", *FACTS):
        there = getattr(theirs, fact)
        if fact == "ends" and commit.notes.login:
            continue  # a login begins with the policy's deadlines
        # A renewal by another request counts for this one too, and so does the grace that it owes to the id before.
        if getattr(mine, fact) == getattr(base, fact) or (fact in _RENEWAL and there != getattr(base, fact)):
            setattr(mine, fact, there)
    if not commit.notes.login:
        session._subject = found.record.subject
    _settle(mine.data, result.data)
    session._record, session._base = found.record, found.record.payload
    commit.encode()
    if result.overwritten:
        engine.emit(events.ValueOverwritten, session._key, subject=session._subject, keys=result.overwritten)


def combine(engine: Engine, key: str, base: Any, mine: Any, theirs: Any) -> Any:
    """Return what the changes of a typed object and those of another request to the same key come to."""
    sides = ({key: side} for side in (base, mine, theirs))
    result = merge(*sides, encode=engine.serializer.encode, rules=engine.policy.merge)
    if result.overwritten:
        engine.emit(events.ValueOverwritten, keys=result.overwritten)
    return result.data.get(key, MISSING)


def count(commit: Commit, keys: tuple[str, ...] = (), *, timed: bool = True) -> None:
    """Count a conflict against the policy's budget.

    Args:
        timed: The time counts as well as the attempts.

    Raises:
        SessionConflict: The budget of attempts or of time has ended.
    """
    commit.attempts += 1
    policy, spent = commit.engine.policy, commit.engine.clock() - commit.now
    if commit.attempts >= policy.merge_attempts or (timed and spent > policy.merge_timeout * 1000):
        raise SessionConflict(f"gave up after {commit.attempts} conflicts in {spent} ms; nothing was saved", keys=keys)


def lost(commit: Commit) -> None:
    """The session ended meanwhile: store nothing, send nothing.

    A request that wrote nothing, and whose commit was about housekeeping, is told nothing.

    Raises:
        SessionEnded: The policy says ``on_ended="raise"``.
    """
    engine, session = commit.engine, commit.session
    wrote, key, subject = _wrote(commit), session._key, session._subject
    session._forget()
    if wrote:
        session._over = True
        engine.emit(events.WriteAfterEnd, key, subject=subject)
        if engine.policy.on_ended == "raise":
            raise SessionEnded("another request ended this session while this one was running; nothing was saved")


async def rebase(commit: Commit, found: Found | None) -> None:
    """Let the session stand for what the store has now, with its own unsaved changes over it."""
    engine, session = commit.engine, commit.session
    commit.notes = session._notes()
    differs = engine.differs(session)
    if found is None:
        if commit.notes.login:
            return  # new credentials stand, whatever became of the session before them
        if differs:
            lost(commit)
        session._forget()
        return
    counted = session._tried.get(found.record.version)
    session._tried = {}
    commit.take_increments()
    if counted is not None:
        _recognise(commit, found.record, counted)
    elif session._record is None or found.record.version == session._record.version:
        session._record = found.record
    elif differs:
        merge_in(commit, found)
        follow(session, found)
    else:
        engine.adopt(session, found)
    commit.give_increments_back()


def _recognise(commit: Commit, landed: Record, counted: dict[str, Any]) -> None:
    """An earlier write of this very session landed after all: stand on it, and count nothing twice."""
    session = commit.session
    session._record, session._base, session._tried = landed, landed.payload, {}
    for key in counted.keys() & commit.increments.keys():
        commit.increments[key] -= counted[key]


def _base(commit: Commit) -> Contents:
    try:
        return unpack(commit.session._base or b"", commit.engine.serializer)
    except CorruptPayload:
        return Contents(commit.contents.created)


def _wrote(commit: Commit) -> bool:
    """Tell whether there is anything to save but the notes that a renewal keeps for itself."""
    session, notes = commit.session, commit.notes
    if notes.login or notes.regenerate or session._contents is None:
        return notes.login or notes.regenerate
    base = _base(commit)
    plain = Contents.of({**vars(commit.contents), "renewed": base.renewed, "previous": base.previous})
    return pack(plain, commit.engine.serializer) != session._base


def _settle(target: dict[str, Any], source: dict[str, Any]) -> None:
    """Make ``target`` equal to ``source`` and keep the identity of what a handler may still hold."""
    for key in [key for key in target if key not in source]:
        del target[key]
    for key, value in source.items():
        target[key] = _settled(target.get(key), value)


def _settled(held: Any, value: Any) -> Any:
    """Return ``value`` as the object that is held for it, where that is a container of the same type."""
    if held is value or type(held) is not type(value):
        return value
    if type(value) is dict:
        _settle(held, value)
    elif type(value) is list:
        kept = {id(item) for item in value}  # items of mine, which a merge may have put in another place
        beside = [None if id(item) in kept else item for item in held]
        beside += [None] * (len(value) - len(held))
        held[:] = [_settled(old, item) for old, item in zip(beside, value, strict=False)]
    elif type(value) is set:
        items = set(value)
        held.clear()
        held.update(items)
    else:
        return value
    return held
