"""Commands that travel together, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from limpet._waiting import Trip
from limpet.errors import StoreUnavailable
from limpet.stores._sharing import Sharing


class Carrier:
    """Answers each number with its square, when it is let."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, list[int]]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, kind: str, questions: Sequence[int]) -> list[int | Exception]:
        self.loads.append((kind, list(questions)))
        await self.open.wait()
        return [ValueError(f"{question}") if question < 0 else question**2 for question in questions]


def share(carrier: Carrier, *, timeout: float = 5, lanes: int = 1, most: int = 100) -> Sharing[int, int]:
    return Sharing(carrier, where="the test", timeout=timeout, lanes=lanes, most=most)


async def test_one_turn_is_one_load() -> None:
    """What is asked in one turn of the loop goes in one call, and each caller gets its own answer."""
    carrier = Carrier()
    sharing = share(carrier)
    assert await asyncio.gather(*(sharing.ask("a", number) for number in range(50))) == [n * n for n in range(50)]
    assert carrier.loads == [("a", list(range(50)))]


async def test_kinds_take_turns() -> None:
    """Kinds do not mix, a load has its bound, and none of them starves another."""
    carrier = Carrier()
    sharing = share(carrier, most=2)
    await asyncio.gather(*(sharing.ask(kind, 1) for kind in "aaaab"))
    assert carrier.loads == [("a", [1, 1]), ("b", [1]), ("a", [1, 1])]


