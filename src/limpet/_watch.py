"""What a process has seen of the locks that others hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Watch"]

_WATCHED: Final = 10_000  # locks of others that a process remembers at most


class Watch:
    """Since when this process has seen the locks of others as they are.

    Args:
        monotonic: Returns nanoseconds of a clock that is never set.
    """

    def __init__(self, monotonic: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[int, int]] = {}

    def unchanged_for(self, key: str, version: int) -> float:
        """Return for how many seconds the lock has had this version, as far as this process has seen."""
        now = self._monotonic()
        seen = self._seen.get(key)
        if seen is None or seen[0] != version:
            if len(self._seen) >= _WATCHED:
                self._seen.clear()
            self._seen[key] = version, now
            return 0.0
        return (now - seen[1]) / 1e9

    def forget(self, key: str) -> None:
        """Drop what was noted of a lock."""
        self._seen.pop(key, None)
