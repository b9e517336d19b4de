"""Objects that a handler holds: what a merge, or the handler itself, made of them goes into the data.

A merge changes in place only containers that the engine has decoded itself and that one key alone refers to; they stay
the objects that the handler holds. A container of the application is left as it is and replaced in the data by one of
the engine's own. What the handler does later to that one, or to one that another request has taken away, is merged in
(`loans`), or is an error where that cannot be.
"""

from __future__ import annotations

from typing import Any

from limpet import _flashes as flashes
from limpet import events
from limpet._containers import Shapes, beside, holds, references
from limpet._core.context import Context
from limpet._core.notes import own
from limpet._core.state import FROZEN, Loan, SessionState
from limpet._merge import MISSING, Rule, merge
from limpet.errors import SessionConflict

__all__ = ["settle", "settle_views"]


def settle_views(engine: Context, state: SessionState, *, asked: bool = False) -> None:
    """Write what became of typed objects, and of containers that a merge replaced, into the data.

    Args:
        asked: It is only a question what they come to, so that no event tells of it.

    Raises:
        SessionConflict: A container inside of another was changed after a merge had replaced it.
    """
    data = state.data
    for key, view in (state.views or {}).items():
        now = view.dump(view.value)
        if now != view.before:
            there = data.get(key, view.before)
            data[key] = now if there == view.before else _combine(engine, key, view.before, now, there, asked)
            view.before = view.dump(view.value)  # an object of its own: a later merge changes what is in the data
    if state.loans is not None:
        encode, decode = engine.serializer.encode, engine.serializer.decode
        for key, loan in tuple(state.loans):
            now_bytes = encode({key: loan.value})
            if now_bytes == loan.before:
                continue
            if (loan.nested or key not in data) and id(loan.value) in references(data):
                loan.before = now_bytes  # the handler has put it back, where it is saved without this
                continue
            if loan.nested:
                raise SessionConflict(
                    f"an object inside of {key!r} was changed after another request's changes had been merged into the "
                    "session: read it from the session again, and change that",
                    keys=(key,),
                )
            before, now = decode(loan.before)[key], decode(now_bytes)[key]
            merged = _combine(engine, key, before, now, data.get(key, MISSING), asked)
            rest = {name: value for name, value in data.items() if name != key}
            settle(engine, state, rest if merged is MISSING else {**rest, key: merged})
            loan.before = now_bytes


def _combine(engine: Context, key: str, base: Any, mine: Any, theirs: Any, asked: bool) -> Any:
    """Return what the changes of a typed object and those of another request to the same key come to."""
    before, here, there = ({} if side is MISSING else {key: side} for side in (base, mine, theirs))
    encode, policy = engine.serializer.encode, engine.policy
    rules: dict[str, Rule] = {**flashes.RULES, **policy.merge}
    result = merge(before, here, there, encode=encode, rules=rules, strict=policy.strict_merge, merged=True)
    if result.overwritten and not asked:
        engine.emit(events.ValueOverwritten, keys=result.overwritten)
    return result.data.get(key, MISSING)


def settle(engine: Context, state: SessionState, result: dict[str, Any]) -> None:
    """Let the data hold a merge's result; containers of the engine's own keep their identity."""
    settler = _Settler(engine, state)
    data = state.data
    held = {key: value for key, value in data.items() if key in (state.assigned or ())}  # what a handler can hold
    data.clear()
    for key, value in result.items():
        settler.key = key
        data[key] = settler.placed(held.pop(key, MISSING), value, nested=False)
    for key, value in held.items():
        settler.key = key
        settler.let_go(value, nested=False)


class _Settler:
    """Puts one merge's result into the containers that the handler holds."""

    __slots__ = ("_encode", "_owned", "_references", "_shapes", "_state", "key")

    def __init__(self, engine: Context, state: SessionState) -> None:
        self.key = ""
        self._encode = engine.serializer.encode
        self._state = state
        if state.owned is None:
            state.owned = {}
        self._owned = state.owned
        self._references = references(state.data)
        self._shapes = Shapes()

    def placed(self, held: Any, value: Any, *, nested: bool) -> Any:
        """Return what is to lie where ``held`` lay: ``held`` itself wherever that can be."""
        if held is value:
            return value
        if type(held) is type(value) and self._references.get(id(held)) == 1 and id(held) in self._owned:
            self._change(held, value)
            return held
        if type(value) not in FROZEN:
            if type(held) not in FROZEN and held is not MISSING and self._bytes(held) == self._bytes(value):
                return held
            if not holds(value, self._references):  # one that was in the data before may be the application's
                own(self._owned, value)
        self.let_go(held, nested=nested)
        return value

    def let_go(self, held: Any, *, nested: bool) -> None:
        """Note a container that lies in the data no more: the handler may hold it still, and change it."""
        if held is MISSING or type(held) in FROZEN:
            return
        state = self._state
        if state.loans is None:
            state.loans = []
        state.loans.append((self.key, Loan(held, self._bytes(held), nested)))

    def _bytes(self, value: Any) -> bytes:
        return self._encode({self.key: value})

    def _change(self, held: Any, value: Any) -> None:
        if type(value) is dict:
            before = dict(held)
            held.clear()
            for key, item in value.items():
                held[key] = self.placed(before.pop(key, MISSING), item, nested=True)
            left = list(before.values())
        elif type(value) is list:
            old, left = beside(held, value, self._shapes)
            held[:] = [self.placed(each, item, nested=True) for each, item in zip(old, value, strict=True)]
        else:
            items, left = set(value), []
            held.clear()
            held.update(items)
        for each in left:
            self.let_go(each, nested=True)
