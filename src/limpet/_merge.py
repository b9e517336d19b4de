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
lists that both changed, ``queue``           theirs without what mine took out, then what mine added
changed by both, equally                     that value; but what both appended to a list is there twice
changed by both, ``strict``                  `SessionConflict`
changed by both                              the table below, by type
===========================================  ==================================================================

and by type, which is also what a key inside a dict meets after the second and the fourth row:

===========================================  ==================================================================
base, mine and theirs (base may be absent)   the result
===========================================  ==================================================================
dicts                                        merged key by key, by the same rows
lists, both beginning with all of base       theirs, then what mine added
sets, or frozensets                          base with the additions and removals of both
all else: other or unlike types, a deletion  mine, because it commits later; its path is in ``overwritten``
===========================================  ==================================================================

``queue`` is of lists alone, of which an absent one is empty: for other values the key is as without a rule.

An absent base counts as empty. A base of another type than mine and theirs does not: that key was replaced by both,
not added to. What both deleted is gone, and no rule is asked. A value of mine that is stored as its base type
(`limpet._storable`) is merged as that.

Order: the keys of a dict that both changed stand as theirs do, then those that mine added.

Whose objects the result holds: no argument is changed. What is taken whole from mine, or was changed by nobody, is the
very object of mine; what is taken from theirs, and what a rule returns, is a copy; what combines both is new. So a
merge never makes two places of the result share an object, and a constant that a rule returns stays the application's.

Cost: every value is encoded once per side; of the keys that both changed, each leaf at most once more, at whatever
depth it stands.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from math import isclose
from typing import Any, Final, Literal, TypeAlias

from limpet._storable import DEEPEST, ROOT, copied, is_plain
from limpet.errors import SessionConflict, UnstorableValue

__all__ = ["MISSING", "Encode", "Merged", "Number", "Rule", "add_up", "diff_keys", "merge"]


