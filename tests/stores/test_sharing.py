"""Commands that travel together, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.errors import StoreUnavailable
from holdfast.stores._sharing import Sharing


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
