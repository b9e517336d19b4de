"""Containers inside of values: how often each lies there, and which items of two lists are the same. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection
from typing import Any

from limpet._merge import MISSING

__all__ = ["Shapes", "beside", "holds", "references"]

_CONTAINERS = frozenset({dict, list, tuple})


def references(data: dict[str, Any]) -> dict[int, int]:
    """Count for each container in the data, by its identity, how many places refer to it."""
    counted: dict[int, int] = {}
    waiting: list[Any] = list(data.values())
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind in _CONTAINERS or kind is set:
            known = counted.get(id(each), 0)
            counted[id(each)] = known + 1
            if not known and kind is not set:
                waiting.extend(each.values() if kind is dict else each)
    return counted


def holds(value: Any, known: Collection[int]) -> bool:
    """Tell whether a value is one of the containers that are known by their identity, or has one of them inside."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if id(each) in known:
            return True
        if type(each) in _CONTAINERS:
            waiting.extend(each.values() if type(each) is dict else each)
    return False


class Shapes:
    """Gives values that are equal, types included, one number. Each container is looked through once.

    The values must live, and stay as they are, until the last question about them.
    """

    __slots__ = ("_known", "_numbers")

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._numbers: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        """Return the number of a value."""
        kind = type(value)
        if kind not in _CONTAINERS and kind is not set:
            return self._number(kind, value)
        known = self._known.get(id(value))
        if known is None:
            parts: Any
            if kind is dict:
                parts = frozenset((name, self.of(item)) for name, item in value.items())
            elif kind is set:
                parts = frozenset(map(self.of, value))
            else:
                parts = tuple(map(self.of, value))
            known = self._known[id(value)] = self._number(kind, parts)
        return known

    def _number(self, kind: type, value: Any) -> int:
        try:
            return self._numbers.setdefault((kind, value), len(self._numbers))
        except TypeError:  # of a type that only the application's own serializer knows, and that has no hash
            return self._numbers.setdefault((kind, id(value)), len(self._numbers))


def beside(held: list[Any], value: list[Any], shapes: Shapes) -> tuple[list[Any], list[Any]]:
    """Lay the items of a list beside those that are to take their places.

    An item stays the same if it is the very object, or if it is equal, wherever it went. Of the others, as many as
    have changed between the same two that stayed are the same, one by one.

    Returns:
        For each item of ``value`` the one of ``held`` that it is, or `MISSING`, also where it is the very object; and
        the items of ``held`` that are in ``value`` no more.
    """
    found: list[Any] = [MISSING] * len(value)
    if not any(type(item) in _CONTAINERS or type(item) is set for item in held):
        return found, []
    kept = {id(item) for item in value}
    places: defaultdict[int, deque[int]] = defaultdict(deque)
    here = {id(item) for item in held}
    for at, item in enumerate(value):
        if id(item) not in here:
            places[shapes.of(item)].append(at)
    stands_at: dict[int, int] = {}  # where an item of ``held`` is now
    by_identity = {id(item): at for at, item in enumerate(value)}
    for at, item in enumerate(held):
        if id(item) in kept:
            stands_at[at] = by_identity[id(item)]
        elif free := places.get(shapes.of(item)):
            stands_at[at] = free.popleft()
            found[stands_at[at]] = item
    gone = _runs(len(held), {at: at for at in stands_at})
    new = _runs(len(value), {now: at for at, now in stands_at.items()})
    left: list[Any] = []
    for after, run in gone.items():
        if len(run) == len(new.get(after, ())):
            for at, now in zip(run, new[after], strict=True):
                found[now] = held[at]
        else:
            left.extend(held[at] for at in run)
    return found, left


def _runs(length: int, stayed: dict[int, int]) -> dict[int, list[int]]:
    """Return the places where nothing stayed, by what stands before them; nothing: -1."""
    runs: defaultdict[int, list[int]] = defaultdict(list)
    before = -1
    for at in range(length):
        if at in stayed:
            before = stayed[at]
        else:
            runs[before].append(at)
    return runs
