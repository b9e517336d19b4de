"""The merge of two requests on one session, row by row, and the laws that hold for every input."""

from __future__ import annotations

import copy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._merge import MISSING, Merged, Number, Rule, diff_keys, merge
from limpet.errors import SessionConflict, UnstorableValue
from limpet.serializers import MsgpackSerializer

encode = MsgpackSerializer().encode

X = MISSING

# name: base, mine, theirs, result, overwritten; each is the value of the key "k", X where there is none
ROWS: dict[str, tuple[Any, Any, Any, Any, tuple[str, ...]]] = {
    "nobody changed it": (1, 1, 1, 1, ()),
    "I changed it": (1, 2, 1, 2, ()),
    "they changed it": (1, 1, 2, 2, ()),
    "I added it": (X, 2, X, 2, ()),
    "they added it": (X, X, 2, 2, ()),
    "I deleted it": (1, X, 1, X, ()),
    "they deleted it": (1, 1, X, X, ()),
    "both deleted it": (1, X, X, X, ()),
    "both changed it equally": (1, 2, 2, 2, ()),
    "both added it equally": (X, "a", "a", "a", ()),
    "both appended the same": ([0], [0, 1], [0, 1], [0, 1, 1], ()),
    "both began a list with the same": (X, [1], [1], [1, 1], ()),
    "both replaced a list by the same": ([0], [1], [1], [1], ()),
    "both appended the same inside": ({"a": [0]}, {"a": [0, 1]}, {"a": [0, 1]}, {"a": [0, 1, 1]}, ()),
    "both changed it: mine stays": (1, 2, 3, 2, ("k",)),
    "both added it: mine stays": (X, "a", "b", "a", ("k",)),
    "I deleted what they changed": (1, X, 2, X, ("k",)),
    "they deleted what I changed": (1, 2, X, 2, ("k",)),
    "None is a value": (X, None, 1, None, ("k",)),
    "1, True and 1.0 are three values": (1, True, 1.0, True, ("k",)),
    "True for 1 is a change": (1, True, 1, True, ()),
    "unlike types: mine stays": ([1], {"a": 1}, [1, 2], {"a": 1}, ("k",)),
    "set against frozenset: mine stays": (X, {1}, frozenset({2}), {1}, ("k",)),
    "tuples do not grow": ((1,), (1, 2), (1, 3), (1, 2), ("k",)),
    # dicts
    "dicts by key": ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}, ()),
    "dicts from nothing": (X, {"b": 2}, {"c": 3}, {"b": 2, "c": 3}, ()),
    "dicts, one deletes and one adds": ({"a": 1}, {}, {"a": 1, "c": 3}, {"c": 3}, ()),
    "dicts, mine stays inside": ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, ("k.a",)),
    "dicts, both changed equally inside": ({"a": 1}, {"a": 2, "b": 1}, {"a": 2, "c": 1}, {"a": 2, "b": 1, "c": 1}, ()),
    "dicts, recursively": (
        {"a": {"b": {"x": 1, "y": 1}}},
        {"a": {"b": {"x": 2, "y": 1}}},
        {"a": {"b": {"x": 3, "y": 4}}},
        {"a": {"b": {"x": 2, "y": 4}}},
        ("k.a.b.x",),
    ),
    "dicts, deletion inside against change": ({"a": 1}, {}, {"a": 2}, {}, ("k.a",)),
    "dicts, change inside against deletion": ({"a": 1}, {"a": 2}, {}, {"a": 2}, ("k.a",)),
    "dicts, lists inside": ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3, 2]}, ()),
    "dicts that replaced another type": (None, {"a": 1}, {"b": 1}, {"a": 1}, ("k",)),
    "a dict that was deleted": ({"a": 1}, {"a": 2}, X, {"a": 2}, ("k",)),
    # lists
    "lists that grew": ([1], [1, 2], [1, 3], [1, 3, 2], ()),
    "lists from nothing": (X, ["a"], ["b"], ["b", "a"], ()),
    "lists, the beginning by bytes": ([1], [True, 2], [1, 3], [True, 2], ("k",)),
    "lists, mine shrank": ([1, 2], [1], [1, 2, 3], [1], ("k",)),
    "lists, theirs shrank": ([1, 2], [1, 2, 3], [2], [1, 2, 3], ("k",)),
    "lists, mine changed in the middle": ([{"n": 1}], [{"n": 2}], [{"n": 1}, 2], [{"n": 2}], ("k",)),
    "lists that replaced another type": (None, [1], [2], [1], ("k",)),
    # sets
    "sets, additions": ({1}, {1, 2}, {1, 3}, {1, 2, 3}, ()),
    "sets, removals": ({1, 2, 3}, {1, 2}, {2, 3}, {2}, ()),
    "sets, addition and removal": ({1}, set(), {1, 2}, {2}, ()),
    "sets from nothing": (X, {1}, {2}, {1, 2}, ()),
    "frozensets": (frozenset({1}), frozenset({1, 2}), frozenset(), frozenset({2}), ()),
}  # fmt: skip


