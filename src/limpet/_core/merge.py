"""Three-way merge of two requests that changed one session at once. Pure: values in, values out.

``base`` is what this request read, ``mine`` what it has now, ``theirs`` what another request stored in between. A key
has changed when its encoded bytes have, so ``1``, ``True`` and ``1.0`` are three values. Per top-level key, the
first row that fits decides:

===========================================  ==================================================================
the key                                      the result
===========================================  ==================================================================
mine is base + by, of an increment           theirs + by; absent counts as 0; theirs no number: `SessionConflict`
changed by one side, or by none              that side, deletion included
changed by both, has a function as rule      what ``rule(base, mine, theirs)`` returns, even for equal changes
changed by both, equally                     that value; but what both appended to a list is there twice
changed by both, ``strict``                  `SessionConflict`
changed by both                              the table of `_combine`, by type
===========================================  ==================================================================

and `_combine`, which is also what a key inside a dict meets after the second and the fourth row:

===========================================  ==================================================================
base, mine and theirs (base may be absent)   the result
===========================================  ==================================================================
dicts                                        merged key by key, by the same rows
lists, both beginning with all of base       theirs, then what mine added
sets, or frozensets                          base with the additions and removals of both
all else: other or unlike types, a deletion  mine, because it commits later; its path is in ``overwritten``
===========================================  ==================================================================

An absent base counts as empty. A base of another type than mine and theirs does not: that key was replaced by both,
not added to. What both deleted is gone, and no rule is asked.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isclose
from typing import Any, Final, Literal, TypeAlias

from limpet.errors import SessionConflict

__all__ = ["MISSING", "Encode", "Merged", "Number", "Rule", "diff_keys", "merge"]


class _Missing(enum.Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = _Missing.MISSING
"""Stands for a key that is not there, so that None can be a value."""

Encode: TypeAlias = Callable[[Any], bytes]
"""Canonical encoding of one value: `Serializer.encode`."""

Number: TypeAlias = int | float | Decimal

Rule: TypeAlias = Callable[[Any, Any, Any], Any] | Literal["strict"]
"""``rule(base, mine, theirs)`` with `MISSING` for an absent key returns the value, or `MISSING` to delete the key.

It must not change its arguments. ``"strict"`` raises `SessionConflict` instead of choosing.
"""

_GROWING: Final = frozenset({dict, list})  # two equal additions are two additions: the same item bought in two tabs
_NUMBERS: Final = frozenset({int, float, Decimal})
_NO_INCREMENTS: Final[Mapping[str, Number]] = {}
_NO_RULES: Final[Mapping[str, Rule]] = {}


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        data: The merged keys and values; parts of it may be the very objects that were given.
        overwritten: The paths (``theme``, ``cart.sku1``) where a change of theirs gave way to mine. Never a value.
    """

    data: dict[str, Any]
    overwritten: tuple[str, ...] = ()


def diff_keys(base: Mapping[str, Any], mine: Mapping[str, Any], encode: Encode) -> set[str]:
    """Return the top-level keys that were added, removed or changed, nested changes included.

    Raises:
        UnstorableValue: A value cannot be encoded; the error's path begins with its key.
    """
    return {
        key
        for key in base.keys() | mine.keys()
        if _encoded(encode, key, base.get(key, MISSING)) != _encoded(encode, key, mine.get(key, MISSING))
    }


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
        rule = rules.get(key, "strict" if strict else None)
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


_Combiner: TypeAlias = Callable[[str, Any, Any, Any, Encode, list[str]], Any]

_COMBINERS: Final[Mapping[type, _Combiner]] = {
    dict: _combine_dicts,
    list: _combine_lists,
    set: _combine_sets,
    frozenset: _combine_sets,
}
