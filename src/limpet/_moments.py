"""Moments: the end dates of settings, and times as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from limpet.errors import ConfigurationError

__all__ = ["CENTURY", "milliseconds", "moment"]

CENTURY: Final = 36_525 * 86_400
"""Seconds of the longest time that may be given for a session."""

_LAST: Final = 253_402_300_799_999  # of the year 9999, the last one that a datetime can have


def moment(milliseconds_since_1970: int) -> datetime:
    """Return a time in UTC; one after the year 9999, as some record may hold, is the end of that year."""
    return datetime.fromtimestamp(min(milliseconds_since_1970, _LAST) / 1000, UTC)


def milliseconds(name: str, until: object) -> int:
    """Return a moment in milliseconds since 1970: of a date its first one in UTC.

    Args:
        name: The setting.
        until: A date, or a time with a zone.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(until, datetime):
        if until.utcoffset() is None:
            raise ConfigurationError(
                f"{name}={until!r} is no time with a zone: give a date, or datetime(2030, 1, 31, tzinfo=UTC)"
            )
        return int(until.timestamp() * 1000)
    if isinstance(until, date):
        return int(datetime(until.year, until.month, until.day, tzinfo=UTC).timestamp() * 1000)
    raise ConfigurationError(f"{name}={until!r} is no date: write {name}=date(2030, 1, 31)")
