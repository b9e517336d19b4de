"""Objects that a handler holds: what a merge, or the handler itself, made of them goes into the data.

A merge changes in place only containers that the engine has decoded itself and that one key alone refers to; they stay
the objects that the handler holds. A container of the application is left as it is and replaced in the data by one of
the engine's own. What the application adds to it later is merged in (`loans`), or is an error where that cannot be.
"""

from __future__ import annotations

from typing import Any

from limpet import events
from limpet._core.context import Context
from limpet._core.merge import MISSING, merge
from limpet._core.notes import own
from limpet._core.state import FROZEN, Loan, SessionState
from limpet.errors import SessionConflict

__all__ = ["settle", "settle_views"]


def settle_views(engine: Context, state: SessionState) -> None:
    """Write what became of typed objects, and of containers that a merge replaced, into the data.

    Raises:
        SessionConflict: A container inside of another was changed after a merge had replaced it.
    """
    data = state.data
    for key, view in (state.views or {}).items():
        now = view.dump(view.value)
        if now != view.before:
            there = data.get(key, view.before)
            data[key] = now if there == view.before else _combine(engine, key, view.before, now, there)
            view.before = view.dump(view.value)  # an object of its own: a later merge changes what is in the data
    if state.loans is not None:
        encode, decode = engine.serializer.encode, engine.serializer.decode
        for key, loan in tuple(state.loans):
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
            merged = _combine(engine, key, before, now, data.get(key, MISSING))
            rest = {name: value for name, value in data.items() if name != key}
            settle(engine, state, rest if merged is MISSING else {**rest, key: merged})
            loan.before = now_bytes


def _combine(engine: Context, key: str, base: Any, mine: Any, theirs: Any) -> Any:
    """Return what the changes of a typed object and those of another request to the same key come to."""
    before, here, there = ({} if side is MISSING else {key: side} for side in (base, mine, theirs))
    result = merge(before, here, there, encode=engine.serializer.encode, rules=engine.policy.merge, merged=True)
    if result.overwritten:
        engine.emit(events.ValueOverwritten, keys=result.overwritten)
    return result.data.get(key, MISSING)


def settle(engine: Context, state: SessionState, result: dict[str, Any]) -> None:
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

    def __init__(self, engine: Context, state: SessionState) -> None:
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
