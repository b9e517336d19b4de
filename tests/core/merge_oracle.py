"""The merge of the first version, which encoded every level anew: what the present one is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isclose
from typing import Any, Final, TypeAlias

from limpet._merge import MISSING, Encode, Merged, Number, Rule
from limpet.errors import SessionConflict

__all__ = ["merge"]

_GROWING: Final = frozenset({dict, list})  # two equal additions are two additions: the same item bought in two tabs
_NUMBERS: Final = frozenset({int, float, Decimal})
_NO_INCREMENTS: Final[Mapping[str, Number]] = {}
_NO_RULES: Final[Mapping[str, Rule]] = {}


def merge(
    base: Mapping[str, Any],
    mine: Mapping[str, Any],
    theirs: Mapping[str, Any],
    *,
    encode: Encode,
    increments: Mapping[str, Number] = _NO_INCREMENTS,
    rules: Mapping[str, Rule] = _NO_RULES,
    strict: bool = False,
) -> Merged:
    """Return the session that holds the changes of both requests; the arguments stay as they are.

    Args:
        base: What this request read.
        mine: What this request has now.
        theirs: What is stored now.
        encode: Canonical encoding, by which values are compared.
        increments: What this request added to numbers, by key.
        rules: What to do with a key that both changed, by key.
        strict: Treat every key without a rule of its own as ``"strict"``.

    Raises:
        SessionConflict: A strict key was changed by both, or theirs is nothing that an increment can be added to;
            ``keys`` lists all such keys.
        UnstorableValue: A value cannot be encoded; the error's path begins with its key.
    """
    data: dict[str, Any] = {}
    overwritten: list[str] = []
    strict_keys: list[str] = []
    uncountable: list[str] = []
    for key in _keys(mine, theirs, base):
        before, here, there = (side.get(key, MISSING) for side in (base, mine, theirs))
        encoded = tuple(_encoded(encode, key, value) for value in (before, here, there))
        rule = rules.get(key)
        if rule == "queue" and not all(type(side) is list or side is MISSING for side in (before, here, there)):
            rule = None
        rule = "strict" if rule is None and strict else rule
        if key in increments and _was_incremented(before, here, increments[key], encode):
            value = _add(there, increments[key])
            if value is MISSING:
                uncountable.append(key)
        elif encoded[1] == encoded[0]:
            value = there
        elif encoded[2] == encoded[0]:
            value = here
        elif callable(rule) and not (here is MISSING and there is MISSING):
            value = rule(before, here, there)
        elif rule == "queue":
            value = _queued(before, here, there, encode)
        elif encoded[1] == encoded[2] and (rule == "strict" or type(here) not in _GROWING):
            value = here
        elif rule == "strict":
            strict_keys.append(key)
            continue
        else:
            value = _combine(key, before, here, there, encode, overwritten)
        if value is not MISSING:
            data[key] = value
    _refuse(strict_keys, uncountable)
    return Merged(data, tuple(overwritten))


def _refuse(strict: list[str], uncountable: list[str]) -> None:
    problems = []
    if strict:
        problems.append(f"another request changed {_listed(strict)} too, and its rule is strict: try again")
    if uncountable:
        problems.append(f"{_listed(uncountable)} cannot be incremented: another request stored what does not add up")
    if problems:
        raise SessionConflict("; ".join(problems), keys=(*strict, *uncountable))


def _listed(keys: list[str]) -> str:
    return ", ".join(map(repr, keys))


def _keys(mine: Mapping[str, Any], theirs: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, None]:
    """Return every key once: theirs in their order, then those of mine, then what both removed."""
    return dict.fromkeys((*theirs, *mine, *base))


def _encoded(encode: Encode, key: str, value: Any) -> bytes | None:
    # With the key around it, so that an error can name the path from the key on.
    return None if value is MISSING else encode({key: value})


_ROUNDING: Final = 1e-12  # what some thousand additions of floats may differ by, in another order


def _was_incremented(base: Any, mine: Any, by: Number, encode: Encode) -> bool:
    """Tell whether mine is still what the increments made of base, and nothing was assigned before them.

    Sums of floats depend on their order, by the last few bits.
    """
    expected = _add(base, by)
    if type(expected) is float and type(mine) is float and isclose(expected, mine, rel_tol=_ROUNDING):
        return True
    return expected is not MISSING and mine is not MISSING and encode(expected) == encode(mine)


def _add(value: Any, by: Number) -> Any:
    """Return the sum, an absent value counting as 0, or `MISSING` where there is none."""
    if value is MISSING:
        return by
    if type(value) not in _NUMBERS:  # a bool is not counted with
        return MISSING
    try:
        return value + by
    except (TypeError, ArithmeticError):  # Decimal and float, or a sum that is out of range
        return MISSING


def _combine(path: str, base: Any, mine: Any, theirs: Any, encode: Encode, overwritten: list[str]) -> Any:
    """Return what both changes of one value come to; a change of theirs that is dropped is named in ``overwritten``."""
    kind = type(mine)
    combiner = _COMBINERS.get(kind)
    if combiner is not None and type(theirs) is kind and (base is MISSING or type(base) is kind):
        value = combiner(path, kind() if base is MISSING else base, mine, theirs, encode, overwritten)
        if value is not MISSING:
            return value
    if theirs is MISSING or mine is MISSING or encode(mine) != encode(theirs):
        overwritten.append(path)
    return mine


def _combine_dicts(
    path: str,
    base: dict[str, Any],
    mine: dict[str, Any],
    theirs: dict[str, Any],
    encode: Encode,
    overwritten: list[str],
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key in _keys(mine, theirs, base):
        before, here, there = (side.get(key, MISSING) for side in (base, mine, theirs))
        encoded = tuple(_encoded(encode, key, value) for value in (before, here, there))
        if encoded[1] == encoded[0]:
            value = there
        elif encoded[2] == encoded[0] or (encoded[1] == encoded[2] and type(here) not in _GROWING):
            value = here
        else:
            value = _combine(f"{path}.{key}", before, here, there, encode, overwritten)
        if value is not MISSING:
            result[key] = value
    return result


def _combine_lists(
    path: str, base: list[Any], mine: list[Any], theirs: list[Any], encode: Encode, overwritten: list[str]
) -> Any:
    size = len(base)
    common = encode(base)
    if encode(mine[:size]) == common == encode(theirs[:size]):
        return theirs + mine[size:]
    return MISSING


def _combine_sets(path: str, base: Any, mine: Any, theirs: Any, encode: Encode, overwritten: list[str]) -> Any:
    before, here, there = ({encode(item): item for item in side} for side in (base, mine, theirs))
    kept = {data: item for data, item in there.items() if data in here or data not in before}
    added = {data: item for data, item in here.items() if data not in before}
    return type(mine)((kept | added).values())


def _queued(base: Any, mine: Any, theirs: Any, encode: Encode) -> Any:
    before, here, there = ([] if side is MISSING else list(side) for side in (base, mine, theirs))
    counts = [Counter(map(encode, items)) for items in (before, here, there)]
    taken = (counts[0] & counts[2]) - counts[1]
    left = _difference(there, list(taken.elements()), encode) + _difference(here, before, encode)
    return MISSING if not left and (mine is MISSING or theirs is MISSING) else left


def _difference(items: list[Any], others: list[Any], encode: Encode) -> list[Any]:
    left, codes = [], [encode(other) for other in others]
    for item in items:
        if encode(item) in codes:
            codes.remove(encode(item))
        else:
            left.append(item)
    return left


_Combiner: TypeAlias = Callable[[str, Any, Any, Any, Encode, list[str]], Any]

_COMBINERS: Final[Mapping[type, _Combiner]] = {
    dict: _combine_dicts,
    list: _combine_lists,
    set: _combine_sets,
    frozenset: _combine_sets,
}
