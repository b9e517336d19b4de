"""When a process sweeps, and how it does where there is neither an event loop nor a lifespan."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from limpet._checks import interval
from limpet.contract import Sweeps, supports
from limpet.errors import StoreUnavailable
from limpet.manager import SessionManager

__all__ = ["Schedule", "Sweeper"]

log = logging.getLogger("limpet")


class Schedule:
    """When the next sweep of this process is due: so long after the last, also if the clock is set back.

    Args:
        clock: Tells the time in milliseconds.
        seconds: Between two sweeps.
    """

    def __init__(self, clock: Callable[[], int], seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._interval = seconds * 1000
        self._next = clock() + self._interval

    @classmethod
    def of(cls, manager: SessionManager, seconds: float | None) -> Schedule | None:
        """Return that of a manager; None: nothing is to be swept, or the store does that by itself.

        Raises:
            ConfigurationError: It is no number of seconds.
        """
        interval("sweep_interval", seconds, none="to leave it out")
        kept: Any = manager.kept
        if seconds is None or kept is None or not supports(kept, Sweeps):
            return None
        return cls(manager.clock, seconds)

    def is_due(self) -> bool:
        """Tell whether it is time; the next is then due after the interval."""
        now = self._clock()
        if 0 < self._next - now <= self._interval:
            return False  # if it is further away, the clock was set back
        self._next = now + self._interval
        return True


class Sweeper:
    """Deletes expired records now and then, for applications without an event loop or another place to do it.

    Args:
        seconds: Between two sweeps of this process; None: never.
    """

    def __init__(self, manager: SessionManager, seconds: float | None) -> None:
        self._manager = manager
        self._schedule = Schedule.of(manager, seconds)

    def note(self) -> None:
        """A request has ended: sweep if it is time, on a thread that nobody waits for."""
        if self._schedule is not None and self._schedule.is_due():
            threading.Thread(target=self._sweep, name="limpet-sweep", daemon=True).start()

    def _sweep(self) -> None:
        try:
            self._manager.blocking.sweep(once=True)
        except StoreUnavailable:
            log.warning("expired sessions could not be swept now")
