"""JSON keeps what the contract says, is strict in both directions, and stays readable."""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limpet.serializers
from limpet.errors import UnstorableValue
from limpet.serializers import JSONSerializer
from limpet.serializers.json import MAX_DEPTH
from tests.serializers.contract import SerializerContract
from tests.serializers.order import OrderContract
from tests.serializers.taken import TakenContract, mixtures
from tests.serializers.values import damage, values

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no UTF-8": b'"\xff"',
    "no JSON": b"{'a': 1}",
    "trailing text": b"1 2",
    "20,000 arrays": b"[" * 20_000 + b"]" * 20_000,
    "20,000 objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "20,000 tuples": b'{"$tuple":[' * 20_000 + b"]}" * 20_000,
    "a key twice": b'{"a":1,"a":2}',
    "a key twice, deep inside": b'[{"b":{"a":1,"c":2,"a":1}}]',
    "NaN": b"NaN",
    "Infinity": b"[Infinity]",
    "-Infinity": b'{"a":-Infinity}',
    "a float out of range": b"1e999",
    "more digits than Python reads": b"1" * 5000,
    "unknown tag": b'{"$pickle":"gASVAAAA"}',
    "only a dollar sign": b'{"$":1}',
    "the wrong content": b'{"$tuple":"abc"}',
    "a number as a Decimal": b'{"$decimal":1.5}',
    "a bool as a timedelta": b'{"$timedelta":true}',
    "no base64": b'{"$bytes":"???"}',
    "no datetime": b'{"$datetime":"yesterday"}',
    "no date": b'{"$date":"2030-13-01"}',
    "no time": b'{"$time":"25:00"}',
    "a time of an unknown zone": b'{"$time":"02:00:00[No/Where]"}',
    "no UUID": b'{"$uuid":"x"}',
    "no Decimal": b'{"$decimal":"one"}',
    "no hexadecimal": b'{"$int":"0xg"}',
    "a timedelta out of range": b'{"$timedelta":99999999999999999999999}',
    "a list in a set": b'{"$set":[[]]}',
    "a dict in a frozenset": b'{"$frozenset":[{}]}',
}


class TestJSON(SerializerContract, OrderContract, TakenContract):
    serializer = JSONSerializer()
    max_depth = MAX_DEPTH

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_bytes_are_a_value_error(self, name: str) -> None:
        """Bytes that no session was written as raise ValueError, never another exception."""
        with pytest.raises(ValueError):
            self.serializer.decode(HOSTILE[name])

    @settings(max_examples=150, deadline=None)
    @given(values())
    def test_every_value_comes_back(self, value: object) -> None:
        """What is accepted comes back equal, with its types, and encodes to the same bytes again."""
        self.check_comes_back(value)

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=60) | st.text('[]{}"$:,0123456789eE.-atupleNn\\', max_size=30).map(str.encode))
    def test_any_bytes_are_a_value_or_a_value_error(self, data: bytes) -> None:
        """Decoding junk gives a value or ValueError and nothing else."""
        self.check_decodes(data)

    @settings(max_examples=100, deadline=None)
    @given(values(), st.data())
    def test_another_order_is_no_change(self, value: object, data: st.DataObject) -> None:
        """Equal contents in another order are the same, and each order comes back."""
        self.check_another_order(value, data)

    @settings(max_examples=150, deadline=None)
    @given(values(), values(), st.data())
    def test_same_is_what_canonical_bytes_say(self, left: object, right: object, data: st.DataObject) -> None:
        """Two payloads are the same exactly if their contents are equal."""
        self.check_same(left, right, data)

    @settings(max_examples=100, deadline=None)
    @given(mixtures)
    def test_any_mixture_comes_back(self, value: object) -> None:
        """A tree of subclasses and odd keys is stored like the plain tree that comes back."""
        self.check_mixture(value)

    @settings(max_examples=100, deadline=None)
    @given(values(), damage)
    def test_damaged_bytes_are_a_value_or_a_value_error(self, value: object, places: list[tuple[int, int]]) -> None:
        """Decoding damaged bytes gives a value or ValueError and nothing else."""
        self.check_damage(value, places)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_not_a_number_is_refused(self, value: float) -> None:
        """JSON has no NaN and no infinity: they are refused, also inside of a set."""
        for document in ({"score": value}, {"score": {value}}):
            with pytest.raises(UnstorableValue, match="NaN and the infinities") as caught:
                self.serializer.encode(document)
            assert caught.value.path.startswith("score")

    def test_output_is_compact_readable_json(self) -> None:
        """Other tools read it: plain JSON, no spaces, text as text; sorted to compare, in order to keep."""
        value = {"name": "Łukasz", "at": datetime(2030, 1, 2, tzinfo=ZoneInfo("Europe/Paris")), "n": [1, 2.5, None]}
        encoded = self.serializer.encode(value)
        assert encoded.decode() == (
            '{"at":{"$datetime":"2030-01-02T00:00:00+01:00[Europe/Paris]"},"n":[1,2.5,null],"name":"Łukasz"}'
        )
        assert json.loads(encoded)["n"] == [1, 2.5, None]
        assert list(json.loads(self.serializer.encode_in_order(value))) == ["name", "at", "n"]

    def test_tags_are_named_after_the_types(self) -> None:
        """What JSON lacks is an object with one key that names the type."""
        value = [(1,), {2}, UUID(int=0), Decimal("1.50"), b"x"]
        assert self.serializer.encode(value).decode() == (
            '[{"$tuple":[1]},{"$set":[2]},{"$uuid":"00000000-0000-0000-0000-000000000000"},'
            '{"$decimal":"1.50"},{"$bytes":"eA=="}]'
        )

    @pytest.mark.parametrize("key", ["$tuple", "$$tuple", "$", "$$", "$anything"])
    def test_dict_that_looks_like_a_tag_survives(self, key: str) -> None:
        """A dict of the application is never taken for a tag."""
        for value in ({key: [1]}, {key: {key: [(1,)]}}, {key: 1, "b": 2}, ({key: {1}},)):
            assert self.serializer.decode(self.serializer.encode(value)) == value


def test_names_are_found_on_first_use() -> None:
    """The package gives its serializers by name, and nothing else."""
    assert set(limpet.serializers.__all__) <= set(dir(limpet.serializers))
    with pytest.raises(AttributeError, match="PickleSerializer"):
        getattr(limpet.serializers, "PickleSerializer")  # noqa: B009  # a type checker knows that it is not there
