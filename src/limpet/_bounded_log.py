"""Log messages at a bounded rate: an outage of a minute is a few lines, not one for each request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

__all__ = ["BURST", "WINDOW", "BoundedLog", "Tally"]

BURST: Final = 3
"""Messages of one kind that are logged in one window."""
WINDOW: Final = 10
"""Seconds of a window. It begins with the first message after the one before has ended."""

_KINDS: Final = 1_000  # kinds that are remembered at most

log = logging.getLogger("limpet")


class _Window:
    """What was logged of one kind: since when, how often, and how often not."""

    __slots__ = ("logged", "passed_over", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.logged = self.passed_over = 0


class Tally:
    """Counts what anybody can cause, and gives the counts out at most once in a `WINDOW`.

    Args:
        monotonic: Returns nanoseconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic = monotonic
        self._since: int | None = None
        self._counts: dict[str, int] = {}

    def add(self, **counts: int) -> dict[str, int] | None:
        """Count; return all counts since they were given out last, or None if that was just now."""
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        now = self._monotonic()
        if self._since is not None and now - self._since < WINDOW * 1_000_000_000:
            return None
        self._since, given = now, self._counts
        self._counts = {}
        return given


class BoundedLog:
    """Logs to ``limpet``: of each kind of message `BURST` in a `WINDOW`; the next one says how many were left out.

    Args:
        monotonic: Returns nanoseconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, _Window] = {}

    def write(self, level: int, kind: str, message: str, *words: object) -> None:
        """Log a message unless there were enough of its kind just now.

        Args:
            level: As `logging` numbers them.
            kind: What is counted together, such as the name of an event.
            message: A format for ``words``, as `logging` takes it.
        """
        if not log.isEnabledFor(level):
            return
        now = self._monotonic()
        window = self._windows.get(kind)
        if window is None or now - window.since >= WINDOW * 1_000_000_000:
            before, window = window, _Window(now)
            if len(self._windows) >= _KINDS:
                self._windows.clear()
            self._windows[kind] = window
            if before is not None and before.passed_over:
                seconds = (now - before.since) // 1_000_000_000
                message += " (%d more of this kind in the last %d s were not logged)"
                words = (*words, before.passed_over, seconds)
        if window.logged >= BURST:
            window.passed_over += 1
            return
        window.logged += 1
        log.log(level, message, *words)

    def warning(self, kind: str, message: str, *words: object) -> None:
        """Log a warning, as `write` does."""
        self.write(logging.WARNING, kind, message, *words)