class _Missing(enum.Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = _Missing.MISSING
"""Stands for a key that is not there, so that None can be a value."""

Encode: TypeAlias = Callable[[Any], bytes]
"""Canonical encoding of one value: `Serializer.encode`."""

Number: TypeAlias = int | float | Decimal

Rule: TypeAlias = Callable[[Any, Any, Any], Any] | Literal["strict", "queue"]
"""``rule(base, mine, theirs)`` with `MISSING` for an absent key returns the value, or `MISSING` to delete the key.

It must not change its arguments. It may return one of them, or a constant: the session gets a copy of what it returns.
``"strict"`` raises `SessionConflict` instead of choosing. ``"queue"`` is for a list that some requests add to and
others take from: what any of them added is there, and what any of them took out is gone.
"""

_GROWING: Final = (dict, list)  # two equal additions are two additions: the same item bought in two tabs
_NUMBERS: Final = frozenset({int, float, Decimal})
_NO_INCREMENTS: Final[Mapping[str, Number]] = {}
_NO_RULES: Final[Mapping[str, Rule]] = {}


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        data: The merged keys and values; parts of it may be the very objects of mine.
        overwritten: The paths (``theme``, ``cart.sku1``) where a change of theirs gave way to mine, never a value. One
            of more than 200 characters is shortened in its middle.
    """

    data: dict[str, Any]
    overwritten: tuple[str, ...] = ()


def add_up(total: dict[str, Any], increments: Mapping[str, Any]) -> None:
    """Add what was added to numbers to what was added before, by key."""
    for key, by in increments.items():
        total[key] = total.get(key, 0) + by


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
    merged: bool = False,
    revived: Collection[str] = (),
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
        merged: Theirs came of a merge with base, so that lists hold what base held, though not in front: what mine
            appended since is appended.
        revived: Keys for which that holds as well: they were deleted in between, and mine had stayed. Base is what was
            there before.

    Raises:
        SessionConflict: A strict key was changed by both, or theirs is nothing that an increment can be added to;
            ``keys`` lists all such keys.
        UnstorableValue: A value cannot be encoded; the error's path begins with its key.
    """
    data: dict[str, Any] = {}
    walk = _Walk(encode)
    strict_keys: list[str] = []
    uncountable: list[str] = []
    for key in _keys(mine, theirs, base):
        before, here, there = base.get(key, MISSING), mine.get(key, MISSING), theirs.get(key, MISSING)
        mine_bytes = _encoded(encode, key, here)
        base_bytes, their_bytes = _encoded(encode, key, before), _encoded(encode, key, there)
        rule = rules.get(key)
        if rule is None or (rule == "queue" and not _are_lists(before, here, there)):
            rule = "strict" if strict else None
        if key in increments and _was_incremented(before, here, increments[key], encode):
            value = _add(there, increments[key])
            if value is MISSING:
                uncountable.append(key)
        elif their_bytes == base_bytes:
            value = here
        elif mine_bytes == base_bytes:
            value = _own(there)
        elif callable(rule) and not (here is MISSING and there is MISSING):
            value = _returned(rule(before, here, there), key, encode)
        elif rule == "queue":
            value = _queued(before, _as_stored(here, key, mine_bytes, encode), there, encode)
        elif mine_bytes == their_bytes and (rule == "strict" or not isinstance(here, _GROWING)):
            value = here
        elif rule == "strict":
            strict_keys.append(key)
            continue
        else:
            walk.already = merged or key in revived
            value = walk.merged(key, before, _as_stored(here, key, mine_bytes, encode), there)
        if value is not MISSING:
            data[key] = value
    _refuse(strict_keys, uncountable)
    return Merged(data, tuple(walk.overwritten))


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


def _own(value: Any) -> Any:
    """Return what was stored as an object that nothing else refers to."""
    if type(value) in _UNCHANGING or value is MISSING:
        return value
    return copied(value) if is_plain(value) else deepcopy(value)  # a serializer may know more types than ours do


def _returned(value: Any, key: str, encode: Encode) -> Any:
    """Return a copy of what a rule returned, as it will be stored.

    Raises:
        UnstorableValue: It cannot be encoded.
    """
    if type(value) in _UNCHANGING or value is MISSING:
        return value
    made = _as_stored(value, key, _encoded(encode, key, value), encode)
    return _own(value) if made is value else made


def _as_stored(value: Any, key: str, data: bytes | None, encode: Encode) -> Any:
    """Return the value with every part as its base type: a copy, or itself where it is so or has none."""
    if value is MISSING or is_plain(value):
        return value
    try:
        made = copied(value)
    except TypeError:
        return value
    return made if _encoded(encode, key, made) == data else value  # a serializer may keep the difference


def _are_lists(*sides: Any) -> bool:
    return all(side is MISSING or isinstance(side, list) for side in sides)


def _queued(base: Any, mine: Any, theirs: Any, encode: Encode) -> Any:
    """Return theirs without what mine took, and what mine added; `MISSING` if that is nothing and one deleted it."""
    before, here, there = ([] if side is MISSING else side for side in (base, mine, theirs))
    taken = _without(_without(before, here, encode), _without(before, there, encode), encode)  # and not by theirs too
    left = [*_own(_without(there, taken, encode)), *_without(here, before, encode)]
    return left if left or (mine is not MISSING and theirs is not MISSING) else MISSING


def _without(items: list[Any], others: list[Any], encode: Encode) -> list[Any]:
    """Return the items but for as many equal ones as the others have."""
    left = Counter(map(encode, others))
    found = []
    for item in items:
        data = encode(item)
        if left[data] > 0:
            left[data] -= 1
        else:
            found.append(item)
    return found


class _Walk:
    """Merges values that both sides changed, in one walk down; nothing is encoded again on the way."""

    __slots__ = ("_encode", "already", "overwritten")

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self.already = False
        self.overwritten: list[str] = []

    def merged(self, key: str, base: Any, mine: Any, theirs: Any) -> Any:
        """Return what both changes of one key come to, or `MISSING`."""
        sides = ({} if side is MISSING else {key: side} for side in (base, mine, theirs))
        data, _ = self._dicts(None, *sides, levels=DEEPEST + 1)
        return data.get(key, MISSING)

    def _dicts(self, path: str | None, base: Any, mine: Any, theirs: Any, *, levels: int) -> tuple[Any, bool]:
        """Return the merged dict, and whether theirs is what base was; an absent base never is."""
        if levels == 0:
            raise UnstorableValue(path or ROOT, f"it is nested more than {DEEPEST} levels deep")
        result: dict[str, Any] = {}
        stayed = base is not MISSING
        if base is MISSING:
            base = {}
        for key in _keys(mine, theirs, base):
            before, here, there = base.get(key, MISSING), mine.get(key, MISSING), theirs.get(key, MISSING)
            kind = type(here)
            if type(there) is not kind or not (before is MISSING or type(before) is kind):
                value, this_stayed = self._others(path, key, before, here, there)
            elif kind is dict:
                below = _short(_below(path, key))
                value, this_stayed = self._dicts(below, before, here, there, levels=levels - 1)
            elif kind is list:
                value, this_stayed = self._lists(path, key, before, here, there)
            elif kind is set or kind is frozenset:
                value, this_stayed = self._sets(before, here, there)
            else:
                value, this_stayed = self._others(path, key, before, here, there)
            stayed = stayed and this_stayed
            if value is not MISSING:
                result[key] = value
        return (mine if stayed else result), stayed

    def _lists(self, path: str | None, key: str, base: Any, mine: Any, theirs: Any) -> tuple[Any, bool]:
        encode, size = self._encode, 0 if base is MISSING else len(base)
        common = encode([] if base is MISSING else base)
        mine_start, their_start = encode(mine[:size]), encode(theirs[:size])
        if base is not MISSING and their_start == common and len(theirs) == size:
            return mine, True
        if mine_start == common and len(mine) == size:
            return _own(theirs), False
        if mine_start == common and (their_start == common or self.already):
            return [*_own(theirs), *mine[size:]], False
        if mine_start != their_start or encode(mine[size:]) != encode(theirs[size:]):
            self.overwritten.append(_below(path, key))
        return mine, False

    def _sets(self, base: Any, mine: Any, theirs: Any) -> tuple[Any, bool]:
        before, here, there = (
            {} if side is MISSING else {self._encode(item): item for item in side} for side in (base, mine, theirs)
        )
        if base is not MISSING and there.keys() == before.keys():
            return mine, True
        kept = {data: item for data, item in there.items() if data in here or data not in before}
        added = {data: item for data, item in here.items() if data not in before}
        return type(mine)((kept | added).values()), False

    def _others(self, path: str | None, key: str, base: Any, mine: Any, theirs: Any) -> tuple[Any, bool]:
        if base is MISSING and (mine is MISSING or theirs is MISSING):
            return (mine if theirs is MISSING else _own(theirs)), theirs is MISSING
        before, here, there = self._form(base), self._form(mine), self._form(theirs)
        if there == before:
            return mine, True
        if here == before:
            return _own(theirs), False
        if here != there:
            self.overwritten.append(_below(path, key))
        return mine, False

    def _form(self, value: Any) -> Any:
        """Return what two values have in common only if their bytes are equal."""
        kind = type(value)
        if kind in _UNCHANGING:
            return (kind, value)
        return value if value is MISSING else self._encode(value)


_UNCHANGING: Final = frozenset({str, int, bool, type(None), bytes})
"""Types whose values cannot change, and whose equal values have equal bytes. Not float: 0.0 and -0.0."""

_LONGEST_PATH: Final = 200


def _below(path: str | None, key: Any) -> str:
    """Return the path of a key of a dict; one at the top, whose dict has no path, is named by its whole key."""
    return str(key) if path is None else _short(f"{path}.{_short(str(key))}")


def _short(path: str) -> str:
    """Return a path of bounded length: whole ones, of many keys deep inside, would cost the square of the size."""
    half = _LONGEST_PATH // 2
    return path if len(path) <= _LONGEST_PATH else f"{path[:half]}…{path[1 - half :]}"
