"""What goes on when the one who waits for it is cancelled."""

from __future__ import annotations

import asyncio
import gc

import pytest

from limpet._waiting import Progress, outlived, run_detachable


class Exchange:
    """Sends, and waits for an answer in two parts; or is still on its way to where it would send."""

    def __init__(self, *, sends: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self.progress: Progress[int] = Progress()
        self.parts = loop.create_future(), loop.create_future()
        self.ended: list[str] = []
        self._sends = sends

    async def steps(self) -> int:
        self.progress.sent = self._sends
        try:
            first: int = await self.parts[0]
            await asyncio.sleep(0)
            second: int = await self.parts[1]
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("answered")
        return first + second


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_result_is_the_coroutines() -> None:
    """Nobody is cancelled: a run_detachable is an await, through several waits and a mere pause."""
    exchange = Exchange()
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    exchange.parts[0].set_result(1)
    await turns()
    exchange.parts[1].set_result(2)
    assert await task == 3
    assert exchange.progress.rest is None


@pytest.mark.parametrize("sends", [True, False])
async def test_errors_arrive_where_they_are_awaited(sends: bool) -> None:
    """A future that fails raises inside the coroutine, and what leaves that is the caller's."""
    exchange = Exchange(sends=sends)
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    exchange.parts[0].set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task
    assert exchange.ended == ["ZeroDivisionError"]


async def test_an_answer_to_come_is_still_waited_for() -> None:
    """The caller is cancelled at once; the rest is the coroutine where it was, and ends as it would have ended."""
    exchange = Exchange()
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.ended == []
    assert not exchange.parts[0].cancelled()
    assert exchange.progress.rest is not None
    rest = asyncio.create_task(exchange.progress.rest)
    exchange.parts[0].set_result(1)
    await turns()
    exchange.parts[1].set_result(2)
    assert await rest == 3
    assert exchange.ended == ["answered"]


async def test_the_answer_and_the_cancellation_in_one_turn() -> None:
    """The answer has come, and before the caller sees it, it is cancelled: it is cancelled, and the rest goes on."""
    exchange = Exchange()
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    exchange.parts[0].set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.progress.rest is not None
    exchange.parts[1].set_result(2)
    assert await exchange.progress.rest == 3


async def test_the_rest_can_be_cancelled() -> None:
    """Whoever sees the rest to its end can give up, too, and then the coroutine hears of it."""
    exchange = Exchange()
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert exchange.progress.rest is not None
    rest = asyncio.create_task(exchange.progress.rest)
    await turns()
    rest.cancel()
    await asyncio.wait([rest])
    assert rest.cancelled()
    assert exchange.ended == ["CancelledError"]


async def test_what_was_not_sent_is_given_up() -> None:
    """Before anything was sent a cancellation is the coroutine's, as in any await, and its future is cancelled."""
    exchange = Exchange(sends=False)
    task = asyncio.ensure_future(run_detachable(exchange.steps(), exchange.progress))
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert exchange.ended == ["CancelledError"]
    assert exchange.parts[0].cancelled()
    assert exchange.progress.rest is None


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
