"""When another request was there first: merge with what it saved, or give way to what it ended.

Every write carries the version that was read. On a mismatch the store returns the record that is there now, so that
meeting another request costs no further round trip.

A merge changes in place only containers that the engine has decoded itself and that one key alone refers to; they stay
the objects that the handler holds. A container of the application is left as it is and replaced in the data by one of
the engine's own. What the application adds to it later is merged in (`loans`), or is an error where that cannot be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from limpet._core import events, flashes, form_tokens
from limpet._core.merge import MISSING, merge
from limpet._core.record import FACTS, Contents, CorruptPayload, Found, Record, pack, unpack
from limpet._core.session import own
from limpet._core.state import (
    DISPLACED,
    ENDED,
    EXPOSED,
    FORWARDED,
    FROZEN,
    LOGIN,
    OVER,
    REGENERATE,
    REISSUE,
    WATCHED,
    WRITTEN,
    Gone,
    Loan,
    Read,
    SessionState,
)
from limpet.errors import SessionConflict, SessionEnded, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.engine import Engine
    from limpet._core.storage import InTheWay

__all__ = ["NOTED", "combine", "end_state", "follow", "lost", "meet", "merge_in", "rebase", "settle_views"]

NOTED: Final = WRITTEN | LOGIN | REGENERATE | ENDED | DISPLACED | WATCHED
"""What a handler asked for; a commit takes these flags up before it waits for anything."""

_RENEWAL: Final = ("renewed", "previous")


async def meet(attempt: Attempt, met: InTheWay) -> bool:
    """Merge with the record that stands in the way, wherever a renewal moved it; False if the session is over.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended.
        SessionEnded: The session is over, and the policy says ``on_ended="raise"``.
        StoreUnavailable: An earlier write of this session may have landed, and it cannot be told any more.
    """
    state, read = attempt.state, attempt.stored()
    found = None
    if isinstance(met, Record):
        if state.tried:
            counted = state.tried.get(met.version)
            if counted is None:
                raise StoreUnavailable(
                    "the reply to an earlier write was lost and another request has written since: whether it was "
                    "saved cannot be told"
                )
            _recognise(attempt, met, counted)
            return True
        found = await attempt.engine.storage.judge(read.raw, read.key or "", met, met=True)
    if not isinstance(found, Found):
        lost(attempt, found)
        return False
    merge_in(attempt, found)
    follow(state, found)
    return True


def follow(state: SessionState, found: Found) -> None:
    """Go on under the id that a renewal by another request made."""
    if found.forwarded:
        state.flags |= FORWARDED | REISSUE


def merge_in(attempt: Attempt, found: Found, base_payload: bytes | None = None) -> None:
    """Merge what another request saved into the session.

    Args:
        base_payload: What both had read, where the session stands on another record by now, and goes on to. None: what
            this one had read; the session then stands on the record that was found.

    Raises:
        SessionConflict: A strict key was changed by both, or the budget has ended; the session is as it was.
        UnstorableValue: Together they are larger than the policy allows.
    """
    engine, state, mine, theirs = attempt.engine, attempt.state, attempt.draft, found.contents
    base = _base(attempt, base_payload)
    attempt.take_increments()
    settle_views(engine, state)
    result = merge(
        base.data,
        mine.data,
        theirs.data,
        encode=engine.serializer.encode,
        increments=attempt.increments,
        rules={form_tokens.KEY: form_tokens.combine, flashes.KEY: flashes.combine, **engine.policy.merge},
        strict=engine.policy.strict_merge,
    )
    attempt.count(result.overwritten)
    for fact in ("created", *FACTS):
        there = getattr(theirs, fact)
        if fact == "ends" and attempt.flags & LOGIN:
            continue  # a login begins with the policy's deadlines
        # A renewal by another request counts for this one too, and so does the grace that it owes to the id before.
        if getattr(mine, fact) == getattr(base, fact) or (fact in _RENEWAL and there != getattr(base, fact)):
            setattr(mine, fact, there)
    if not attempt.flags & LOGIN:
        state.subject = found.record.subject
    _settle(engine, state, result.data)
    if base_payload is None:
        state.read = Read(found.raw, found.key, found.record, theirs.ends)
    attempt.encode()
    if result.overwritten:
        engine.emit(events.ValueOverwritten, found.key, subject=state.subject, keys=result.overwritten)


def combine(engine: Engine, key: str, base: Any, mine: Any, theirs: Any) -> Any:
    """Return what the changes of a typed object and those of another request to the same key come to."""
    before, here, there = ({} if side is MISSING else {key: side} for side in (base, mine, theirs))
    result = merge(before, here, there, encode=engine.serializer.encode, rules=engine.policy.merge)
    if result.overwritten:
        engine.emit(events.ValueOverwritten, keys=result.overwritten)
    return result.data.get(key, MISSING)


def lost(attempt: Attempt, gone: Gone | None = None) -> None:
    """The session ended meanwhile: store nothing, send nothing, until a login.

    A request that wrote nothing, and whose commit was about housekeeping, is told nothing.

    Args:
        gone: The tombstone that was found: a logout later in this request ends what took the session's place.

    Raises:
        SessionEnded: The policy says ``on_ended="raise"``.
    """
    engine, state = attempt.engine, attempt.state
    wrote, subject = _wrote(attempt), state.subject
    key = None if state.read is None else state.read.key
    end_state(state)
    state.gone = gone
    if wrote:
        engine.emit(events.WriteAfterEnd, key, subject=subject)
        if engine.policy.on_ended == "raise":
            raise SessionEnded("another request ended this session while this one was running; nothing was saved")


def end_state(state: SessionState) -> None:
    """Let a session be over: anonymous, with nothing of what it held."""
    state.flags = (state.flags | OVER) & ~(NOTED | EXPOSED | REISSUE | FORWARDED)
    state.read = state.draft = state.out = state.line = None
    state.leaving = state.grace_of = state.created = None
    state.data, state.subject = {}, None
    state.increments = state.views = state.loans = state.owned = state.assigned = state.tried = None


def rebase(attempt: Attempt, found: Found | Gone | None, differs: bool) -> None:
    """Let the session stand for what the store has now, with its own unsaved changes over it.

    Raises:
        SessionEnded: The session is over, there were unsaved changes, and the policy says ``on_ended="raise"``.
    """
    state = attempt.state
    if not isinstance(found, Found):
        if attempt.flags & LOGIN:
            return  # new credentials stand, whatever became of the session before them
        if differs:
            lost(attempt, found)
        else:
            end_state(state)
            state.gone = found
        return
    tried, state.tried = state.tried, None
    counted = None if tried is None else tried.get(found.record.version)
    if counted is not None:
        _recognise(attempt, found.record, counted)
    elif state.read is None or found.record.version == state.read.record.version:
        state.read = Read(found.raw, found.key, found.record, found.contents.ends)
    else:
        merge_in(attempt, found)
        follow(state, found)
    attempt.give_increments_back()


def _recognise(attempt: Attempt, landed: Record, counted: dict[str, Any]) -> None:
    """An earlier write of this very session landed after all: stand on it, and count nothing twice."""
    state, read = attempt.state, attempt.stored()
    state.read, state.tried = Read(read.raw, read.key, landed, attempt.draft.ends), None
    for key in counted.keys() & attempt.increments.keys():
        attempt.increments[key] -= counted[key]


def _base(attempt: Attempt, payload: bytes | None = None) -> Contents:
    read = attempt.state.read
    if payload is None:
        payload = b"" if read is None else read.record.payload
    try:
        return unpack(payload, attempt.engine.serializer)
    except CorruptPayload:
        return Contents(attempt.draft.created)


def _wrote(attempt: Attempt) -> bool:
    """Tell whether there is anything to save but the notes that a renewal keeps for itself."""
    state = attempt.state
    if attempt.flags & (LOGIN | REGENERATE):
        return True
    if state.draft is None or state.read is None:
        return bool(attempt.flags & WRITTEN)
    base = _base(attempt)
    plain = Contents.of({**state.draft.document(), "data": state.data})
    plain.renewed, plain.previous = base.renewed, base.previous
    return not attempt.engine.same(pack(plain, attempt.engine.serializer), state.read.record.payload)


# -- objects that the handler holds


def settle_views(engine: Engine, state: SessionState) -> None:
    """Write what became of typed objects, and of containers that a merge replaced, into the data.

    Raises:
        SessionConflict: A container inside of another was changed after a merge had replaced it.
    """
    data = state.data
    for key, view in (state.views or {}).items():
        now = view.dump(view.value)
        if now != view.before:
            there = data.get(key, view.before)
            data[key] = now if there == view.before else combine(engine, key, view.before, now, there)
            view.before = view.dump(view.value)  # an object of its own: a later merge changes what is in the data
    if state.loans is not None:
        encode, decode = engine.serializer.encode, engine.serializer.decode
        for key, loan in state.loans:
            now_bytes = encode({key: loan.value})
            if now_bytes == loan.before:
                continue
            if loan.nested:
                raise SessionConflict(
                    f"an object inside of {key!r} was changed after another request's changes had been merged into the "
                    "session: read it from the session again, and change that",
                    keys=(key,),
                )
            before, now = decode(loan.before)[key], decode(now_bytes)[key]
            merged = combine(engine, key, before, now, data.get(key, MISSING))
            data.pop(key, None)
            if merged is not MISSING:
                data[key] = merged
            loan.before = now_bytes


def _settle(engine: Engine, state: SessionState, result: dict[str, Any]) -> None:
    """Let the data hold a merge's result; containers of the engine's own keep their identity."""
    settler = _Settler(engine, state)
    data = state.data
    held = dict(data)
    data.clear()
    for key, value in result.items():
        settler.key = key
        data[key] = settler.placed(held.get(key, MISSING), value, nested=False)


class _Settler:
    """Puts one merge's result into the containers that the handler holds."""

    __slots__ = ("_encode", "_owned", "_references", "_state", "key")

    def __init__(self, engine: Engine, state: SessionState) -> None:
        self.key = ""
        self._encode = engine.serializer.encode
        self._state = state
        if state.owned is None:
            state.owned = {}
        self._owned = state.owned
        self._references = _references(state.data)

    def placed(self, held: Any, value: Any, *, nested: bool) -> Any:
        """Return what is to lie where ``held`` lay: ``held`` itself wherever that can be."""
        if held is value or type(value) in FROZEN:
            return value
        if held is not MISSING and type(held) not in FROZEN:
            same_type = type(held) is type(value)
            if same_type and id(held) in self._owned and self._references.get(id(held)) == 1:
                self._change(held, value)
                return held
            before = self._encode({self.key: held})
            if before == self._encode({self.key: value}):
                return held
            self._lend(held, before, nested)
        if not self._holds_foreign(value):
            own(self._owned, value)
        return value

    def _change(self, held: Any, value: Any) -> None:
        if type(value) is dict:
            before = dict(held)
            held.clear()
            for key, item in value.items():
                held[key] = self.placed(before.get(key, MISSING), item, nested=True)
        elif type(value) is list:
            kept = {id(item) for item in value}  # items of mine, which a merge may have put in another place
            beside = [MISSING if id(item) in kept else item for item in held]
            beside += [MISSING] * (len(value) - len(held))
            held[:] = [self.placed(old, item, nested=True) for old, item in zip(beside, value, strict=False)]
        else:
            items = set(value)
            held.clear()
            held.update(items)

    def _lend(self, held: Any, before: bytes, nested: bool) -> None:
        state = self._state
        if state.loans is None:
            state.loans = []
        state.loans.append((self.key, Loan(held, before, nested)))

    def _holds_foreign(self, value: Any) -> bool:
        """Tell whether any container in a value was in the data before, and so may be the application's."""
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if id(each) in self._references:
                return True
            if type(each) is dict:
                waiting.extend(each.values())
            elif type(each) in (list, tuple):
                waiting.extend(each)
        return False


def _references(data: dict[str, Any]) -> dict[int, int]:
    """Count for each container in the data how many places refer to it."""
    counted: dict[int, int] = {}
    waiting: list[Any] = [value for value in data.values() if type(value) not in FROZEN]
    while waiting:
        each = waiting.pop()
        known = counted.get(id(each), 0)
        counted[id(each)] = known + 1
        if known:
            continue
        if type(each) is dict:
            waiting.extend(item for item in each.values() if type(item) not in FROZEN)
        elif type(each) in (list, tuple):
            waiting.extend(item for item in each if type(item) not in FROZEN)
    return counted
