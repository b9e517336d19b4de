"""MessagePack keeps what the contract says, survives hostile bytes, and is imported late."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable

import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet.errors import UnstorableValue
from limpet.serializers import MsgpackSerializer
from limpet.serializers.msgpack import MAX_DEPTH
from tests.serializers.contract import SerializerContract, nested
from tests.serializers.order import OrderContract
from tests.serializers.taken import TakenContract, mixtures
from tests.serializers.values import damage, same, values


def extension(code: int, data: bytes) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, data))


MARK = extension(127, b"t")

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "reserved byte": b"\xc1",
    "20,000 levels": b"\x91" * 20_000 + b"\xc0",
    "1,000 levels with a mark": b"\x91" * 1000 + MARK,
    "20,000 marked levels": (b"\x92" + MARK) * 20_000 + b"\xc0",
    "an array of 4 billion": b"\xdd\xff\xff\xff\xff",
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "int key": b"\x81\x01\x01",
    "no UTF-8": b"\xa1\xff",
    "unknown extension": extension(99, b"x"),
    "timestamp extension": b"\xd6\xff\0\0\0\1",
    "no datetime": extension(1, b"yesterday"),
    "no UTF-8 in a datetime": extension(1, b"\xff"),
    "a zone without an offset": extension(1, b"2030-01-01T00:00:00[No/Where]"),
    "a zone outside of the database": extension(1, b"2030-01-01T00:00:00+00:00[../../etc/passwd]"),
    "no date": extension(2, b"2030-13-01"),
    "no time": extension(3, b"25:00"),
    "a time of an unknown zone": extension(3, b"02:00:00[No/Where]"),
    "a timedelta out of range": extension(4, b"\x7f" * 20),
    "a short UUID": extension(5, b"x"),
    "no Decimal": extension(6, b"one"),
    "a Decimal out of range": extension(6, b"1E+99999999999999999999"),
    "a mark alone": MARK,
    "a mark of no kind": b"\x91" + extension(127, b"x"),
    "a mark in second place": b"\x92\x01" + MARK,
    "two marks": b"\x92" + MARK + MARK,
    "a mark in a dict": b"\x81\xa1a" + MARK,
    "a list in a set": b"\x92" + extension(127, b"s") + b"\x90",
    "a mark with a long head": b"\xc8\x00\x01\x7ft",
}


class TestMsgpack(SerializerContract, OrderContract, TakenContract):
    serializer = MsgpackSerializer()
    max_depth = MAX_DEPTH

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_bytes_are_a_value_error(self, name: str) -> None:
        """Bytes that no session was written as raise ValueError, never another exception."""
        with pytest.raises(ValueError):
            self.serializer.decode(HOSTILE[name])

    def test_not_a_number_is_kept(self) -> None:
        """MessagePack has NaN and the infinities, so they are kept."""
        nan, *infinities = self.serializer.decode(self.serializer.encode([math.nan, math.inf, -math.inf]))
        assert math.isnan(nan)
        assert infinities == [math.inf, -math.inf]

    @settings(max_examples=150, deadline=None)
    @given(values(not_a_number=True))
    def test_every_value_comes_back(self, value: object) -> None:
        """What is accepted comes back equal, with its types, and encodes to the same bytes again."""
        self.check_comes_back(value)

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=60))
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

    def test_unknown_zone_keeps_the_moment(self) -> None:
        """Where the zone is not known, the offset is kept in its place."""
        value = self.serializer.decode(extension(1, b"2030-01-01T12:00:00+05:45[No/Where]~"))
        assert value.isoformat() == "2030-01-01T12:00:00+05:45"
        assert value.fold == 1

    def test_sets_nest_sixteen_levels(self) -> None:
        """Sets nest sixteen levels deep, and one level more is refused with a sentence that says so."""
        deepest = nested(16, frozenset)
        assert self.serializer.decode(self.serializer.encode([deepest])) == [deepest]
        with pytest.raises(UnstorableValue, match="more than 16 levels"):
            self.serializer.encode([frozenset({deepest})])

    def test_worst_nesting_fits_a_small_stack(self) -> None:
        """The deepest accepted value, and the deepest hostile one, need less than 1 MiB of C stack."""
        value = nested(16, frozenset)
        for _ in range(MAX_DEPTH - 1):
            value = {"a": value}
        hostile = (b"\x92" + MARK) * 20_000
        results: list[object] = []

        def run() -> None:
            results.append(self.serializer.decode(self.serializer.encode(value)) == value)
            try:
                self.serializer.decode(hostile)
            except ValueError as error:
                results.append(error)

        before = threading.stack_size(1024 * 1024)
        try:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        assert results[0] is True
        assert isinstance(results[1], ValueError)

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 8, 16, 300, 70_000])
    @pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: ormsgpack.Ext(1, data)])
    def test_what_the_encoder_takes_silently_is_refused(self, kind: Callable[[bytes], object], size: int) -> None:
        """What ormsgpack writes without asking is refused at every length, each of which has another first byte."""
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"k": kind(b"x" * size)})
        assert caught.value.path == "k"

    @pytest.mark.parametrize(
        "times",
        [
            (),
            ("created",),
            ("authenticated",),
            ("authenticated", "created"),
            ("created", "authenticated"),
            ("a", "created"),
        ],
    )
    @pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: ormsgpack.Ext(1, data)])
    def test_and_behind_numbers_that_look_like_it(
        self, kind: Callable[[bytes], object], times: tuple[str, ...]
    ) -> None:
        """The times that a session begins with hide nothing that comes after them, on the first level or below."""
        numbers = dict.fromkeys(times, 0xC4C5_C6C7_C8C9_D4D5)
        for path, rest in {"z": {"z": kind(b"x")}, "data.z": {"data": {"z": kind(b"x")}, "ends": 1}}.items():
            for encode in (self.serializer.encode, self.serializer.encode_in_order):
                with pytest.raises(UnstorableValue) as caught:
                    encode({**numbers, **rest})
                assert caught.value.path == path
        assert same(self.serializer.decode(self.serializer.encode(numbers)), numbers)

    @pytest.mark.parametrize("size", [0, 1, 255, 256, 65_536])
    def test_bytes_of_every_length_are_kept(self, size: int) -> None:
        """Bytes come back as bytes, whatever their length."""
        assert same(self.serializer.decode(self.serializer.encode({"k": b"x" * size})), {"k": b"x" * size})

    def test_imported_on_first_use(self) -> None:
        """Neither the serializer's module nor its construction imports ormsgpack; encoding does."""
        program = (
            "import sys; from limpet.serializers import MsgpackSerializer; s = MsgpackSerializer();"
            "assert 'ormsgpack' not in sys.modules; s.encode(1); assert 'ormsgpack' in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_decoding_can_come_first(self) -> None:
        """A serializer that has encoded nothing yet decodes."""
        assert MsgpackSerializer().decode(b"\x93" + MARK + b"\x01\x02") == (1, 2)
