"""What goes on when the one who waits for it is cancelled."""

from __future__ import annotations

import asyncio
import gc

import pytest

from limpet._waiting import outlived


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_task_goes_on_without_the_one_who_waits() -> None:
    """A cancelled wait ends at once with the message given; the task goes on, and its failure is nobody's."""
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        raise ZeroDivisionError

    worker = asyncio.create_task(work())
    heard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    waiting = asyncio.ensure_future(outlived(worker))
    await turns()
    waiting.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await waiting
    gate.set()
    await asyncio.wait([worker])
    del worker
    gc.collect()
    await turns()
    assert heard == []


async def test_a_time_limit_bounds_the_wait_and_not_the_task() -> None:
    """``asyncio.timeout`` and ``wait_for`` end a wait that goes through a window, and can be used again."""
    loop = asyncio.get_running_loop()
    never: asyncio.Future[int] = loop.create_future()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await outlived(never)
    assert not never.cancelled()
    never.set_result(7)
    assert await outlived(never) == 7


async def test_a_result_and_an_error_of_a_task() -> None:
    """What a task returns or raises is what its wait returns or raises, also when it has ended already."""

    async def fails() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(asyncio.sleep(0, 3))
    assert [await outlived(task), await outlived(task)] == [3, 3]
    with pytest.raises(ZeroDivisionError):
        await outlived(asyncio.create_task(fails()))


async def test_a_task_that_is_cancelled_itself() -> None:
    """A wait for a task that somebody cancels is cancelled with it."""
    task = asyncio.create_task(asyncio.sleep(60))
    waiting = asyncio.ensure_future(outlived(task))
    await turns()
    task.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
