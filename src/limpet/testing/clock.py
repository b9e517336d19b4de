"""A clock that tests turn by hand."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["FakeClock"]


class FakeClock:
    """Stands still until it is advanced: ``SessionManager(..., clock=FakeClock())``.

    Args:
        start_ms: What it shows at first, in milliseconds since 1970.

    Attributes:
        now: What it shows, in milliseconds since 1970.
    """

    def __init__(self, start_ms: int = 1_750_000_000_000) -> None:
        self.now: int = start_ms

    def __call__(self) -> int:
        """Return what it shows."""
        return self.now

    def advance(self, time: float | timedelta) -> None:
        """Move it on by seconds or a timedelta."""
        seconds = time.total_seconds() if isinstance(time, timedelta) else time
        self.now += round(seconds * 1000)

    def __repr__(self) -> str:
        return f"FakeClock({self.now})"
