"""One at a time, over any server-side store: a lock is a record that only one can create.

It holds until its owner gives it back, or for its life if the owner died. Whoever finds it past its life takes it
over by its version, so that of several only one does. There is no server beside the store and nobody to elect.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from limpet._core import conflict, marks, tokens
from limpet._core.protocols import DONE
from limpet._core.record import Record
from limpet.errors import SessionBusy, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.manager import Engine
    from limpet._core.session import Session

__all__ = ["acquire", "exclusive", "hold", "release"]

log = logging.getLogger("limpet")

_FIRST: Final = 0.005  # seconds of the first wait; each is half as long again as the one before
_LONGEST: Final = 0.1


async def acquire(engine: Engine, key: str, life: float, wait: float) -> int | None:
    """Take a lock and return its version; None if others held it for all the time that was to be waited.

    Args:
        life: Seconds after which it is anybody's, should this process die.
        wait: Seconds to wait for it at most; 0: try once.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    pause, waited = _FIRST, 0.0
    while True:
        now, there = engine.clock(), None
        until = now + round(life * 1000)
        mine = Record(tokens.new_version(), marks.write({"until": until}), now, until)
        outcome = await engine.write("create", partial(engine.server.create, key, mine, now=now), key)
        if conflict.landed(outcome, mine):
            return mine.version
        there = outcome if isinstance(outcome, Record) else None
        if there is not None and now >= int((marks.read(there.payload) or {}).get("until", 0)):
            step = partial(engine.server.update, key, mine, there.version, now=now)
            if conflict.landed(await engine.write("update", step, key), mine):
                return mine.version
        if waited >= wait:
            return None
        await engine.runtime.sleep(min(pause, wait - waited))
        waited, pause = waited + pause, min(pause * 1.5, _LONGEST)


async def release(engine: Engine, key: str, version: int) -> None:
    """Give a lock back. A store that fails keeps it until its life is over."""
    try:
        outcome = await engine.call("delete", engine.server.delete(key, version), key)
    except StoreUnavailable:
        return  # said as an event
    if outcome is not DONE:
        log.warning("a lock was held for longer than its life, and another may have held it too: give it a longer life")


@asynccontextmanager
async def hold(engine: Engine, *about: str, life: float, wait: float) -> AsyncIterator[None]:
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
async def exclusive(session: Session, name: str, *, life: float, wait: float) -> AsyncIterator[Session]:
    """Hold a lock of one session; what its last holder saved is there to be read, and what this one writes is saved.

    A session that nobody else can have yet, as it has no id, needs no lock.
    """
    engine = session._engine
    await engine.refresh(session)
    while session._key is not None:
        key = session._key
        async with hold(engine, "session", key, name, life=life, wait=wait):
            await engine.refresh(session)
            if session._key != key:  # renewed while this waited: the others are at the new id
                continue
            yield session
            await engine.save(session)
            return
    yield session
