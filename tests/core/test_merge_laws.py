"""What holds for every merge: the rows of the first version, whose objects the result has, and what it costs."""

from __future__ import annotations

import copy
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
from authlib.oidc.core import UserInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._merge import MISSING, Merged, Rule, merge
from limpet._storable import DEEPEST
from limpet.errors import SessionConflict, UnstorableValue
from limpet.serializers import JSONSerializer, MsgpackSerializer
from tests.core import merge_oracle

MSGPACK, JSON = MsgpackSerializer(), JSONSerializer()
serializers = st.sampled_from([MSGPACK, JSON])
encode = MSGPACK.encode
DEEP = 100_000

CONSTANT: dict[str, Any] = {"x": [1], "y": {"z": {1}}}
RULES: list[Rule] = [
    "strict",
    "queue",
    lambda base, mine, theirs: base,
    lambda base, mine, theirs: mine,
    lambda base, mine, theirs: theirs,
    lambda base, mine, theirs: CONSTANT,
    lambda base, mine, theirs: [CONSTANT, CONSTANT],
    lambda base, mine, theirs: MISSING,
]


leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, "a", "b", b"a", (1, [2])])
sets = st.sets(st.integers(0, 4), max_size=3) | st.frozensets(st.integers(0, 4), max_size=3)
ruled = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(RULES), max_size=2)


def trees(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        inner,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("xyz"), below, max_size=3),
        max_leaves=8,
    )