async def test_lanes_bound_what_is_under_way() -> None:
    """While all lanes are busy questions wait, and then go together."""
    carrier = Carrier()
    carrier.open.clear()
    sharing = share(carrier, lanes=2)
    answers = []
    for number in range(6):
        answers.append(sharing.ask("a", number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [len(load) for _, load in carrier.loads] == [1, 1]
    carrier.open.set()
    assert await asyncio.gather(*answers) == [0, 1, 4, 9, 16, 25]
    assert [len(load) for _, load in carrier.loads] == [1, 1, 4]


async def test_a_failed_question_fails_alone() -> None:
    """An exception in the place of an answer is raised to that caller only."""
    sharing = share(Carrier())
    answers = await asyncio.gather(*(sharing.ask("a", number) for number in (2, -1, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (4, 9)
    assert isinstance(answers[1], ValueError)


async def test_cancelled_before_it_was_sent() -> None:
    """A question whose caller went away while it waited is never sent."""
    carrier = Carrier()
    carrier.open.clear()
    sharing = share(carrier)
    first = sharing.ask("a", 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second, third = sharing.ask("a", 2), sharing.ask("a", 3)
    second.cancel()
    carrier.open.set()
    assert (await first, await third) == (1, 9)
    assert carrier.loads == [("a", [1]), ("a", [3])]


async def test_cancelled_while_under_way() -> None:
    """A caller that goes away while its load is under way disturbs nobody else in it."""
    carrier = Carrier()
    carrier.open.clear()
    sharing = share(carrier)
    answers = [sharing.ask("a", number) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers[1].cancel()
    carrier.open.set()
    assert (await answers[0], await answers[2]) == (0, 4)


async def test_nobody_waits_longer_than_the_timeout() -> None:
    """The timeout counts from asking: who waited for a lane has less left, and the lane is free again afterwards."""
    carrier = Carrier()
    carrier.open.clear()
    sharing = share(carrier, timeout=0.1)
    loop = asyncio.get_running_loop()
    first = sharing.ask("a", 1)
    await asyncio.sleep(0.05)
    begun = loop.time()
    second = sharing.ask("a", 2)
    for answer in (first, second):
        with pytest.raises(StoreUnavailable, match=r"the test did not answer within 0\.1 s"):
            await answer
    assert 0.08 < loop.time() - begun < 0.14
    carrier.open.set()
    assert await sharing.ask("a", 3) == 9


async def test_drain_waits_for_everything() -> None:
    """Draining ends when all that was asked is answered."""
    carrier = Carrier()
    sharing = share(carrier, most=1)
    answers = [sharing.ask("a", number) for number in range(5)]
    await sharing.drain()
    assert [answer.result() for answer in answers] == [0, 1, 4, 9, 16]


async def test_a_defect_is_shown_as_it_is() -> None:
    """An error that is no outage reaches the callers unchanged."""

    async def broken(kind: str, questions: Sequence[int]) -> list[int | Exception]:
        raise ZeroDivisionError(kind)

    sharing: Sharing[int, int] = Sharing(broken, where="the test", timeout=1, lanes=1)
    with pytest.raises(ZeroDivisionError):
        await sharing.ask("a", 1)


class Rider(Carrier):
    """Carries a question alone, too, in the task of its caller."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[int] = []
        self.answered: list[int] = []

    async def ride(self, kind: str, question: int, trip: Trip[int]) -> int:
        self.alone.append(question)
        await asyncio.sleep(0)
        trip.sent = True
        await self.open.wait()
        trip.sent = False
        self.answered.append(question)
        if question < 0:
            raise ValueError(f"{question}")
        return question**2


async def ridden(rider: Rider, *, within: float = 5, lanes: int = 1) -> Sharing[int, int]:
    """Return what has just seen one question alone."""
    sharing: Sharing[int, int] = Sharing(rider, where="the test", timeout=within, lanes=lanes, alone=rider.ride)
    assert await sharing.put("a", 1) == 1
    return sharing


async def test_alone_after_alone_goes_straight_out() -> None:
    """Questions that come one at a time are carried by those who ask; an error of one is raised there."""
    rider = Rider()
    sharing = await ridden(rider)
    assert [await sharing.put("a", number) for number in (2, 3)] == [4, 9]
    with pytest.raises(ValueError, match="-4"):
        await sharing.put("a", -4)
    assert rider.alone == [2, 3, -4]
    assert rider.loads == [("a", [1])]


async def test_a_crowd_is_gathered_again() -> None:
    """When many ask at once the first may be on its way, and all others go together; so do all in the next turn."""
    rider = Rider()
    sharing = await ridden(rider, lanes=2)

    async def ask(number: int) -> list[int]:
        return [await sharing.put("a", number), await sharing.put("a", -number)]

    rider.open.clear()
    asyncio.get_running_loop().call_later(0.01, rider.open.set)
    answers = await asyncio.gather(*(ask(number) for number in range(10)), return_exceptions=True)
    assert answers[0] == [0, 0]
    assert [str(answer) for answer in answers[1:]] == [f"-{number}" for number in range(1, 10)]
    assert rider.loads[1] == ("a", list(range(1, 10)))
    assert rider.alone[0] == 0
    assert len(rider.alone) + sum(len(load) for _, load in rider.loads) == 1 + 20
    assert len(rider.alone) + len(rider.loads) <= 6


async def test_a_rider_that_is_cancelled_is_seen_to_its_end() -> None:
    """Its caller is gone at once; the lane is taken until the answer came, and those behind it wait for that."""
    rider = Rider()
    sharing = await ridden(rider)
    rider.open.clear()
    rider_task = asyncio.ensure_future(sharing.put("a", 2))
    await asyncio.sleep(0.01)
    rider_task.cancel()
    await asyncio.wait([rider_task])
    assert rider_task.cancelled()
    behind = asyncio.ensure_future(sharing.put("a", 3))
    await asyncio.sleep(0.01)
    assert rider.loads == [("a", [1])], "the lane was given away before its answer came"
    assert not rider.answered
    rider.open.set()
    assert await behind == 9
    assert rider.answered == [2]
    assert await sharing.put("a", 4) == 16
    assert rider.alone == [2, 4]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_no_rider_stays_longer_than_the_timeout(cancelled: bool) -> None:
    """An answer that never comes frees its caller and its lane in time, also if the caller went away before."""
    rider = Rider()
    sharing = await ridden(rider, within=0.1)
    rider.open.clear()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    riding = asyncio.ensure_future(sharing.put("a", 2))
    await asyncio.sleep(0.02)
    if cancelled:
        riding.cancel()
        await asyncio.wait([riding])
        await sharing.drain()
    else:
        with pytest.raises(StoreUnavailable, match=r"the test did not answer within 0\.1 s"):
            await riding
        assert riding.cancelling() == 0
        await sharing.drain()
    assert 0.09 < loop.time() - begun < 0.15
    rider.open.set()
    assert await sharing.put("a", 3) == 9
    assert rider.answered == [3]


async def test_drain_waits_for_riders() -> None:
    """Draining ends when those who ride have arrived, and when what a cancelled one left behind is answered."""
    rider = Rider()
    sharing = await ridden(rider)
    for cancelled in (False, True):
        rider.open.clear()
        riding = asyncio.ensure_future(sharing.put("a", 2))
        await asyncio.sleep(0.01)
        if cancelled:
            riding.cancel()
            await asyncio.wait([riding])
        draining = [asyncio.ensure_future(sharing.drain()) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert not any(each.done() for each in draining)
        rider.open.set()
        await asyncio.gather(*draining)
        assert len(rider.answered) == 1 + cancelled
        await asyncio.wait([riding])
