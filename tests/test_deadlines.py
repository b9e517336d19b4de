"""Many deadlines on one timer."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest

from limpet._deadlines import Deadlines
from limpet.errors import StoreUnavailable
from limpet.runtime import AsyncioRuntime


async def bounded(deadlines: Deadlines, seconds: float, work: float) -> float | None:
    """Return when the deadline cut the work off, or None."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    begun = loop.time()
    deadline = deadlines.begin(loop, task, begun + seconds)
    try:
        await asyncio.sleep(work)
    except asyncio.CancelledError:
        assert deadlines.end(deadline)
        return loop.time() - begun
    assert not deadlines.end(deadline)
    return None


async def test_each_is_cut_off_at_its_own_time() -> None:
    """Deadlines pass in their order, whatever the order they were set in; who is ready before is left alone."""
    deadlines = Deadlines()
    late, early, ready, middle = await asyncio.gather(
        bounded(deadlines, 0.15, 60), bounded(deadlines, 0.05, 60), bounded(deadlines, 0.1, 0.01),
        bounded(deadlines, 0.1, 60),
    )  # fmt: skip
    assert ready is None
    assert early is not None
    assert middle is not None
    assert late is not None
    assert 0.049 <= early < 0.1 <= middle + 0.001 < 0.15 <= late + 0.001 < 0.25


async def test_one_timer() -> None:
    """A thousand calls under way are one timer, and so are those that follow."""
    deadlines, loop = Deadlines(), asyncio.get_running_loop()
    set_at: list[float] = []
    call_at = loop.call_at

    def counting(when: float, *words: object, **named: object) -> asyncio.TimerHandle:
        set_at.append(when)
        return call_at(when, *words, **named)  # type: ignore[arg-type]

    loop.call_at = counting  # type: ignore[method-assign]
    try:
        for _ in range(3):
            await asyncio.gather(*(bounded(deadlines, 30, 0) for _ in range(1000)))
    finally:
        del loop.call_at
    assert len(set_at) == 1


async def test_a_cancellation_of_somebody_else_stays_one() -> None:
    """Cancelled from outside in the same turn in which the time is up: that is a cancellation, and no store is late."""
    runtime, loop = AsyncioRuntime(), asyncio.get_running_loop()
    limited = asyncio.create_task(runtime.limit(asyncio.sleep(60), 0.02))
    await asyncio.sleep(0)

    def cancel_when_it_is_time() -> None:
        time.sleep(0.01)
        loop.call_soon(limited.cancel)

    loop.call_at(loop.time() + 0.015, cancel_when_it_is_time)
    await asyncio.wait([limited])
    assert limited.cancelled()
    assert limited.cancelling() == 1


async def test_a_limit_leaves_no_trace() -> None:
    """After a limit has passed, the task is as it was: it can be cancelled, and it has not been."""
    runtime, task = AsyncioRuntime(), asyncio.current_task()
    assert task is not None
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.01 s") as caught:
        await runtime.limit(asyncio.sleep(60), 0.01)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert task.cancelling() == 0
    assert await runtime.limit(asyncio.sleep(0, "well"), 0.01) == "well"
    await asyncio.sleep(0.03)  # the time of a limit that was kept


async def test_limits_within_limits() -> None:
    """The inner one passes first, and the outer one still holds for what comes after; and the other way round."""
    runtime = AsyncioRuntime()

    async def inner() -> str:
        with pytest.raises(StoreUnavailable, match=r"0\.01 s"):
            await runtime.limit(asyncio.sleep(60), 0.01)
        await asyncio.sleep(60)
        return "never"

    with pytest.raises(StoreUnavailable, match=r"0\.05 s"):
        await runtime.limit(inner(), 0.05)
    with pytest.raises(StoreUnavailable, match=r"0\.02 s"):
        await runtime.limit(runtime.limit(asyncio.sleep(60), 5), 0.02)


def test_a_loop_is_not_kept() -> None:
    """A runtime that served a loop keeps nothing of it once it is closed."""
    runtime = AsyncioRuntime()

    async def serve() -> weakref.ref[asyncio.AbstractEventLoop]:
        await runtime.limit(asyncio.sleep(0), 30)
        await runtime.finish(asyncio.sleep(0))
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(serve()) for _ in range(3)]
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3
