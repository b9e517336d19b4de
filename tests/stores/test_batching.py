"""Commands that share a batch, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from limpet._waiting import Progress
from limpet.errors import StoreUnavailable
from limpet.stores._aio.batching import Batching


class Service:
    """Answers each number with its square, when it is let."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, kind: str, questions: Sequence[int]) -> list[int | Exception]:
        self.batches.append((kind, list(questions)))
        await self.open.wait()
        return [ValueError(f"{question}") if question < 0 else question**2 for question in questions]


def batching_of(service: Service, *, timeout: float = 5, at_once: int = 1, most: int = 100) -> Batching[int, int]:
    return Batching(service, where="the test", timeout=timeout, at_once=at_once, most=most)


async def test_one_turn_is_one_load() -> None:
    """What is asked in one turn of the loop goes in one call, and each caller gets its own answer."""
    service = Service()
    batching = batching_of(service)
    assert await asyncio.gather(*(batching.ask("a", number) for number in range(50))) == [n * n for n in range(50)]
    assert service.batches == [("a", list(range(50)))]


async def test_kinds_take_turns() -> None:
    """Kinds do not mix, a batch has its bound, and none of them starves another."""
    service = Service()
    batching = batching_of(service, most=2)
    await asyncio.gather(*(batching.ask(kind, 1) for kind in "aaaab"))
    assert service.batches == [("a", [1, 1]), ("b", [1]), ("a", [1, 1])]


