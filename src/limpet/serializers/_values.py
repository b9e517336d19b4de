"""Values that a serializer has no form for: taken as their base types, or refused by an error that names the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, time
from math import isfinite
from typing import Any, Final, NamedTuple

from limpet._storable import ROOT, base_of, is_markup
from limpet.errors import UnstorableValue
from limpet.serializers._times import datetime_to_text, time_to_text

__all__ = ["Limits", "is_nested_at_most", "plain"]


class Limits(NamedTuple):
    """What one format can hold.

    Attributes:
        depth: How many containers may stand inside each other.
        set_depth: How many of them may be a set and what is inside of it.
        not_a_number: Whether it can hold NaN and the infinities.
    """

    depth: int
    set_depth: int
    not_a_number: bool


def is_nested_at_most(levels: int, value: Any) -> bool:
    """Tell whether a set, frozenset or tuple has so few levels; hashable members nest in no other way."""
    return levels > 0 and all(
        is_nested_at_most(levels - 1, item) for item in value if type(item) is tuple or type(item) is frozenset
    )


def plain(value: Any, limits: Limits) -> Any:
    """Return a copy of the value with every part as its base type.

    This walk is slow and is made only after encoding has failed. The value given is never changed.

    Args:
        value: What was to be encoded.
        limits: What the format can hold.

    Raises:
        UnstorableValue: A part is refused; the error names the first one, and why.
    """
    try:
        return _plain(value, limits, {}, 0)
    except _Refused as refused:
        raise UnstorableValue(refused.path(), refused.problem) from None
    except RecursionError:  # the caller's own stack is nearly used up
        raise UnstorableValue(ROOT, "it is nested too deep for the stack that is left here") from None


class _Refused(Exception):
    """A part that cannot be kept, on its way out of the walk.

    Attributes:
        problem: What is wrong with it.
        steps: The way to it, from the inside out; text for a key, a number for a place, None for one of a set.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps: list[str | int | None] = []

    def path(self) -> str:
        """Return the way to the part as a handler would write it."""
        text = ""
        for step in reversed(self.steps):
            if step is None:
                text += "{}"  # a member has no address: braces stand for "one of them"
            elif isinstance(step, int):
                text += f"[{step}]"
            else:
                text += f".{step}" if text else step
        return text or ROOT


def _plain(value: Any, limits: Limits, around: dict[int, None], sets: int) -> Any:
    """Return the copy; ``around`` has the ids of the containers around it, ``sets`` how many are in or are a set."""
    base = _checked(value, limits)
    kind = type(base)
    build = _CONTAINERS.get(kind)
    if build is None:
        return base
    if id(value) in around:
        raise _Refused("it contains itself")
    if len(around) >= limits.depth:
        raise _Refused(f"it is nested more than {limits.depth} levels deep")
    if sets or kind is set or kind is frozenset:
        sets += 1
        if sets > limits.set_depth:
            raise _Refused(f"it is in a set nested more than {limits.set_depth} levels deep")
    around[id(value)] = None
    step: str | int | None = None
    try:
        if kind is dict:
            result = {}
            for step, item in base.items():
                result[step] = _plain(item, limits, around, sets)
            return result
        items = []
        for step, item in enumerate(base):  # noqa: B007  # is read when an item is refused
            items.append(_plain(item, limits, around, sets))
    except _Refused as refused:
        refused.steps.append(None if kind is set or kind is frozenset else step)
        raise
    finally:
        del around[id(value)]
    made = build(items)
    if len(made) != len(items):  # members that differed only by their classes
        raise _Refused("two of its members would become one: keep one of them")
    return made


_CONTAINERS: Final[dict[type, Callable[[Iterable[Any]], Any]]] = {
    dict: dict,
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}


def _checked(value: Any, limits: Limits) -> Any:
    """Return the value as its base type.

    Raises:
        _Refused: It is none that can be kept.
    """
    try:
        base = base_of(value)
        kind = type(base)
        if kind is datetime:
            datetime_to_text(base)
        elif kind is time:
            time_to_text(base)
    except TypeError as error:
        raise _Refused(str(error)) from error
    if (kind is str or is_markup(kind)) and not _is_text(base):
        raise _Refused("it has a lone surrogate and is no text: store bytes instead")
    if kind is dict and not all(map(_is_text, base)):
        raise _Refused("it has a key with a lone surrogate, which is no text")
    if kind is float and not limits.not_a_number and not isfinite(base):
        raise _Refused("NaN and the infinities have no form in JSON: store None or a string instead")
    return base


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
