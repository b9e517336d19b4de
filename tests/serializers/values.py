"""Strategies of storable values, and a comparison that also looks at types."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from limpet.protocols import InOrder, Serializer

__all__ = ["OfASerializer", "OurSerializer", "damage", "same", "values"]


class OurSerializer(Serializer, InOrder, Protocol):
    """A serializer that keeps order, as those of this library do."""


class OfASerializer:
    """What is checked of one serializer.

    Attributes:
        serializer: The one.
        max_depth: How many containers may stand inside each other.
    """

    serializer: OurSerializer
    max_depth: int


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are equal with all their types, signs, folds, offsets and zones."""
    kind = type(left)
    if kind is not type(right):
        return False
    if kind is dict:
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if kind is list or kind is tuple:
        return len(left) == len(right) and all(map(same, left, right))
    if kind is set or kind is frozenset:
        return len(left) == len(right) and all(any(same(item, other) for other in right) for item in left)
    if kind is float:
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if kind is datetime or kind is time:
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None)
            and left.fold == right.fold
            and left.utcoffset() == right.utcoffset()
            and getattr(left.tzinfo, "key", None) == getattr(right.tzinfo, "key", None)
        )
    if kind is Decimal:
        return str(left) == str(right)
    return bool(left == right)


_zones = st.sampled_from(
    [
        None,
        UTC,
        timezone(timedelta(hours=-9, minutes=-30)),
        timezone(timedelta(seconds=1)),
        timezone(timedelta(microseconds=-1)),
        ZoneInfo("Europe/Paris"),
    ]
)
_folds = st.sampled_from([0, 1])
_dates = st.dates()
_times = st.builds(lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold), st.times(), _zones, _folds)
_datetimes = st.builds(lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold), st.datetimes(), _zones, _folds)
_integers = st.integers() | st.integers(min_value=-(2**70), max_value=2**70) | st.just(2**5000) | st.just(-(2**1024))
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def _scalars(*, not_a_number: bool) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        _integers,
        st.floats(allow_nan=not_a_number, allow_infinity=not_a_number),
        _text,
        st.binary(max_size=8),
        st.uuids(),
        st.decimals(allow_nan=False),
        st.timedeltas(),
        _dates,
        _times,
        _datetimes,
    )


def _hashables() -> st.SearchStrategy[Any]:
    scalars = st.one_of(st.none(), st.booleans(), _integers, _text, st.binary(max_size=4), st.uuids(), _dates)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
        max_leaves=6,
    )


def values(*, not_a_number: bool = False) -> st.SearchStrategy[Any]:
    """Return a strategy for everything that a session can hold."""
    keys = _text | st.sampled_from(["$tuple", "$$set", "$", "$unknown", ""])
    return st.recursive(
        _scalars(not_a_number=not_a_number)
        | st.sets(_hashables(), max_size=4)
        | st.frozensets(_hashables(), max_size=4),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(keys, inner, max_size=4),
        ),
        max_leaves=12,
    )


damage = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3)
"""Places in encoded bytes, and what to write there."""
