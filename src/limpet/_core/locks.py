"""One at a time, over any server-side store: a lock is a record that only one can create.

It holds until its owner gives it back. If the owner died, its record never changes: a process that has seen the same
version for the whole life of the lock, on its own monotonic clock, takes it over by that version, so that of several
only one does. The clocks of two hosts are never compared, but for a lock that is over by more than hosts may disagree.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from limpet._core import marks, tokens
from limpet._core.record import Record
from limpet.errors import SessionBusy, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["Renewable", "acquire", "exclusive", "hold", "release"]


class Renewable(Protocol):
    """A session, as a lock of it sees it."""

    @property
    def public_id(self) -> str | None:
        """What it is kept under; None before the first save."""

    async def refresh(self) -> None:
        """See what other requests saved meanwhile."""

    async def save(self) -> None:
        """Save now."""


S = TypeVar("S", bound=Renewable)
log = logging.getLogger("limpet")

_FIRST: Final = 0.005  # seconds of the first wait; each is half as long again as the one before
_LONGEST: Final = 0.1
_SKEW: Final = 300_000  # milliseconds by which clocks of two hosts may differ


async def acquire(engine: Context, key: str, life: float, wait: float) -> int | None:
    """Take a lock and return its version; None if others held it for all the time that was to be waited.

    Args:
        life: Seconds after which another may take it, should this process die.
        wait: Seconds to wait for it at most; 0: try once.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    pause, waited = _FIRST, 0.0
    while True:
        now = engine.clock()
        until = now + round(life * 1000)
        mine = Record(tokens.new_version(), marks.write({"until": until, "life": life}), now, until + _SKEW)
        met = await engine.storage.create(key, mine, insist=True)
        if met is None:
            engine.watch.forget(key)
            return mine.version
        if (
            isinstance(met, Record)
            and _is_abandoned(engine, key, met, now, life)
            and await engine.storage.update(key, mine, met.version, insist=True) is None
        ):
            engine.watch.forget(key)
            return mine.version
        if waited >= wait:
            return None
        await engine.runtime.sleep(min(pause, wait - waited))
        waited, pause = waited + pause, min(pause * 1.5, _LONGEST)


def _is_abandoned(engine: Context, key: str, there: Record, now: int, life: float) -> bool:
    facts = marks.read(there.payload) or {}
    held_for = facts.get("life", life)
    if not isinstance(held_for, (int, float)):
        held_for = life
    if engine.watch.unchanged_for(key, there.version) >= held_for:
        return True
    return now >= int(facts.get("until", 0)) + _SKEW


async def release(engine: Context, key: str, version: int) -> None:
    """Give a lock back. A store that fails keeps it until its life is over."""
    try:
        met = await engine.storage.delete(key, version)
    except StoreUnavailable:
        return  # said as an event
    if isinstance(met, Record):
        log.warning("a lock was held for longer than its life, and another may have held it too: give it a longer life")


@asynccontextmanager
async def hold(engine: Context, *about: str, life: float, wait: float) -> AsyncIterator[None]:
    """Hold the only lock of a name, over all processes that use the store.

    Raises:
        SessionBusy: Others held it all the time.
        StoreUnavailable: The store does not answer.
    """
    key = marks.mark_key("lock", *about)
    async with engine.runtime.turn(f"lock {key}"):  # those of one process queue, and do not ask the store again
        version = await acquire(engine, key, life, wait)
        if version is None:
            raise SessionBusy(
                f"the lock {about[-1]!r} was held by others for {wait:g} s: try again, or wait longer (wait=...)"
            )
        try:
            yield
        finally:
            await release(engine, key, version)


@asynccontextmanager
async def exclusive(engine: Context, session: S, name: str, *, life: float, wait: float) -> AsyncIterator[S]:
    """Hold a lock of one session; what its last holder saved is there to be read, and what this one writes is saved.

    A session that nobody else can have yet, as it has no id, needs no lock. One that was ended meanwhile is anonymous:
    what is written to it goes nowhere.
    """
    await session.refresh()
    while (key := session.public_id) is not None:
        async with hold(engine, "session", key, name, life=life, wait=wait):
            await session.refresh()
            if session.public_id != key:  # renewed or ended while this waited
                continue
            yield session
            await session.save()
            return
    yield session
