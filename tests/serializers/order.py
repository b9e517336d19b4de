"""What every serializer of ours promises of the order of dicts."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st

from limpet._wire.record import Contents, pack, same, unpack
from limpet.contract import supports
from limpet.errors import UnstorableValue
from limpet.protocols import InOrder
from tests.serializers.values import OfASerializer
from tests.serializers.values import same as same_value

__all__ = ["OrderContract", "ordered", "shuffled"]

TREE: dict[str, Any] = {
    "tea": 1,
    "milk": {"z": 1, "b": {"y": (1, {"q": 2, "a": {3, 4}})}},
    "bread": [{"b": 1, "a": [{"d": date(2030, 1, 2), "c": UUID(int=3)}]}],
    "": {"$tuple": {"b": 1, "a": 2}},
}
"""Dicts whose keys are sorted nowhere, in every kind of container."""

DEEP = 100_000


def ordered(value: Any) -> Any:
    """Return the value with every dict as a list of pairs, so that order counts in a comparison."""
    if type(value) is dict:
        return [(key, ordered(item)) for key, item in value.items()]
    if type(value) is list or type(value) is tuple:
        return [ordered(item) for item in value]
    return value


def shuffled(value: Any, draw: Any) -> Any:
    """Return an equal value whose dicts have another order."""
    if type(value) is dict:
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    if type(value) is list or type(value) is tuple:
        return type(value)(shuffled(item, draw) for item in value)
    return value


class OrderContract(OfASerializer):
    """Part of the contract of our serializers, see `SerializerContract`."""

    def test_the_power_is_found(self) -> None:
        """The serializer is seen to keep order."""
        assert supports(self.serializer, InOrder)

    def packed(self, data: dict[str, Any]) -> bytes:
        """Return the payload of a session with this data."""
        return pack(Contents(1, data), self.serializer)

    def test_order_is_kept(self) -> None:
        """Dicts come back in the order in which they were written, at every depth and in every container."""
        back = self.serializer.decode(self.serializer.encode_in_order(TREE))
        assert same_value(back, TREE)
        assert ordered(back) == ordered(TREE)

    def test_a_payload_keeps_order_and_its_checksum(self) -> None:
        """A payload holds the data in order, under a checksum that fits."""
        contents = unpack(pack(Contents(1, TREE), self.serializer), self.serializer)
        assert ordered(contents.data) == ordered(TREE)

    def check_another_order(self, value: Any, data: st.DataObject) -> None:
        """Check that equal contents in another order have equal canonical bytes, and are the same."""
        other = shuffled(value, data.draw)
        assert self.serializer.encode(value) == self.serializer.encode(other)
        left, right = self.packed({"k": value}), self.packed({"k": other})
        assert same(left, right, self.serializer)
        assert ordered(self.serializer.decode(self.serializer.encode_in_order(other))) == ordered(other)

    def check_same(self, left: Any, right: Any, data: st.DataObject) -> None:
        """Check that two payloads are the same exactly if the canonical bytes of their contents are equal."""
        if data.draw(st.booleans()):  # as long and of the same bytes, where chance would not find it
            text = data.draw(st.text("ab", min_size=2, max_size=4))
            left, right = {"x": text, "y": [left]}, {"x": text[::-1], "y": [left]}
        expected = self.serializer.encode(left) == self.serializer.encode(right)
        assert same(self.packed({"k": left}), self.packed({"k": right}), self.serializer) is expected

    def test_swapped_values_are_a_change(self) -> None:
        """The same bytes in another place, which no length and no sum tells, are found to be a change."""
        left, right = ({"a": first, "b": 3 - first} for first in (1, 2))
        first, second = self.packed(left), self.packed(right)
        assert len(first) == len(second)
        assert sum(first[5:]) == sum(second[5:])
        assert not same(first, second, self.serializer)

    def test_facts_in_any_order_are_the_same(self) -> None:
        """What a session says beside its data is no change either, in whatever order it was noted."""
        early = Contents(1, {"a": 1}, authenticated=2, tags={"x": "y"}, renewed=3)
        late = Contents(1, {"a": 1})
        late.renewed, late.tags, late.authenticated = 3, {"x": "y"}, 2
        assert same(pack(early, self.serializer), pack(late, self.serializer), self.serializer)

    def test_order_is_refused_nothing(self) -> None:
        """What cannot be stored is refused in the same words as by the canonical encoding."""
        said = []
        for encode in (self.serializer.encode, self.serializer.encode_in_order):
            with pytest.raises(UnstorableValue) as caught:
                encode({"a": {"b": [1, object()]}})
            said.append(str(caught.value))
        assert said[0] == said[1]
        assert "a.b[1]" in said[0]

    @pytest.mark.parametrize("kind", [list, dict, tuple])
    def test_depth_without_end_is_an_error_of_ours(self, kind: type) -> None:
        """A value that a handler nested 100,000 deep is refused; no RecursionError, no crash."""
        value: Any = kind()
        for _ in range(DEEP):
            value = {"a": value} if kind is dict else kind([value])
        for encode in (self.serializer.encode, self.serializer.encode_in_order):
            with pytest.raises(UnstorableValue, match="levels deep") as caught:
                encode({"k": value})
            assert caught.value.path.startswith("k")

    def test_a_stack_that_is_nearly_used_up_is_an_error_of_ours(self) -> None:
        """Deep inside the calls of an application, a value is encoded or refused, and nothing else happens."""
        value: Any = (1, {2})
        for level in range(90):
            value = {level: value}  # the key makes it the slow way
        outcomes: set[str] = set()

        def inside(calls: int) -> None:
            if calls:
                inside(calls - 1)
                return
            try:
                self.serializer.encode(value)
                outcomes.add("encoded")
            except UnstorableValue:
                outcomes.add("refused")

        frames = 0
        frame = sys._getframe()
        while frame.f_back is not None:
            frame, frames = frame.f_back, frames + 1
        limit = sys.getrecursionlimit()
        for left in (400, 120, 60, 30):
            inside(limit - frames - left)
        assert outcomes == {"encoded", "refused"}
