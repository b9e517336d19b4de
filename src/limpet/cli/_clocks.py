"""What `limpet doctor` says of clocks: those of the store's servers, of this host, and of hosts that wrote records."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

from limpet.cli._findings import Finding, fine, fix, note
from limpet.contract import Scans, Store, supports
from limpet.manager import SessionManager
from limpet.stores._connections import Clocked

__all__ = ["apart", "check_clocks"]

_NOTED: Final = 2_000  # milliseconds between two clocks that are worth a word
_REFUSED: Final = 60_000
"""Milliseconds from which on something breaks: a cookie that was sealed so far in the future is refused."""
_LOOKED_AT: Final = 500  # records that are looked at for times in the future


async def check_clocks(manager: SessionManager, store: Store) -> AsyncIterator[Finding]:
    """Yield how far the clocks that can be seen from here are apart."""
    storage = manager.engine.storage
    if supports(store, Clocked):
        began = _now()
        clocks = await storage.call("check", store.clocks())
        ended = _now()
        for name, there in clocks:
            yield apart(f"the clock of {name}", there - (began + ended) // 2, (ended - began) // 2)
    if supports(store, Scans):
        page, _ = await storage.call("scan", store.scan(None, _LOOKED_AT))
        ahead = max((record.accessed for _, record in page), default=0) - _now()
        if ahead > _NOTED:
            yield apart("the clock of a host that has written to the store", ahead, 0)


def apart(whose: str, ahead: int, doubt: int) -> Finding:
    """Return what is to be said of a clock.

    Args:
        whose: Names it, as the beginning of a sentence.
        ahead: Milliseconds by which it is ahead of this host's.
        doubt: Milliseconds by which that may be wrong.
    """
    off = max(abs(ahead) - doubt, 0)
    if off <= _NOTED:
        return fine("clock", f"{whose} and this host's agree to {max(doubt, off, 1):,} ms")
    said = f"{whose} is {off / 1000:,.1f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    if off < _REFUSED:
        return note("clock", f"{said}: deadlines are off by that much; let an NTP client run on both")
    return fix(
        "clock",
        f"{said}: sessions end too early or too late, and cookies that are made there are refused here; let an NTP "
        "client run on both",
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
