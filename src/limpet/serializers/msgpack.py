"""The default serializer: MessagePack through ``ormsgpack``, with extension types for what MessagePack lacks.

Extension codes (a number once given is never given again):

====  =============================================================================
1     datetime: ISO 8601 text, zone key in brackets, ``~`` for fold
2     date: ISO 8601 text
3     time: as datetime
4     timedelta: microseconds, as code 7
5     UUID: 16 bytes
6     Decimal: its text
7     int outside of 64 bits: two's complement, big-endian
8     Markup of markupsafe: its text
127   the first element of an array that is none: ``t`` tuple, ``s`` set, ``f`` frozenset
====  =============================================================================

Marking the array, instead of wrapping it in an extension, leaves all nesting to one call of the C encoder or
decoder, whose limit of depth (255 containers for encoding) then holds for the whole value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from limpet._native import caused, mypyc_attr
from limpet._storable import DEEPEST, ROOT, is_markup, is_storable, markup_of
from limpet.errors import UnstorableValue
from limpet.serializers._times import (
    datetime_from_text,
    datetime_to_text,
    time_from_text,
    time_to_text,
    timedelta_from_microseconds,
    timedelta_to_microseconds,
)
from limpet.serializers._values import Limits, is_nested_at_most, plain

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MAX_DEPTH", "MsgpackSerializer"]

MAX_DEPTH: Final = DEEPEST
"""How many containers may stand inside each other: the limit of ``ormsgpack``, met again in the decoder."""

_MARK: Final = 127
_MARKUP: Final = 8
_BINARY: Final = bytes(0xFF if 0xC4 <= byte <= 0xC9 or 0xD4 <= byte <= 0xD8 else 0 for byte in range(256))
"""Maps the bytes that binary data (0xc4-0xc6) and extensions (0xc7-0xc9, 0xd4-0xd8) begin with to 0xff."""
_TIMES: Final = (b"\xadauthenticated\xcf", b"\xa7created\xcf")
"""What a small dict begins with whose first keys are 64-bit times: their bytes may look like anything, for hours."""
_LIMITS: Final = Limits(depth=MAX_DEPTH, set_depth=16, not_a_number=True)
"""Members of a set are encoded one by one, each set inside of a set by one more call on the C stack: hence 16."""


class _Marker(NamedTuple):
    """Stands first in a decoded array and says what the array is."""

    build: Callable[[list[Any]], Any]


def _int_to_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)


def _int_from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


_TO_BYTES: Final[dict[type, tuple[int, Callable[[Any], bytes]]]] = {
    datetime: (1, lambda value: datetime_to_text(value).encode()),
    date: (2, lambda value: value.isoformat().encode()),
    time: (3, lambda value: time_to_text(value).encode()),
    timedelta: (4, lambda value: _int_to_bytes(timedelta_to_microseconds(value))),
    UUID: (5, lambda value: value.bytes),
    Decimal: (6, lambda value: str(value).encode()),
    int: (7, _int_to_bytes),
}

_FROM_BYTES: Final[dict[int, Callable[[bytes], Any]]] = {
    1: lambda data: datetime_from_text(data.decode()),
    2: lambda data: date.fromisoformat(data.decode()),
    3: lambda data: time_from_text(data.decode()),
    4: lambda data: timedelta_from_microseconds(_int_from_bytes(data)),
    5: lambda data: UUID(bytes=data),
    6: lambda data: Decimal(data.decode()),
    7: _int_from_bytes,
    _MARKUP: lambda data: markup_of(data.decode()),
    _MARK: {b"t": _Marker(tuple), b"s": _Marker(set), b"f": _Marker(frozenset)}.__getitem__,
}


def _decode_extension(code: int, data: bytes) -> Any:
    return _FROM_BYTES[code](data)


_HOOK: Final = _decode_extension


@mypyc_attr(allow_interpreted_subclasses=True)
class MsgpackSerializer:
    """Keeps session values as MessagePack.

    The zone key of a ``zoneinfo`` time zone is kept; every other kind of time zone is kept as its offset. NaN and the
    infinities are kept. `limpet._storable` lists what is taken as its base type.
    """

    __slots__ = ("_default", "_ordered", "_packb", "_sorted", "_unpackb")

    format: bytes = b"M"
    """The first byte of every payload in this format."""

    def __init__(self) -> None:
        self._packb: Callable[..., bytes] | None = None
        self._unpackb: Callable[..., Any] | None = None
        self._default: Callable[[Any], Any] | None = None
        self._sorted = self._ordered = 0

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of one value: equal values have equal bytes, the keys of dicts are sorted.

        Raises:
            UnstorableValue: It would not come back as it went in, or is nested more than `MAX_DEPTH` levels deep.
        """
        packb = self._packb or self._bind()[0]
        try:
            data = packb(value, self._default, self._sorted)
        except TypeError as error:
            return self._as_plain(value, self._sorted, error)
        found = data.translate(_BINARY)
        if 0xFF in found:
            _inspect(value, data, found)
        return data

    def encode_in_order(self, value: Any) -> bytes:
        """Return bytes that keep the order of dicts.

        Raises:
            UnstorableValue: As for `encode`.
        """
        packb = self._packb or self._bind()[0]
        try:
            data = packb(value, self._default, self._ordered)
        except TypeError as error:
            return self._as_plain(value, self._ordered, error)
        found = data.translate(_BINARY)
        if 0xFF in found:
            _inspect(value, data, found)
        return data

    def _as_plain(self, value: Any, options: int, error: TypeError) -> bytes:
        """Return the bytes of a value that ormsgpack has refused, with every part as its base type."""
        value = plain(value, _LIMITS)  # raises for what has none
        packb = self._packb or self._bind()[0]
        try:
            return packb(value, self._default, options)
        except TypeError:
            raise caused(UnstorableValue(ROOT, str(error)), error) from error

    def decode(self, data: bytes) -> Any:
        """Return the value of these bytes.

        Raises:
            ValueError: They are not what `encode` writes.
        """
        unpackb = self._unpackb or self._bind()[1]
        value = unpackb(data, ext_hook=_HOOK)
        if _MARK in data:  # an array may be marked
            return _revive_root(value)
        return value

    def _bind(self) -> tuple[Callable[..., bytes], Callable[..., Any]]:
        import ormsgpack  # 26 ms of CPU, for those who have a session to read

        self._ordered = (
            ormsgpack.OPT_PASSTHROUGH_BIG_INT
            | ormsgpack.OPT_PASSTHROUGH_DATACLASS
            | ormsgpack.OPT_PASSTHROUGH_DATETIME
            | ormsgpack.OPT_PASSTHROUGH_ENUM
            | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
            | ormsgpack.OPT_PASSTHROUGH_TUPLE
            | ormsgpack.OPT_PASSTHROUGH_UUID
        )
        self._sorted = self._ordered | ormsgpack.OPT_SORT_KEYS
        self._default = _default(ormsgpack, self._ordered)
        self._unpackb = ormsgpack.unpackb
        self._packb = ormsgpack.packb  # last, because another thread takes it as the sign that all is bound
        return ormsgpack.packb, ormsgpack.unpackb


