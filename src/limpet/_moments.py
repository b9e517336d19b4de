"""The end dates of settings."""

from __future__ import annotations

from datetime import UTC, date, datetime

from limpet.errors import ConfigurationError

__all__ = ["milliseconds"]


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
