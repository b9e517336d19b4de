"""The text of dates and times, shared by all serializers."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone
from typing import Final

__all__ = [
    "datetime_from_text",
    "datetime_to_text",
    "time_from_text",
    "time_to_text",
    "timedelta_from_microseconds",
    "timedelta_to_microseconds",
]

_FOLD: Final = "~"
_MICROSECOND: Final = timedelta(microseconds=1)
_NEARLY_UTC: Final = re.compile(r"([+-])00:00:00\.(\d{6})")


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
    except Exception as error:  # a time zone may be any code
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
    offset = _nearly_utc(text)
    if offset is not None:
        value = value.replace(tzinfo=offset)
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
    offset = _nearly_utc(text)
    if offset is not None:
        value = value.replace(tzinfo=offset)
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


def _nearly_utc(text: str) -> timezone | None:
    """Return an offset of less than a second, which CPython reads as that of UTC; None: it is another one, or none."""
    found = _NEARLY_UTC.fullmatch(text, max(len(text) - 16, 0))
    return None if found is None else timezone(timedelta(microseconds=int(found[1] + found[2])))


def timedelta_to_microseconds(value: timedelta) -> int:
    """Return the length in microseconds, exactly."""
    return value // _MICROSECOND


def timedelta_from_microseconds(microseconds: int) -> timedelta:
    """Return what `timedelta_to_microseconds` was given."""
    return timedelta(microseconds=microseconds)