def side(value: Any) -> dict[str, Any]:
    return {} if value is X else {"k": value}


def same(left: object, right: object) -> bool:
    return encode(left) == encode(right)


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    """Each row of the table gives its result, names what gave way, and leaves the arguments alone."""
    base, mine, theirs, expected, overwritten = ROWS[name]
    arguments = (side(base), side(mine), side(theirs))
    before = copy.deepcopy(arguments)
    result = merge(*arguments, encode=encode)
    assert same(result.data, side(expected))
    assert result.overwritten == overwritten
    assert same(list(arguments), list(before))


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "by", "expected"),
    [
        (5, 6, 6, 1, 7),
        (5, 6, 5, 1, 6),
        (X, 1, 1, 1, 2),
        (X, 1, X, 1, 1),
        (5, 3, 9, -2, 7),
        (5, 6, X, 1, 1),
        (5, 6, 2.5, 1, 3.5),
        (0.5, 0.75, 1.5, 0.25, 1.75),
        (Decimal("0.1"), Decimal("0.3"), Decimal("7.1"), Decimal("0.2"), Decimal("7.3")),
        (2**63, 2**64, 2**63 + 1, 2**63, 2**64 + 1),
    ],
)
def test_increment_adds_to_what_is_there(base: Any, mine: Any, theirs: Any, by: Number, expected: Any) -> None:
    """An increment is added to what the other request left; an absent number counts as 0."""
    result = merge(side(base), side(mine), side(theirs), encode=encode, increments={"k": by}, strict=True)
    assert same(result.data, side(expected))
    assert result.overwritten == ()


@pytest.mark.parametrize("theirs", ["6", None, True, [6], Decimal(6)])
def test_increment_of_no_number_conflicts(theirs: Any) -> None:
    """An increment that cannot be added to what the other request left is a conflict that names the key."""
    with pytest.raises(SessionConflict, match="'k' cannot be incremented") as caught:
        merge({"k": 5.5}, {"k": 6.5}, {"k": theirs}, encode=encode, increments={"k": 1.0})
    assert caught.value.keys == ("k",)


@pytest.mark.parametrize(("mine", "expected"), [(100, 100), (X, X), (6.0, 6.0)])
def test_assignment_after_increment_is_an_assignment(mine: Any, expected: Any) -> None:
    """Who increments a key and then assigns or deletes it has made a plain change."""
    result = merge({"k": 5}, side(mine), {"k": 7}, encode=encode, increments={"k": 1})
    assert same(result.data, side(expected))
    assert result.overwritten == ("k",)


def test_rule_decides() -> None:
    """The function for a key is given base, mine and theirs, and its answer stands."""
    seen: list[tuple[Any, ...]] = []

    def longest(base: Any, mine: Any, theirs: Any) -> Any:
        seen.append((base, mine, theirs))
        return max(theirs, mine, key=len)

    result = merge({"k": "a"}, {"k": "bb"}, {"k": "ccc"}, encode=encode, rules={"k": longest}, strict=True)
    assert result == Merged({"k": "ccc"})
    assert seen == [("a", "bb", "ccc")]


def test_rule_sees_absence_and_can_delete() -> None:
    """A rule is given `MISSING` for an absent key, and deletes the key by returning it."""
    rules: dict[str, Rule] = {"k": lambda base, mine, theirs: [base is MISSING, mine, theirs is MISSING]}
    assert merge({}, {"k": 1}, {"k": 2}, encode=encode, rules=rules).data == {"k": [True, 1, False]}
    assert merge({"k": 1}, {"k": 3}, {}, encode=encode, rules=rules).data == {"k": [False, 3, True]}
    rules = {"k": lambda base, mine, theirs: MISSING}
    assert merge({"k": 1}, {"k": 2}, {"k": 3}, encode=encode, rules=rules).data == {}