def _inspect(value: Any, data: bytes, found: bytes) -> None:
    """Look for what ormsgpack writes without asking the hook: bytearray, memoryview and its own Ext.

    Args:
        value: What was encoded.
        data: Its bytes.
        found: The same after `_BINARY`: none of them can be there unless there is a 0xff.

    Raises:
        UnstorableValue: There is one.
    """
    at = 1 if data[0] & 0xF0 == 0x80 else 0
    for name in _TIMES if at else ():
        at += len(name) + 8 if data.startswith(name, at) else 0
    if 0xFF in found[at:] and not is_storable(value):
        plain(value, _LIMITS)
        raise UnstorableValue(ROOT, "it has no stored form")


def _default(ormsgpack: ModuleType, options: int) -> Callable[[Any], Any]:
    """Return the hook that ``ormsgpack`` asks for every value that MessagePack itself has no form for."""
    ext, fragment, packb = ormsgpack.Ext, ormsgpack.Fragment, ormsgpack.packb
    tuple_mark, set_mark, frozenset_mark = (ext(_MARK, kind) for kind in (b"t", b"s", b"f"))

    def members(value: set[Any] | frozenset[Any]) -> list[Any]:
        # A set has no order that all processes share, but its encoded members do.
        return [fragment(data) for data in sorted([packb(item, member_hook, options) for item in value])]

    def member_hook(value: Any) -> Any:
        kind = type(value)
        if kind is tuple:
            return [tuple_mark, *value]
        if kind is set:
            return [set_mark, *members(value)]
        if kind is frozenset:
            return [frozenset_mark, *members(value)]
        if is_markup(kind):
            return ext(_MARKUP, str.encode(value))
        code, to_bytes = _TO_BYTES[kind]
        return ext(code, to_bytes(value))

    def hook(value: Any) -> Any:
        kind = type(value)
        if (kind is set or kind is frozenset) and not is_nested_at_most(_LIMITS.set_depth, value):
            raise ValueError("a set nested too deep")
        return member_hook(value)

    return hook


def _revive_root(value: Any) -> Any:
    kind = type(value)
    if kind is _Marker:
        raise ValueError("a mark outside of an array")
    if kind is not dict and kind is not list:
        return value
    try:
        return _revive(value, _LIMITS.depth + _LIMITS.set_depth)  # the encoder counts sets apart
    except (TypeError, RecursionError) as error:
        raise caused(ValueError(f"not a value that was encoded here: {error}"), error) from error


def _revive(value: Any, levels: int) -> Any:
    """Turn every marked array inside a dict or list into what it stands for, in place where that can be."""
    if levels == 0:
        raise ValueError("nested deeper than anything that is encoded here")
    if type(value) is dict:
        for key, item in value.items():
            kind = type(item)
            if kind is dict or kind is list:
                value[key] = _revive(item, levels - 1)
            elif kind is _Marker:
                raise ValueError("a mark outside of an array")
        return value
    build: Callable[[list[Any]], Any] | None = None
    if value and type(value[0]) is _Marker:
        build = value[0].build
        del value[0]
    for index, item in enumerate(value):
        kind = type(item)
        if kind is dict or kind is list:
            value[index] = _revive(item, levels - 1)
        elif kind is _Marker:
            raise ValueError("a mark that is not the first of its array")
    return value if build is None else build(value)