@st.composite
def sides(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return base, mine and theirs: related trees, in which one object may stand at several places and sides."""
    pool = draw(st.lists(trees(leaves | sets), min_size=1, max_size=4))
    values = trees(leaves | sets | st.sampled_from(pool))
    base = draw(st.dictionaries(st.sampled_from("abcd"), values, max_size=4))
    changed = []
    for _ in range(2):
        side = draw(st.sampled_from([base, copy.deepcopy(base)]))
        changed.append(edited(draw, side, values) if draw(st.integers(0, 5)) else draw(st.just(base)))
    return base, changed[0], changed[1]


def edited(draw: st.DrawFn, value: Any, values: st.SearchStrategy[Any]) -> Any:
    """Return a changed copy of a tree that still has some objects of it."""
    if type(value) is dict:
        result = {key: edited(draw, item, values) if draw(st.booleans()) else item for key, item in value.items()}
        if result and draw(st.integers(0, 3)) == 0:
            del result[draw(st.sampled_from(sorted(result)))]
        if draw(st.integers(0, 2)) == 0:
            result[draw(st.sampled_from("abcdxyz"))] = draw(values)
        return dict(draw(st.permutations(list(result.items()))))
    if type(value) is list and draw(st.integers(0, 3)):
        return [*value, draw(values)]
    if (type(value) is set or type(value) is frozenset) and draw(st.integers(0, 3)):
        return value ^ draw(st.sets(st.integers(0, 4), max_size=2))
    return draw(values)


def containers(value: Any) -> Iterator[Any]:
    """Yield every container inside that can change, as often as it stands there."""
    if type(value) in (dict, list, set):
        yield value
    if type(value) is not set:
        for item in value.values() if type(value) is dict else value if type(value) in (list, tuple) else ():
            yield from containers(item)


def snapshot(value: Any) -> Any:
    """Return what a value is, with the order and the identity of all of it."""
    if type(value) is dict:
        return id(value), [(key, snapshot(item)) for key, item in value.items()]
    if type(value) in (list, tuple):
        return id(value), [snapshot(item) for item in value]
    return id(value), repr(value)


def outcome(function: Any, arguments: tuple[Any, ...], **options: Any) -> Merged | tuple[str, ...]:
    try:
        result: Merged = function(*arguments, **options)
    except SessionConflict as error:
        return error.keys
    return result


@settings(max_examples=60, deadline=None)
@given(sides(), serializers, ruled, st.booleans())
def test_law_the_rows_of_the_first_version(
    arguments: Any, serializer: Any, rules: dict[str, Rule], strict: bool
) -> None:
    """Values, paths and conflicts are those of the algorithm that compared every level by its bytes."""
    options: dict[str, Any] = {"encode": serializer.encode, "rules": rules, "strict": strict}
    expected = outcome(merge_oracle.merge, arguments, **options)
    result = outcome(merge, arguments, **options)
    if isinstance(expected, Merged) and isinstance(result, Merged):
        assert serializer.encode(result.data) == serializer.encode(expected.data)
        assert result.overwritten == expected.overwritten
    else:
        assert result == expected


def check_laws(arguments: tuple[dict[str, Any], ...], serializer: Any, rules: dict[str, Rule]) -> None:
    """Check that a merge changes nothing that it was given, and whose objects its result has."""
    before = snapshot([*arguments, CONSTANT])
    result = outcome(merge, arguments, encode=serializer.encode, rules=rules)
    assert snapshot([*arguments, CONSTANT])[1] == before[1]
    data = result.data if isinstance(result, Merged) else {}
    _, mine, theirs = arguments
    of_mine = {id(each) for each in containers(mine)}
    foreign = {id(each) for side in (theirs, arguments[0], CONSTANT) for each in containers(side)} - of_mine
    places = Counter(id(each) for each in containers(data))
    assert not places.keys() & foreign
    assert all(count == 1 for place, count in places.items() if place not in of_mine)
    # Changing the result in place changes nothing that was given, but what was taken whole from mine.
    for each in list(containers(data)):
        if id(each) not in of_mine:
            each.clear()
    assert snapshot([*arguments, CONSTANT])[1] == before[1]


@settings(max_examples=60, deadline=None)
@given(sides(), serializers, ruled)
def test_law_nothing_given_is_changed_or_shared(arguments: Any, serializer: Any, rules: dict[str, Rule]) -> None:
    """Arguments and constants stay as they are, and nothing of theirs or of a rule is in two places, or is shared."""
    check_laws(arguments, serializer, rules)


@settings(max_examples=60, deadline=None)
@given(sides(), serializers)
def test_law_objects_and_order(arguments: Any, serializer: Any) -> None:
    """What they did not change is the very object of mine; keys stand as theirs do, then those that mine added."""
    base, mine, theirs = arguments
    result = merge(*arguments, encode=serializer.encode).data
    for key in mine.keys() & base.keys() & theirs.keys():
        if serializer.encode(base[key]) == serializer.encode(theirs[key]):
            assert result[key] is mine[key]
    assert list(result) == [key for key in dict.fromkeys((*theirs, *mine)) if key in result]


VALUES: tuple[Any, ...] = (
    *(MISSING, None, 1, True, 0.0, -0.0, "a"),
    *([], [1], [1, [2]], [[2], 1], [1, [2], 1]),
    *({}, {"x": 1}, {"x": [1]}, {"x": {"y": [1]}, "z": 2}),
    *(set(), {1}, {1, 2}, frozenset({1}), ([1],)),
)


@pytest.mark.parametrize("depth", [1, 2])
def test_every_combination_inside_of_dicts(depth: int) -> None:
    """Each value of each side against each other, inside of dicts that both changed, keeps all the laws."""

    def within(value: Any, mark: int) -> dict[str, Any]:
        inside = {"m": mark} if value is MISSING else {"v": copy.deepcopy(value), "m": mark}
        for _ in range(depth):
            inside = {"k": inside, "n": mark}
        return inside

    for before, here, there in itertools.product(VALUES, repeat=3):
        arguments = within(before, 0), within(here, 1), within(there, 2)
        check_laws(arguments, MSGPACK, {})
        result = merge(*arguments, encode=encode)
        expected = merge_oracle.merge(*arguments, encode=encode)
        assert encode(result.data) == encode(expected.data)
        assert result.overwritten == expected.overwritten
        if encode([before] if before is not MISSING else 0) == encode([there] if there is not MISSING else 0):
            place, mine = result.data, arguments[1]
            for _ in range(depth):
                place, mine = place["k"], mine["k"]
            assert place.get("v") is mine.get("v")


def test_nested_order() -> None:
    """Inside of a dict that both changed, the order is theirs, then what mine added."""
    base = {"cart": {"b": 1, "a": 1}}
    mine = {"cart": {"z": 1, "a": 2, "b": 1}}
    theirs = {"cart": {"d": 1, "b": 1, "a": 1, "c": 1}}
    assert list(merge(base, mine, theirs, encode=encode).data["cart"]) == ["d", "b", "a", "c", "z"]
    moved = {"cart": {"a": 1, "b": 1}}
    assert list(merge(base, moved, theirs, encode=encode).data["cart"]) == ["d", "b", "a", "c"]
    assert list(merge(base, {"cart": {"a": 1, "b": 2}}, base, encode=encode).data["cart"]) == ["a", "b"]


def test_a_default_of_the_application_stays_its_own() -> None:
    """A constant that a handler put into its session is not changed by what another request stored there."""
    defaults: dict[str, Any] = {"lang": "en", "recent": []}
    theirs = {"prefs": {"lang": "en", "recent": ["a private matter"]}}
    result = merge({}, {"prefs": defaults}, theirs, encode=encode).data
    assert result == theirs
    result["prefs"]["recent"].append("more")
    assert defaults == {"lang": "en", "recent": []}
    assert theirs == {"prefs": {"lang": "en", "recent": ["a private matter"]}}


def test_values_of_other_classes_merge_as_what_is_stored() -> None:
    """What one request stores as a subclass, or under a number, merges with what another one reads as plain."""
    base = {"user": {"sub": "ann"}, "votes": {"7": [1]}}
    mine = {"user": UserInfo(sub="ann", name="Ann"), "votes": OrderedDict({7: [1, 2]})}
    theirs = {"user": {"sub": "ann", "mail": "a@b"}, "votes": {"7": [1, 3], "8": []}}
    result = merge(base, mine, theirs, encode=encode)
    assert result == Merged({"user": {"sub": "ann", "mail": "a@b", "name": "Ann"}, "votes": {"7": [1, 3, 2], "8": []}})
    assert type(result.data["user"]) is dict
    assert mine == {"user": UserInfo(sub="ann", name="Ann"), "votes": OrderedDict({7: [1, 2]})}
    assert merge(base, mine, base, encode=encode).data["user"] is mine["user"]
    assert merge(base, base, theirs, encode=encode).data == theirs
    unchanged = {"user": UserInfo(sub="ann"), "votes": {7: [1]}}
    assert merge(base, unchanged, theirs, encode=encode).data == theirs


def test_a_serializer_that_keeps_more_is_believed() -> None:
    """Keys that a third party's serializer keeps as numbers stay numbers."""

    def keeps_all(value: Any) -> bytes:
        return repr(value).encode()

    result = merge({"v": {7: 1}}, {"v": {7: 1, 8: 1}}, {"v": {7: 1, 9: 1}}, encode=keeps_all)
    assert result.data == {"v": {7: 1, 9: 1, 8: 1}}


def test_a_rule_that_returns_what_cannot_be_stored_is_told() -> None:
    """The error names the key whose rule it was."""
    rules: dict[str, Rule] = {"k": lambda base, mine, theirs: [object()]}
    with pytest.raises(UnstorableValue) as caught:
        merge({}, {"k": 1}, {"k": 2}, encode=encode, rules=rules)
    assert caught.value.path == "k[0]"


def test_a_rule_may_return_a_subclass() -> None:
    """What a rule returns is in the session as it will be stored."""
    rules: dict[str, Rule] = {"k": lambda base, mine, theirs: OrderedDict({2: mine, 1: theirs})}
    result = merge({}, {"k": [1]}, {"k": [2]}, encode=encode, rules=rules).data
    assert type(result["k"]) is dict
    assert list(result["k"].items()) == [("2", [1]), ("1", [2])]


# Cost


class Counting:
    """An encoding that counts its calls and bytes."""

    def __init__(self) -> None:
        self.calls = self.bytes = 0

    def __call__(self, value: Any) -> bytes:
        data = encode(value)
        self.calls += 1
        self.bytes += len(data)
        return data


def chain(depth: int, bottom: dict[str, Any]) -> dict[str, Any]:
    for _ in range(depth):
        bottom = {"in": bottom, "a": 1.5}
    return {"draft": bottom}


def nodes(value: Any) -> int:
    return 1 + sum(map(nodes, value.values() if type(value) is dict else value if type(value) is list else ()))


@pytest.mark.parametrize("depth", [2, 50, 245])
@pytest.mark.parametrize("bottom", [{"text": "x" * 10_000}, {"rows": [[1.5, "x" * 9]] * 500}, {"s": {*range(900)}}])
def test_cost_is_linear_at_any_depth(depth: int, bottom: dict[str, Any]) -> None:
    """Each byte of each side is encoded twice at most, however deep it lies, and with a call for a leaf at most."""
    counting = Counting()
    arguments = [chain(depth, {**copy.deepcopy(bottom), **extra}) for extra in ({}, {"n1": 1.5}, {"n2": 1.5})]
    result = merge(*arguments, encode=counting)
    assert encode(result.data) == encode(chain(depth, {**bottom, "n1": 1.5, "n2": 1.5}))
    size = sum(len(encode(each)) for each in arguments)
    assert counting.bytes <= 2.2 * size
    members = 3 * len(bottom.get("s", ()))
    assert counting.calls <= sum(map(nodes, arguments)) + members + 9


def test_cost_does_not_grow_with_the_paths_of_long_keys() -> None:
    """Many values that give way, under keys that are long and deep, are named in time: with shortened paths."""
    long = "k" * 100_000
    arguments = [{"d": {long: {f"n{n}": value for n in range(2_000)}}} for value in (1, 2, 3)]
    result = merge(*arguments, encode=encode)
    assert len(result.overwritten) == 2_000
    assert all(len(path) <= 200 for path in result.overwritten)
    assert result.overwritten[7].startswith("d.kkk")
    assert result.overwritten[7].endswith(".n7")


def test_a_large_session_merges_in_a_moment() -> None:
    """A session at its limit of size, deep and changed at its bottom, merges in less CPU than a request may take."""
    text = {"text": "x" * 900_000}
    arguments = [chain(245, {**text, **extra}) for extra in ({}, {"n1": 1}, {"n2": 1})]
    began = time.process_time()
    merge(*arguments, encode=encode)
    assert time.process_time() - began < 1  # takes some 10 ms; level by level it took seconds


# Depth


def deep(bottom: Any) -> Any:
    value = bottom
    for _ in range(DEEP):
        value = {"in": value}
    return value


def by_identity(value: Any) -> bytes:
    """Encode like a serializer without a limit of depth."""
    return str(id(next(iter(value.values())))).encode() if value else b""


def test_depth_without_end_is_an_error_of_ours() -> None:
    """Values nested 100,000 deep, which a serializer let through, are refused; no RecursionError, no crash."""
    base, mine, theirs = ({"k": deep(n)} for n in range(3))
    with pytest.raises(UnstorableValue, match=f"more than {DEEPEST} levels deep") as caught:
        merge(base, mine, theirs, encode=by_identity)
    assert caught.value.path.startswith("k.in.in")
    assert len(caught.value.path) <= 200
    with pytest.raises(UnstorableValue, match="levels deep"):
        merge(base, base, theirs, encode=by_identity)
    with pytest.raises(UnstorableValue, match="levels deep"):
        merge(base, mine, theirs, encode=by_identity, rules={"k": lambda *sides: theirs["k"]})


def test_the_deepest_values_merge() -> None:
    """What a serializer takes at most, one key below the session, merges at its bottom."""
    arguments = [chain(DEEPEST - 2, extra) for extra in ({}, {"n1": 1}, {"n2": 1})]
    result = merge(*arguments, encode=encode)
    assert encode(result.data) == encode(chain(DEEPEST - 2, {"n1": 1, "n2": 1}))