def test_rule_is_asked_about_equal_changes() -> None:
    """Two requests that each counted one by a rule of the application both count."""
    rules: dict[str, Rule] = {"k": lambda base, mine, theirs: theirs + mine - base}
    assert merge({"k": 5}, {"k": 6}, {"k": 6}, encode=encode, rules=rules).data == {"k": 7}


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "expected"),
    [(1, 2, 1, 2), (1, 1, 2, 2), (1, X, X, X), (1, X, 1, X), (1, 1, 1, 1)],
)
def test_rule_is_not_asked_without_need(base: Any, mine: Any, theirs: Any, expected: Any) -> None:
    """A rule is for keys that both changed and that somebody still has."""

    def never(base: Any, mine: Any, theirs: Any) -> Any:
        raise AssertionError("the rule was asked")

    assert merge(side(base), side(mine), side(theirs), encode=encode, rules={"k": never}).data == side(expected)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "expected", "overwritten"),
    [
        ([1], [1, 2], [1, 3], [1, 3, 2], ()),
        ([1], [], [1, 3], [3], ()),
        ([1], X, [1, 3], [3], ()),
        ([1], [1, 2], [], [2], ()),
        ([1, 2, 3], [1, 3], [2, 3, 4], [3, 4], ()),
        ([1, 2], [1], [2], [], ()),
        ([1, 2], X, [2], X, ()),
        ([1, 1], [1], [1], [1], ()),
        ([1], [1.0], [1, 2], [2, 1.0], ()),
        (X, [1], [1], [1, 1], ()),
        ([1], X, [], X, ()),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}, 3], [], [3], ()),
        ([1], "text", [1, 2], "text", ("k",)),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}, ()),
    ],
)
def test_queue_keeps_what_was_added_and_drops_what_was_taken(
    base: Any, mine: Any, theirs: Any, expected: Any, overwritten: tuple[str, ...]
) -> None:
    """Whoever takes from the list does not take what another one adds; what is no list is as without the rule."""
    result = merge(side(base), side(mine), side(theirs), encode=encode, rules={"k": "queue"})
    assert same(result.data, side(expected))
    assert result.overwritten == overwritten


def test_queue_is_strict_where_there_is_no_list() -> None:
    """``strict`` for all holds for a queue's key that has something else."""
    with pytest.raises(SessionConflict):
        merge({"k": 1}, {"k": 2}, {"k": 3}, encode=encode, rules={"k": "queue"}, strict=True)
    assert merge({"k": [1]}, {"k": []}, {"k": [1, 2]}, encode=encode, rules={"k": "queue"}, strict=True).data == {
        "k": [2]
    }