async def test_lanes_bound_what_is_under_way() -> None:
    """While all at_once are busy questions wait, and then go together."""
    service = Service()
    service.open.clear()
    batching = batching_of(service, at_once=2)
    answers = []
    for number in range(6):
        answers.append(batching.ask("a", number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [len(batch) for _, batch in service.batches] == [1, 1]
    service.open.set()
    assert await asyncio.gather(*answers) == [0, 1, 4, 9, 16, 25]
    assert [len(batch) for _, batch in service.batches] == [1, 1, 4]


async def test_a_failed_question_fails_alone() -> None:
    """An exception in the place of an answer is raised to that caller only."""
    batching = batching_of(Service())
    answers = await asyncio.gather(*(batching.ask("a", number) for number in (2, -1, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (4, 9)
    assert isinstance(answers[1], ValueError)


async def test_cancelled_before_it_was_sent() -> None:
    """A question whose caller went away while it waited is never sent."""
    service = Service()
    service.open.clear()
    batching = batching_of(service)
    first = batching.ask("a", 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second, third = batching.ask("a", 2), batching.ask("a", 3)
    second.cancel()
    service.open.set()
    assert (await first, await third) == (1, 9)
    assert service.batches == [("a", [1]), ("a", [3])]


async def test_cancelled_while_under_way() -> None:
    """A caller that goes away while its batch is under way disturbs nobody else in it."""
    service = Service()
    service.open.clear()
    batching = batching_of(service)
    answers = [batching.ask("a", number) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers[1].cancel()
    service.open.set()
    assert (await answers[0], await answers[2]) == (0, 4)


async def test_nobody_waits_longer_than_the_timeout() -> None:
    """The timeout counts from asking: waiting for a free place is part of it, and the place is free again."""
    service = Service()
    service.open.clear()
    batching = batching_of(service, timeout=0.1)
    loop = asyncio.get_running_loop()
    first = batching.ask("a", 1)
    await asyncio.sleep(0.05)
    begun = loop.time()
    second = batching.ask("a", 2)
    for answer in (first, second):
        with pytest.raises(StoreUnavailable, match=r"the test did not answer within 0\.1 s"):
            await answer
    assert 0.08 < loop.time() - begun < 0.14
    service.open.set()
    assert await batching.ask("a", 3) == 9


async def test_drain_waits_for_everything() -> None:
    """Draining ends when all that was asked is answered."""
    service = Service()
    batching = batching_of(service, most=1)
    answers = [batching.ask("a", number) for number in range(5)]
    await batching.drain()
    assert [answer.result() for answer in answers] == [0, 1, 4, 9, 16]


async def test_a_defect_is_shown_as_it_is() -> None:
    """An error that is no outage reaches the callers unchanged."""

    async def broken(kind: str, questions: Sequence[int]) -> list[int | Exception]:
        raise ZeroDivisionError(kind)

    batching: Batching[int, int] = Batching(broken, where="the test", timeout=1, at_once=1)
    with pytest.raises(ZeroDivisionError):
        await batching.ask("a", 1)


class DirectService(Service):
    """Carries a question alone, too, in the task of its caller."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[int] = []
        self.answered: list[int] = []

    async def send_one(self, kind: str, question: int, progress: Progress[int]) -> int:
        self.alone.append(question)
        await asyncio.sleep(0)
        progress.sent = True
        await self.open.wait()
        progress.sent = False
        self.answered.append(question)
        if question < 0:
            raise ValueError(f"{question}")
        return question**2


async def asked_once(direct_service: DirectService, *, within: float = 5, at_once: int = 1) -> Batching[int, int]:
    """Return what has just seen one question alone."""
    batching: Batching[int, int] = Batching(
        direct_service, where="the test", timeout=within, at_once=at_once, send_one=direct_service.send_one
    )
    assert await batching.ask_directly("a", 1) == 1
    return batching


async def test_alone_after_alone_goes_straight_out() -> None:
    """Questions that come one at a time are carried by those who ask; an error of one is raised there."""
    direct_service = DirectService()
    batching = await asked_once(direct_service)
    assert [await batching.ask_directly("a", number) for number in (2, 3)] == [4, 9]
    with pytest.raises(ValueError, match="-4"):
        await batching.ask_directly("a", -4)
    assert direct_service.alone == [2, 3, -4]
    assert direct_service.batches == [("a", [1])]


async def test_a_crowd_is_gathered_again() -> None:
    """When many ask at once the first may be on its way, and all others go together; so do all in the next turn."""
    direct_service = DirectService()
    batching = await asked_once(direct_service, at_once=2)

    async def ask(number: int) -> list[int]:
        return [await batching.ask_directly("a", number), await batching.ask_directly("a", -number)]

    direct_service.open.clear()
    asyncio.get_running_loop().call_later(0.01, direct_service.open.set)
    answers = await asyncio.gather(*(ask(number) for number in range(10)), return_exceptions=True)
    assert answers[0] == [0, 0]
    assert [str(answer) for answer in answers[1:]] == [f"-{number}" for number in range(1, 10)]
    assert direct_service.batches[1] == ("a", list(range(1, 10)))
    assert direct_service.alone[0] == 0
    assert len(direct_service.alone) + sum(len(batch) for _, batch in direct_service.batches) == 1 + 20
    assert len(direct_service.alone) + len(direct_service.batches) <= 6


async def test_a_rider_that_is_cancelled_is_seen_to_its_end() -> None:
    """Its caller is gone at once; its place is taken until the answer came, and those behind it wait for that."""
    direct_service = DirectService()
    batching = await asked_once(direct_service)
    direct_service.open.clear()
    rider_task = asyncio.ensure_future(batching.ask_directly("a", 2))
    await asyncio.sleep(0.01)
    rider_task.cancel()
    await asyncio.wait([rider_task])
    assert rider_task.cancelled()
    behind = asyncio.ensure_future(batching.ask_directly("a", 3))
    await asyncio.sleep(0.01)
    assert direct_service.batches == [("a", [1])], "its place was given away before its answer came"
    assert not direct_service.answered
    direct_service.open.set()
    assert await behind == 9
    assert direct_service.answered == [2]
    assert await batching.ask_directly("a", 4) == 16
    assert direct_service.alone == [2, 4]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_no_rider_stays_longer_than_the_timeout(cancelled: bool) -> None:
    """An answer that never comes frees its caller and its place in time, also if the caller went away before."""
    direct_service = DirectService()
    batching = await asked_once(direct_service, within=0.1)
    direct_service.open.clear()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    direct = asyncio.ensure_future(batching.ask_directly("a", 2))
    await asyncio.sleep(0.02)
    if cancelled:
        direct.cancel()
        await asyncio.wait([direct])
        await batching.drain()
    else:
        with pytest.raises(StoreUnavailable, match=r"the test did not answer within 0\.1 s"):
            await direct
        assert direct.cancelling() == 0
        await batching.drain()
    assert 0.09 < loop.time() - begun < 0.15
    direct_service.open.set()
    assert await batching.ask_directly("a", 3) == 9
    assert direct_service.answered == [3]


async def test_drain_waits_for_riders() -> None:
    """Draining ends when those sent directly are answered, and when what a cancelled one left behind is answered."""
    direct_service = DirectService()
    batching = await asked_once(direct_service)
    for cancelled in (False, True):
        direct_service.open.clear()
        direct = asyncio.ensure_future(batching.ask_directly("a", 2))
        await asyncio.sleep(0.01)
        if cancelled:
            direct.cancel()
            await asyncio.wait([direct])
        draining = [asyncio.ensure_future(batching.drain()) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert not any(each.done() for each in draining)
        direct_service.open.set()
        await asyncio.gather(*draining)
        assert len(direct_service.answered) == 1 + cancelled
        await asyncio.wait([direct])
