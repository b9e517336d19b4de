"""What every serializer promises; a subclass names the serializer."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import ormsgpack
import pytest

from limpet._wire.record import Contents, CorruptPayload, pack, unpack
from limpet.errors import UnstorableValue
from tests.serializers.values import OfASerializer, same

__all__ = ["SerializerContract"]


class Colour(enum.Enum):
    RED = "red"


class Day(datetime, enum.Enum):
    FIRST = (2030, 1, 2)


class Moment(datetime): ...


class Tags(set[str]): ...


class Blob(bytes): ...


@dataclasses.dataclass
class Item:
    price: int = 1


class Zone(tzinfo):
    """A time zone of somebody else's library."""

    def utcoffset(self, value: datetime | None, /) -> timedelta | None:
        return timedelta(minutes=37)

    def dst(self, value: datetime | None, /) -> None:
        return None

    def tzname(self, value: datetime | None, /) -> None:
        return None


class Lost(Zone):
    """A time zone that does not know its offset."""

    def utcoffset(self, value: datetime | None, /) -> timedelta | None:
        return None


class Broken(Zone):
    """A time zone whose code fails."""

    def utcoffset(self, value: datetime | None, /) -> timedelta | None:
        raise LookupError("no such zone")


def nested(levels: int, kind: Any = list) -> Any:
    value: Any = kind()
    for _ in range(levels - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value


def cycle() -> list[Any]:
    value: list[Any] = [1]
    value.append([value, value])
    return value


NEWFOUNDLAND = timezone(timedelta(hours=-3, minutes=-30))
SLIVERS = [
    timezone(sign * timedelta(hours=hours, seconds=seconds, microseconds=microseconds))
    for sign in (1, -1)
    for hours, seconds, microseconds in ((0, 0, 1), (0, 0, 999_999), (0, 1, 1), (1, 0, 7), (23, 3599, 999_999))
]
PARIS = ZoneInfo("Europe/Paris")
FOLDED = datetime(2030, 10, 27, 2, 30, tzinfo=PARIS, fold=1)

KEPT: dict[str, Any] = {
    "none": None,
    "bools beside ints": [True, 1, False, 0],
    "floats beside ints": [1.0, 1, -0.0, 0.0, 1e22, 5e-324],
    "64 bits and more": [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 2**1024, -(2**1024), 10**5000],
    "text": ["", "ÄĄđ Ж 中 \U0001f600", "\x00\x7f\u2028", '"\\'],
    "bytes": [b"", bytes(range(256)), b"\x7f" * 300],
    "datetimes": [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(2030, 1, 2, fold=1)],
    "aware datetimes": [datetime(2030, 1, 2, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=NEWFOUNDLAND)],
    "offsets to the microsecond": [datetime(2030, 1, 2, 3, 4, 5, 6, zone) for zone in SLIVERS]
    + [time(3, 4, 5, tzinfo=zone, fold=1) for zone in SLIVERS],
    "zones": [FOLDED, FOLDED.replace(fold=0), datetime(1, 1, 1, tzinfo=PARIS), FOLDED.astimezone(ZoneInfo("UTC"))],
    "dates": [date.min, date.max, date(2030, 1, 2)],
    "times": [time(), time.max, time(2, 30, fold=1), time(2, tzinfo=UTC), time(2, tzinfo=PARIS, fold=1)],
    "timedeltas": [timedelta(), timedelta.min, timedelta.max, timedelta(microseconds=-1)],
    "uuid": UUID(int=5),
    "decimals": [Decimal("1.50"), Decimal("-0"), Decimal("1E+400"), Decimal("Infinity")],
    "tuples": [(), (1,), ((), [(2,)]), {"a": (1, {"b": (2,)})}],
    "sets": [set(), {1, "a", None, (1, (2,))}, frozenset({frozenset({b"x"}), UUID(int=1)})],
    "dicts": {"": 1, "a.b": {}, "$set": [1], "deep": {"$tuple": [1]}, "deeper": {"$$tuple": {"$x": None}}},
    "marks": [127, b"t", [127, "t"], {"$dict": 1}],
    "the same object twice": [FOLDED, FOLDED],
}  # fmt: skip

REFUSED: dict[str, tuple[Any, str]] = {
    "Enum": (Colour.RED, "store its .value"),
    "Enum of datetimes": (Day.FIRST, "store its .value"),
    "bytearray": (bytearray(b"x"), "come back as bytes"),
    "memoryview": (memoryview(b"x"), "come back as bytes"),
    "strided memoryview": (memoryview(b"abcd")[::2], "come back as bytes"),
    "dataclass": (Item(), "dataclasses.asdict"),
    "class of dataclasses": (Item, "type has no stored form"),
    "complex": (1j, "complex has no stored form"),
    "object": (object(), "object has no stored form"),
    "function": (len, "has no stored form"),
    "datetime subclass": (Moment(2030, 1, 2), "subclass of datetime"),
    "set subclass": (Tags({"a"}), "subclass of set"),
    "bytes subclass": (Blob(b"a"), "subclass of bytes"),
    "tuple key": ({(1, 2): 3}, "key of type tuple"),
    "bytes key": ({b"x": 3}, "key of type bytes"),
    "Enum key": ({Colour.RED: 3}, "key of type"),
    "NaN key": ({math.nan: 3}, "key that is NaN"),
    "int key of many digits": ({10**5000: 3}, "more digits"),
    "two keys of one text": ({"7": 1, 7: 2}, "two of its keys would both become '7'"),
    "surrogate": ("\ud800", "lone surrogate"),
    "surrogate in a key": ({"\udfff": 1}, "lone surrogate"),
    "Ext": (ormsgpack.Ext(1, b"x"), "has no stored form"),
    "cycle": (cycle(), "contains itself"),
    "too deep": (nested(5000), "levels deep"),
    "too deep, dicts": (nested(400, dict), "levels deep"),
    "too deep, tuples": (nested(400, tuple), "levels deep"),
    "too deep, sets": (nested(120, frozenset), "levels deep"),
    "datetime without offset": (datetime(2030, 1, 2, tzinfo=Lost()), "gives no offset"),
    "time without offset": (time(2, tzinfo=Lost()), "gives no offset"),
    "broken time zone": (datetime(2030, 1, 2, tzinfo=Broken()), "LookupError"),
    "timezone": (UTC, "has no stored form"),
}

_PRINT_ENCODED = """
import sys
from datetime import datetime
from uuid import UUID
from {module} import {name}
words = [f"word{{n}}" for n in range(40)]
deep = frozenset({{(word, frozenset(words)) for word in words}})
value = {{"tags": set(words), "deep": [deep], "a": UUID(int=3), "n": {{1, None, b"x"}}}}
sys.stdout.write({name}().encode(value).hex())
"""


class SerializerContract(OfASerializer):
    """Subclass it, set `serializer` and `max_depth`, and run the checks at its end on generated values."""

    def test_format_is_one_byte(self) -> None:
        """The format is named by exactly one byte."""
        assert type(self.serializer.format) is bytes
        assert len(self.serializer.format) == 1

    @pytest.mark.parametrize("name", KEPT)
    def test_keeps(self, name: str) -> None:
        """A storable value comes back equal and with its types, wherever it stands."""
        value = KEPT[name]
        for document in (value, [value], {"a": {"b": value}}, (value,)):
            assert same(self.serializer.decode(self.serializer.encode(document)), document)

    @pytest.mark.parametrize("name", REFUSED)
    def test_refuses_with_path(self, name: str) -> None:
        """What would come back as something else is refused, and the error says where it is and what to do."""
        value, problem = REFUSED[name]
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"a": 1, "cart": [1, "\u0142", b"x", {"price": value}]})
        assert caught.value.path.startswith("cart[3].price")
        assert problem in caught.value.problem
        if "deep" not in name and name != "cycle":
            assert caught.value.path == "cart[3].price"

    @pytest.mark.parametrize("name", [name for name in REFUSED if "key" not in name])
    def test_refuses_inside_a_tuple(self, name: str) -> None:
        """A tuple hides nothing that would be refused outside of it."""
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"a": ([], (REFUSED[name][0],))})
        assert caught.value.path.startswith("a[1][0]")

    @pytest.mark.parametrize("value", [memoryview(b"x"), 1j, Colour.RED, Blob(b"x"), (Day.FIRST,)])
    def test_refuses_inside_a_set(self, value: object) -> None:
        """A set hides nothing that would be refused outside of it."""
        for container in ({value}, frozenset({value}), {(1, value)}):
            with pytest.raises(UnstorableValue) as caught:
                self.serializer.encode({"tags": container})
            assert caught.value.path.startswith("tags{}")

    @pytest.mark.parametrize("value", [object(), bytearray(b"x"), "\ud800"])
    def test_refuses_the_root(self, value: object) -> None:
        """A value that stands alone is refused as well, under a path that says so."""
        with pytest.raises(UnstorableValue, match=r"\(the whole value\)"):
            self.serializer.encode(value)

    def test_error_never_shows_the_value(self) -> None:
        """An error names where a value is, and never the value."""
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"token": Blob(b"hunter2")})
        assert "hunter2" not in str(caught.value)

    def test_record_drops_its_own_part_of_the_path(self) -> None:
        """The path that a handler sees begins with the handler's own key."""
        with pytest.raises(UnstorableValue) as caught:
            pack(Contents(1, {"data": [{"price": 1j}]}), self.serializer)
        assert caught.value.path == "data[0].price"

    @pytest.mark.parametrize("kind", [list, dict, tuple])
    def test_depth_limit_is_exact(self, kind: type) -> None:
        """The deepest value that is accepted comes back; one level more is refused."""
        deepest = nested(self.max_depth, kind)
        assert self.serializer.decode(self.serializer.encode(deepest)) == deepest
        with pytest.raises(UnstorableValue, match=f"more than {self.max_depth} levels"):
            self.serializer.encode(nested(self.max_depth + 1, kind))

    def test_order_does_not_count(self) -> None:
        """Equal dicts and sets have equal bytes, however they came about."""
        words = [f"word{number}" for number in range(100)]
        shrunk = {*range(1000), *words} - {*range(1000)}  # another history, so another order inside
        left = {"a": 1, "b": {"x": set(words), "y": 2}}
        right = {"b": {"y": 2, "x": shrunk}, "a": 1}
        assert self.serializer.encode(left) == self.serializer.encode(right)

    def test_types_count(self) -> None:
        """Values that only compare equal have different bytes."""
        kinds: list[Any] = [
            1,
            True,
            1.0,
            "1",
            b"1",
            Decimal(1),
            [1],
            (1,),
            {1},
            frozenset({1}),
            datetime(2030, 1, 1),
            date(2030, 1, 1),
        ]
        assert len({self.serializer.encode(value) for value in kinds}) == len(kinds)

    def test_encoding_changes_nothing(self) -> None:
        """The value that is encoded stays as it is."""
        value: dict[str, Any] = {"$a": [(1, {"$tuple": 2}), {3}]}
        self.serializer.encode(value)
        assert value == {"$a": [(1, {"$tuple": 2}), {3}]}

    def test_other_time_zones_keep_the_offset(self) -> None:
        """A time zone of another library is kept as its offset: the same moment and the same local time."""
        value = datetime(2030, 1, 2, 3, tzinfo=Zone())
        result = self.serializer.decode(self.serializer.encode(value))
        assert result == value
        assert result.replace(tzinfo=None) == value.replace(tzinfo=None)

    def test_canonical_across_processes(self) -> None:
        """Every process writes the same bytes, whatever the seed of its hashes."""
        kind = type(self.serializer)
        program = _PRINT_ENCODED.format(module=kind.__module__, name=kind.__name__)
        written = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("0", "1", "4242")
        }
        assert len(written) == 1
        assert len(written.pop()) > 1000

    def test_damaged_payload_is_corrupt(self) -> None:
        """A record tells damage by its checksum before anything is decoded."""
        payload = pack(Contents(1, {"a": (1, 2)}), self.serializer)
        assert unpack(payload, self.serializer).data == {"a": (1, 2)}
        for index in range(len(payload)):
            damaged = bytearray(payload)
            damaged[index] ^= 1
            with pytest.raises(CorruptPayload):
                unpack(bytes(damaged), self.serializer)

    def check_comes_back(self, value: object) -> None:
        """Check that a value comes back with its types, and encodes to the same bytes again."""
        encoded = self.serializer.encode(value)
        result = self.serializer.decode(encoded)
        assert same(result, value)
        assert self.serializer.encode(result) == encoded

    def check_damage(self, value: object, places: list[tuple[int, int]]) -> None:
        """Check that changing some bytes, and cutting the rest off, leads to nothing worse than ValueError."""
        damaged = bytearray(self.serializer.encode(value))
        for place, byte in places:
            damaged[place % len(damaged)] = byte
        self.check_decodes(bytes(damaged))
        self.check_decodes(bytes(damaged[: places[0][0] % len(damaged)]))

    def check_decodes(self, data: bytes) -> None:
        """Check that decoding gives a value or ValueError and nothing else."""
        with contextlib.suppress(ValueError):
            self.serializer.decode(data)
