"""Sweeps for applications that have neither an event loop nor a lifespan."""

from __future__ import annotations

import logging
import threading
from typing import Any

from limpet.contract import Sweeps, supports
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.manager import SessionManager

__all__ = ["Sweeper"]

log = logging.getLogger("limpet")


class Sweeper:
    """Deletes expired records now and then, for applications without an event loop or another place to do it.

    Args:
        interval: Seconds between two sweeps of this process; None: never.
    """

    def __init__(self, manager: SessionManager, interval: float | None) -> None:
        if interval is not None and not 0 < interval < float("inf"):
            raise ConfigurationError(f"sweep_interval={interval!r}: give seconds, more than 0, or None to leave it out")
        kept: Any = manager.kept
        self._manager = manager
        self._interval = None if interval is None or kept is None or not supports(kept, Sweeps) else interval * 1000
        self._next = 0.0 if self._interval is None else manager.clock() + self._interval

    def note(self) -> None:
        """A request has ended: sweep if it is time, on a thread that nobody waits for."""
        if self._interval is None or 0 < self._next - self._manager.clock() <= self._interval:
            return  # if it is further away, the clock was set back
        self._next = self._manager.clock() + self._interval
        threading.Thread(target=self._sweep, name="limpet-sweep", daemon=True).start()

    def _sweep(self) -> None:
        try:
            self._manager.blocking.sweep(once=True)
        except StoreUnavailable:
            log.warning("expired sessions could not be swept now")