def test_strict_names_every_key() -> None:
    """All strict keys that both changed are named at once, and their values are not."""
    base = {"a": 1, "b": 1, "c": 1, "n": 1}
    mine = {"a": "secret", "b": 2, "c": 2, "n": 2}
    theirs = {"a": 3, "b": 2, "c": 3, "n": "x"}
    with pytest.raises(SessionConflict) as caught:
        merge(
            base, mine, theirs, encode=encode, rules={"a": "strict", "b": "strict", "c": "strict"}, increments={"n": 1}
        )
    assert caught.value.keys == ("a", "c", "n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[4]])
def test_strict_refuses_what_would_be_overwritten(name: str) -> None:
    """With ``strict`` for all, nothing is ever overwritten."""
    base, mine, theirs, _, _ = ROWS[name]
    with pytest.raises(SessionConflict) as caught:
        merge(side(base), side(mine), side(theirs), encode=encode, strict=True)
    assert caught.value.keys == ("k",)


def test_strict_spares_keys_with_a_rule() -> None:
    """A function for a key goes before ``strict`` for all."""
    rules: dict[str, Rule] = {"k": lambda base, mine, theirs: theirs + mine}
    assert merge({}, {"k": "a"}, {"k": "b"}, encode=encode, rules=rules, strict=True).data == {"k": "ba"}


def test_overwritten_names_all_paths() -> None:
    """Every place where a change gave way is named by its path."""
    base = {"theme": "a", "cart": {"sku1": 1, "sku2": 1}}
    mine = {"theme": "b", "cart": {"sku1": 2, "sku2": 2}}
    theirs = {"theme": "c", "cart": {"sku1": 3, "sku2": 3}}
    assert sorted(merge(base, mine, theirs, encode=encode).overwritten) == ["cart.sku1", "cart.sku2", "theme"]


def test_diff_keys_sees_nested_changes() -> None:
    """Added, removed, retyped and nested changes are found; equal values are none."""
    base = {"same": [1, {2}], "nested": {"a": [1]}, "gone": 1, "type": 1, "day": date(2030, 1, 1)}
    mine = {"same": [1, {2}], "nested": {"a": [1, 2]}, "new": None, "type": True, "day": date(2030, 1, 1)}
    assert diff_keys(base, mine, encode) == {"nested", "gone", "new", "type"}


def test_unstorable_value_is_named_from_its_key_on() -> None:
    """A value that cannot be compared is reported with the path that the handler knows."""
    with pytest.raises(UnstorableValue) as caught:
        diff_keys({}, {"cart": [{"price": 1j}]}, encode)
    assert caught.value.path == "cart[0].price"
    with pytest.raises(UnstorableValue) as caught:
        merge({}, {"cart": [{"price": 1j}]}, {}, encode=encode)
    assert caught.value.path == "cart[0].price"


leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.sampled_from("abc")
trees = st.recursive(
    leaves | st.sets(st.integers(0, 5), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
sessions = st.dictionaries(st.sampled_from("abcd"), trees, max_size=4)
quick = settings(max_examples=100, deadline=None)


@quick
@given(sessions, sessions)
def test_law_one_side(base: dict[str, Any], changed: dict[str, Any]) -> None:
    """Where only one side changed, the result is that side, and nothing was overwritten."""
    mine = merge(base, changed, base, encode=encode)
    theirs = merge(base, base, changed, encode=encode)
    assert same(mine.data, changed)
    assert same(theirs.data, changed)
    assert mine.overwritten == theirs.overwritten == ()


@quick
@given(sessions, sessions)
def test_law_idempotent(base: dict[str, Any], changed: dict[str, Any]) -> None:
    """Where both did the same, that is the result, unless a list grew."""
    result = merge(base, changed, copy.deepcopy(changed), encode=encode)
    assert same(result.data, changed) or "[" in repr(changed)
    assert result.overwritten == ()


@quick
@given(sessions, sessions, sessions)
def test_law_disjoint_keys_commute(base: dict[str, Any], left: dict[str, Any], right: dict[str, Any]) -> None:
    """Changes of different keys are all kept, whoever came first, also one level down."""
    mine = {**{key: base[key] for key in base if key in "cd"}, **{key: left[key] for key in left if key in "ab"}}
    theirs = {**{key: base[key] for key in base if key in "ab"}, **{key: right[key] for key in right if key in "cd"}}
    expected = {**{key: left[key] for key in left if key in "ab"}, **{key: right[key] for key in right if key in "cd"}}
    for first, second in ((mine, theirs), (theirs, mine)):
        result = merge(base, first, second, encode=encode)
        nested = merge({"k": base}, {"k": first}, {"k": second}, encode=encode)
        assert same(result.data, expected)
        assert same(nested.data, {"k": expected})
        assert result.overwritten == nested.overwritten == ()


@quick
@given(sessions, sessions, sessions)
def test_law_arguments_stay(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """A merge changes none of its arguments, and every key that it dropped is named."""
    before = encode([base, mine, theirs])
    result = merge(base, mine, theirs, encode=encode)
    assert encode([base, mine, theirs]) == before
    lost = {key for key in diff_keys(base, theirs, encode) - diff_keys(base, mine, encode)
            if not same(result.data.get(key), theirs.get(key))}  # fmt: skip
    assert not lost
    assert diff_keys(mine, result.data, encode) <= diff_keys(base, theirs, encode)


@quick
@given(st.lists(leaves), st.lists(leaves, min_size=1), st.lists(leaves, min_size=1))
def test_law_appends_are_all_kept(base: list[Any], mine: list[Any], theirs: list[Any]) -> None:
    """What two requests appended to one list is all there, theirs first, even if it is the same."""
    result = merge({"k": base}, {"k": base + mine}, {"k": base + theirs}, encode=encode)
    assert same(result.data["k"], base + theirs + mine)
    assert result.overwritten == ()


@quick
@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_law_set_changes_are_all_kept(base: set[int], mine: set[int], theirs: set[int]) -> None:
    """Additions and removals of both requests are all in the result."""
    expected = (base & mine & theirs) | (mine - base) | (theirs - base)
    result = merge({"k": base}, {"k": mine}, {"k": theirs}, encode=encode)
    assert result == Merged({"k": expected})


@quick
@given(st.integers(), st.lists(st.integers(), min_size=1, max_size=5))
def test_law_increments_are_exact(start: int, steps: list[int]) -> None:
    """However many requests increment one number at once, the sum is exact."""
    stored = {"k": start}
    for step in steps:
        stored = merge({"k": start}, {"k": start + step}, stored, encode=encode, increments={"k": step}).data
    assert stored == {"k": start + sum(steps)}
