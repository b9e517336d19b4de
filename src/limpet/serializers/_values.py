"""What a session can hold, shared by all serializers: the text of dates and times, and what is wrong with a value."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final, NamedTuple
from uuid import UUID

from limpet.errors import UnstorableValue

__all__ = [
    "ROOT",
    "STORABLE",
    "Limits",
    "datetime_from_text",
    "datetime_to_text",
    "find_unstorable",
    "is_nested_at_most",
    "is_storable",
    "time_from_text",
    "time_to_text",
    "timedelta_from_microseconds",
    "timedelta_to_microseconds",
]

ROOT: Final = "(the whole value)"
"""The path of a value that is in no dict and no list."""

STORABLE: Final[frozenset[type]] = frozenset(
    {
        *(type(None), bool, int, float, str, bytes),
        *(list, dict, tuple, set, frozenset),
        *(datetime, date, time, timedelta, UUID, Decimal),
    }
)
"""The types that come back as they went in. Subclasses do not: their class would be lost."""


class Limits(NamedTuple):
    """What one format can hold.

    Attributes:
        depth: How many containers may stand inside each other.
        set_depth: How many of them may be a set and what is inside of it.
        not_a_number: Whether it can hold NaN and the infinities.
    """

    depth: int
    set_depth: int
    not_a_number: bool


_FOLD: Final = "~"
_MICROSECOND: Final = timedelta(microseconds=1)


def datetime_to_text(value: datetime) -> str:
    """Return ISO 8601 text that keeps fold, offset and the key of an IANA time zone.

    The zone follows in brackets (RFC 9557, section 4), a tilde stands for ``fold=1``. Any other kind of time zone is
    kept as the offset that it has at that moment.

    Raises:
        TypeError: Its time zone does not say an offset.
    """
    return _to_text(value, needs_offset=True)


def time_to_text(value: time) -> str:
    """Return ISO 8601 text of a time of day; its zone and fold as for `datetime_to_text`.

    Raises:
        TypeError: Its time zone has neither a key nor an offset without a date.
    """
    return _to_text(value, needs_offset=False)


def _to_text(value: datetime | time, *, needs_offset: bool) -> str:
    fold = _FOLD if value.fold else ""
    zone = value.tzinfo
    if zone is None:
        return value.isoformat() + fold
    try:
        text, offset = value.isoformat(), value.utcoffset()
    except Exception as error:  # a time zone may be anybody's code
        name = type(error).__name__
        raise TypeError(f"its time zone failed with {name}: use datetime.timezone or zoneinfo") from error
    key = _zone_key(zone)
    if offset is None and (needs_offset or key is None):
        raise TypeError("its time zone gives no offset: use datetime.timezone or zoneinfo")
    return f"{text}{fold}" if key is None else f"{text}[{key}]{fold}"


def _zone_key(zone: object) -> str | None:
    if type(zone).__name__ != "ZoneInfo":  # spares the import of zoneinfo to everybody else
        return None
    from zoneinfo import ZoneInfo

    return zone.key if type(zone) is ZoneInfo else None


def datetime_from_text(text: str) -> datetime:
    """Return what `datetime_to_text` was given.

    Where this machine does not know the zone, the offset is kept in its place, so that the moment stays the same.

    Raises:
        ValueError: It is not such text.
    """
    text, key, fold = _split(text)
    value = datetime.fromisoformat(text)
    if key:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            value = value.replace(tzinfo=ZoneInfo(key))
        except ZoneInfoNotFoundError:
            if value.tzinfo is None:
                raise ValueError(f"time zone {key!r} is not known here, and no offset was kept") from None
    return value.replace(fold=1) if fold else value


def time_from_text(text: str) -> time:
    """Return what `time_to_text` was given.

    Raises:
        ValueError: It is not such text, or its zone is not known on this machine: a time of day alone has no offset.
    """
    text, key, fold = _split(text)
    value = time.fromisoformat(text)
    if key:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            value = value.replace(tzinfo=ZoneInfo(key))
        except ZoneInfoNotFoundError:
            raise ValueError(f"time zone {key!r} is not known here") from None
    return value.replace(fold=1) if fold else value


def _split(text: str) -> tuple[str, str, bool]:
    fold = text.endswith(_FOLD)
    text = text.removesuffix(_FOLD)
    if not text.endswith("]"):
        return text, "", fold
    text, _, key = text[:-1].partition("[")
    return text, key, fold


def timedelta_to_microseconds(value: timedelta) -> int:
    """Return the length in microseconds, exactly."""
    return value // _MICROSECOND


def timedelta_from_microseconds(microseconds: int) -> timedelta:
    """Return what `timedelta_to_microseconds` was given."""
    return timedelta(microseconds=microseconds)


def is_storable(value: Any) -> bool:
    """Tell whether every value inside has a storable type. The value must be free of cycles."""
    found = [value]
    for item in found:
        kind = type(item)
        if kind is dict:
            found += item.values()
        elif kind is list or kind is tuple or kind is set or kind is frozenset:
            found += item
        elif kind not in STORABLE:
            return False
    return True


def is_nested_at_most(levels: int, value: Any) -> bool:
    """Tell whether a set, frozenset or tuple has so few levels; hashable members nest in no other way."""
    return levels > 0 and all(
        is_nested_at_most(levels - 1, item) for item in value if type(item) is tuple or type(item) is frozenset
    )


def find_unstorable(value: Any, limits: Limits, *, fallback: str) -> UnstorableValue:
    """Return the error that names the first value that cannot be kept, and why.

    This walk is slow and is made only after encoding has failed.

    Args:
        value: What was to be encoded.
        limits: What the format can hold.
        fallback: The encoder's own words, for a problem that this walk does not see.
    """
    pending: list[Iterator[tuple[str, Any]]] = [iter([("", value)])]
    around: list[int] = []  # the ids of the containers around the current value, to see a cycle
    while pending:
        step = next(pending[-1], None)
        if step is None:
            pending.pop()
            if around:
                around.pop()
            continue
        path, item = step
        problem = _problem(item, limits)
        children = _CHILDREN.get(type(item))
        if problem is None and children is not None:
            if id(item) in around:
                problem = "it contains itself"
            elif len(around) >= limits.depth:
                problem = f"it is nested more than {limits.depth} levels deep"
        if problem is not None:
            return UnstorableValue(path or ROOT, problem)
        if children is not None:
            pending.append(children(path, item))
            around.append(id(item))
    return UnstorableValue(ROOT, fallback)


def _of_dict(path: str, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{path}.{key}" if path else key, item) for key, item in value.items())


def _of_sequence(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    return ((f"{path}[{index}]", item) for index, item in enumerate(value))


def _of_set(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    return ((f"{path}{{}}", item) for item in value)  # a member has no address: braces stand for "one of them"


_CHILDREN: Final[dict[type, Callable[[str, Any], Iterator[tuple[str, Any]]]]] = {
    dict: _of_dict,
    list: _of_sequence,
    tuple: _of_sequence,
    set: _of_set,
    frozenset: _of_set,
}


def _problem(value: Any, limits: Limits) -> str | None:
    kind = type(value)
    if kind not in STORABLE:
        return _wrong_type(value)
    if kind is dict:
        return next(filter(None, map(_key_problem, value)), None)
    if kind is str and not _is_text(value):
        return "it has a lone surrogate and is no text: store bytes instead"
    if (kind is set or kind is frozenset) and not is_nested_at_most(limits.set_depth, value):
        return f"it is a set nested more than {limits.set_depth} levels deep"
    if kind is float and not limits.not_a_number and not isfinite(value):
        return "NaN and the infinities have no form in JSON: store None or a string instead"
    if kind is datetime or kind is time:
        try:
            _to_text(value, needs_offset=kind is datetime)
        except TypeError as error:
            return str(error)
    return None


def _key_problem(key: Any) -> str | None:
    if type(key) is not str:
        return f"it has a key of type {_name(type(key))}: only str can be a key"
    return None if _is_text(key) else "it has a key with a lone surrogate, which is no text"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_type(value: Any) -> str:
    kind = type(value)
    name = _name(kind)
    if isinstance(value, enum.Enum):
        return f"{name} is an Enum and would come back as something else: store its .value or .name"
    if isinstance(value, (bytearray, memoryview)):
        return f"a {name} would come back as bytes: store bytes(...) of it"
    base = next((base for base in kind.__mro__ if base in STORABLE), None)
    if base is not None:
        return f"{name} is a subclass of {base.__name__} and would come back as that: store {base.__name__}(...) of it"
    if dataclasses.is_dataclass(value):
        return f"{name} is a dataclass: store dataclasses.asdict(...) of it"
    return f"{name} has no stored form: store its parts, or an id to find it by"


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
