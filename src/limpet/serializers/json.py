"""JSON with the types kept, for people who read their store with other tools.

What JSON has is written as it is. Everything else is an object with one key that begins with a dollar sign::

    {"$datetime": "2030-01-31T12:00:00+01:00[Europe/Paris]"}    {"$uuid": "..."}    {"$tuple": [1, 2]}

A dict of the application that looks like this gets one more dollar sign, which decoding takes away again.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final, NoReturn
from uuid import UUID

from limpet._storable import ROOT, is_markup, markup_of
from limpet.errors import UnstorableValue
from limpet.serializers._times import (
    datetime_from_text,
    datetime_to_text,
    time_from_text,
    time_to_text,
    timedelta_from_microseconds,
    timedelta_to_microseconds,
)
from limpet.serializers._values import Limits, plain

__all__ = ["MAX_DEPTH", "JSONSerializer"]

MAX_DEPTH: Final = 100
"""How many containers may stand inside each other; each takes up to three levels of Python's 1,000."""

_LIMITS: Final = Limits(depth=MAX_DEPTH, set_depth=MAX_DEPTH, not_a_number=False)

_LONGEST_INT: Final = 1024
"""Integers of more bits are written in hexadecimal: Python limits the decimal ones that it reads (CVE-2020-10735)."""


class JSONSerializer:
    """Keeps session values as compact UTF-8 JSON.

    The zone key of a ``zoneinfo`` time zone is kept; every other kind of time zone is kept as its offset. NaN and the
    infinities are refused (RFC 8259, section 6). `limpet._storable` lists what is taken as its base type.
    """

    __slots__ = ()

    format: bytes = b"J"
    """The first byte of every payload in this format."""

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of one value: equal values have equal bytes, the keys of dicts are sorted.

        Raises:
            UnstorableValue: It would not come back as it went in, or is nested more than `MAX_DEPTH` levels deep.
        """
        return _encode(value, _sorted)

    def encode_in_order(self, value: Any) -> bytes:
        """Return bytes that keep the order of dicts.

        Raises:
            UnstorableValue: As for `encode`.
        """
        return _encode(value, _ordered)

    def decode(self, data: bytes) -> Any:
        """Return the value of these bytes.

        Raises:
            ValueError: They are not what `encode` writes: no JSON, a key twice in one object, NaN, an unknown tag.
        """
        try:
            return _loads(data.decode())
        except ValueError:
            raise
        except (ArithmeticError, LookupError, TypeError, OSError, RecursionError) as error:
            raise ValueError(f"not a value that was encoded here: {type(error).__name__}") from error


def _encode(value: Any, dumps: Callable[[Any], str]) -> bytes:
    try:
        return dumps(_tag(value, MAX_DEPTH)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        value = plain(value, _LIMITS)  # raises for what has no form at all
        problem = str(error)
    try:
        return dumps(_tag(value, MAX_DEPTH)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableValue(ROOT, problem) from error


def _tag(value: Any, depth: int) -> Any:
    """Return the value in terms of JSON alone; ``depth`` is how many containers may still be opened."""
    kind = type(value)
    if kind is str or kind is bool or kind is float or value is None:
        return value
    if kind is int:
        return value if value.bit_length() <= _LONGEST_INT else {"$int": hex(value)}
    simple = _SIMPLE.get(kind)
    if simple is not None:
        name, to_json = simple
        return {name: to_json(value)}
    if depth == 0:
        raise ValueError("too deep")
    if kind is dict:
        return _tag_dict(value, depth - 1)
    if kind is list:
        return [_tag(item, depth - 1) for item in value]
    if kind is tuple:
        return {"$tuple": [_tag(item, depth - 1) for item in value]}
    if kind is set or kind is frozenset:
        # A set has no order that all processes share, but its encoded members do.
        members = sorted((_tag(item, depth - 1) for item in value), key=_sorted)
        return {"$set" if kind is set else "$frozenset": members}
    if is_markup(kind):
        return {"$markup": str.__str__(value)}
    raise TypeError("no form in JSON")


def _tag_dict(value: dict[str, Any], depth: int) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        if type(key) is not str:  # json would turn it into text
            raise TypeError("a key that is no str")
        result[key] = _tag(item, depth)
    if len(result) == 1:
        ((key, item),) = result.items()
        if key.startswith("$"):
            return {f"${key}": item}
    return result


_SIMPLE: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    bytes: ("$bytes", lambda value: b64encode(value).decode()),
    datetime: ("$datetime", datetime_to_text),
    date: ("$date", lambda value: value.isoformat()),
    time: ("$time", time_to_text),
    timedelta: ("$timedelta", timedelta_to_microseconds),
    UUID: ("$uuid", str),
    Decimal: ("$decimal", str),
}


def _int_from_hex(text: str) -> int:
    return int(text, 16)


def _bytes_from_text(text: str) -> bytes:
    return b64decode(text, validate=True)


_TAGS: Final[dict[str, tuple[type, Callable[[Any], Any]]]] = {
    "$bytes": (str, _bytes_from_text),
    "$datetime": (str, datetime_from_text),
    "$date": (str, date.fromisoformat),
    "$time": (str, time_from_text),
    "$timedelta": (int, timedelta_from_microseconds),
    "$uuid": (str, UUID),
    "$decimal": (str, Decimal),
    "$markup": (str, markup_of),
    "$int": (str, _int_from_hex),
    "$tuple": (list, tuple),
    "$set": (list, set),
    "$frozenset": (list, frozenset),
}


def _untag(pairs: list[tuple[str, Any]]) -> Any:
    """Return the dict of one JSON object, or the value that the object stands for."""
    if len(pairs) == 1:
        ((name, content),) = pairs
        if name.startswith("$$"):
            return {name[1:]: content}
        if name.startswith("$"):
            kind, build = _TAGS.get(name, (None, None))
            if build is None or type(content) is not kind:
                raise ValueError(f"an unknown tag, or one with the wrong content: {name[:20]!r}")
            return build(content)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):  # such as 1e999
        raise ValueError("a number beyond what a float can hold")
    return value


def _writer(*, sort_keys: bool) -> Callable[[Any], str]:
    return json.JSONEncoder(
        ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=sort_keys, separators=(",", ":")
    ).encode


_sorted: Final = _writer(sort_keys=True)
_ordered: Final = _writer(sort_keys=False)
_loads: Final = json.JSONDecoder(object_pairs_hook=_untag, parse_float=_finite, parse_constant=_refuse_constant).decode
