"""Moments: the system's clock, the end dates of settings, and times as people read them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Final

from limpet.errors import ConfigurationError

__all__ = ["CENTURY", "milliseconds", "moment", "slack_ms", "system_clock"]

CENTURY: Final = 36_525 * 86_400
"""Seconds of the longest time that may be given for a session."""

_LAST: Final = 253_402_300_799_999  # of the year 9999, the last one that a datetime can have
_MAX_SLACK_MS: Final = 60_000


def system_clock() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def slack_ms(idle_ms: int | None) -> int:
    """Return how long a store keeps a record beyond its deadline, in milliseconds: 60 s or a tenth of the idle timeout.

    A request that met the deadline when it loaded may commit within it.
    """
    return _MAX_SLACK_MS if idle_ms is None else min(_MAX_SLACK_MS, idle_ms // 10)


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
