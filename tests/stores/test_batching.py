"""Commands that share a batch, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

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
