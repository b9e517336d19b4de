"""One at a time, over any server-side store: a lock is a record that only one can create.

It holds until its owner gives it back or gives up. If the owner died, its record never changes: a process that has
seen the same version for the whole life of the lock, on its own monotonic clock, takes it over by that version, so that
of several only one does. Clocks of two hosts are compared only for a lock that is over by more than they may disagree.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from limpet._wire import marks, tokens
from limpet._wire.records import Obstacle
from limpet.contract import Record
from limpet.errors import SessionBusy, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["Lock", "acquire", "release"]


_FIRST: Final = 0.005  # seconds of the first wait; each is half as long again as the one before
_LONGEST: Final = 0.1


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
        mine = Record(tokens.new_version(), marks.write({"until": until, "life": life}), now, until + marks.SKEW)
        if await _take(engine, key, mine, now, life):
            engine.watch.forget(key)
            return mine.version
        if waited >= wait:
            return None
        await engine.emitter.runtime.sleep(min(pause, wait - waited))
        waited, pause = waited + pause, min(pause * 1.5, _LONGEST)


async def _take(engine: Context, key: str, mine: Record, now: int, life: float) -> bool:
    failure: BaseException
    try:
        obstacle = await engine.storage.create(key, mine, urgent=True)
        return obstacle is None or (
            isinstance(obstacle, Record)
            and _is_abandoned(engine, key, obstacle, now, life)
            and await engine.storage.update(key, mine, obstacle.version, urgent=True) is None
        )
    except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure = error
    await _give_up(engine, key, mine.version, failure)
    raise failure


async def _give_up(engine: Context, key: str, version: int, failure: BaseException) -> None:
    """Drop a lock that may have been taken, or be there still: nobody else would give it back."""
    if isinstance(failure, GeneratorExit):
        return  # nothing runs any more
    if isinstance(failure, StoreUnavailable) and failure.waited and engine.emitter.blocks:
        return  # a store that hangs is not waited for twice: the lock ends with its life
    runtime, drop = engine.emitter.runtime, engine.storage.try_to_drop(key, version)
    if isinstance(failure, StoreUnavailable):
        return runtime.spawn(drop)
    await runtime.finish(drop)


def _is_abandoned(engine: Context, key: str, there: Record, now: int, life: float) -> bool:
    facts = marks.read(there.payload) or {}
    held_for = facts.get("life")
    unchanged_for = engine.watch.unchanged_for(key, there.version)
    if unchanged_for >= (held_for if isinstance(held_for, (int, float)) else life):
        return True
    return now >= int(facts.get("until", 0)) + marks.SKEW


async def release(engine: Context, key: str, version: int) -> bool:
    """Give a lock back; False: another has taken it over. A store that fails keeps it until its life is over."""
    failure: BaseException | None = None
    obstacle: Obstacle = None
    try:
        obstacle = await engine.storage.delete(key, version)
    except StoreUnavailable:
        return True  # said as an event
    except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure = error
    if failure is not None:
        await _give_up(engine, key, version, failure)
        raise failure
    if isinstance(obstacle, Record):
        engine.storage.emitter.log.warning(
            "lock", "a lock was held for longer than its life, and another may have held it too: give it a longer life"
        )
    return obstacle is None


class Lock:
    """The only lock of a name, over all processes that use the store; for ``async with``.

    Attributes:
        lost: It was given back after its life had ended, and another may have held it too.

    Raises:
        SessionBusy: Others held it all the time.
        StoreUnavailable: The store does not answer.
    """

    __slots__ = ("_engine", "_key", "_life", "_name", "_turn", "_version", "_wait", "lost")

    def __init__(self, engine: Context, *about: str, life: float, wait: float) -> None:
        self.lost = False
        self._engine = engine
        self._name = about[-1]
        self._key = marks.mark_key("lock", *about)
        self._life = life
        self._wait = wait
        self._turn: AbstractAsyncContextManager[None] | None = None
        self._version: int | None = None

    async def __aenter__(self) -> None:
        # Those of one process queue, and do not ask the store again.
        self._turn = turn = self._engine.emitter.runtime.turn(f"lock {self._key}")
        await turn.__aenter__()
        failure: BaseException | None = None
        try:
            self._version = await acquire(self._engine, self._key, self._life, self._wait)
        except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
            failure = error
        if failure is None and self._version is None:
            failure = SessionBusy(
                f"the lock {self._name!r} was held by others for {self._wait:g} s: try again, or wait longer (wait=...)"
            )
        if failure is not None:
            await turn.__aexit__(None, None, None)
            raise failure

    async def __aexit__(self, kind: object = None, raised: object = None, trace: object = None) -> None:
        assert self._version is not None
        assert self._turn is not None
        failure: BaseException | None = None
        try:
            if isinstance(raised, StoreUnavailable) and raised.waited:
                await _give_up(self._engine, self._key, self._version, raised)
            else:
                self.lost = not await release(self._engine, self._key, self._version)
        except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
            failure = error
        await self._turn.__aexit__(None, None, None)
        if failure is not None:
            raise failure
