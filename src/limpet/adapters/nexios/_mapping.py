"""Other names for the operations of a mapping, and times as Nexios' documents give them."""

from __future__ import annotations

from collections.abc import ItemsView, MutableMapping
from datetime import datetime
from typing import Any

from limpet.errors import ConfigurationError

__all__ = ["Words", "zoned"]


class Words(MutableMapping[str, Any]):
    """Another name for each operation of a mapping."""

    __slots__ = ()

    def set_session(self, key: str, value: Any) -> None:
        """Set a key."""
        self[key] = value

    def get_session(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        return self.get(key, default)

    def delete_session(self, key: str) -> None:
        """Remove a key; an absent one is no error."""
        self.pop(key, None)

    set = set_session
    delete = delete_session

    def get_all(self) -> ItemsView[str, Any]:
        """Return what is in it, as ``items`` does."""
        return self.items()

    def is_empty(self) -> bool:
        """Return whether there is nothing in it."""
        return not len(self)


def zoned(moment: datetime) -> datetime:
    """Return a time that has a zone.

    Raises:
        ConfigurationError: It has none.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ConfigurationError(
            f"{moment!r} is no time with a zone: give datetime.now(UTC) + timedelta(minutes=30), or its like"
        )
    return moment
