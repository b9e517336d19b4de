"""F18: a request is cancelled and another one reads its answer (CVE-2023-28858, CVE-2023-28859)."""

from __future__ import annotations

import asyncio
import contextlib
import random

from limpet import Session
from tests.faults.service import Service, add, answered, count, read
from tests.site import Answer, Gate, Handler


async def test_f18_cancelled_requests(service: Service) -> None:
    """Hundreds are cancelled at any moment: no foreign data ever, no session lost, connections back to their number."""
    site = await service.site()
    service.proxy.delay = 0.05
    tokens = {f"user{number}": "" for number in range(100)}

    async def begin(name: str) -> None:
        tokens[name] = await site.session(me=name, n=0)

    await asyncio.gather(*(begin(name) for name in tokens))
    before = service.proxy.open
    finished: list[tuple[str, Answer]] = []
    dice = random.Random(18)

    async def visit(number: int) -> None:
        await asyncio.sleep(number * 0.001)
        name = dice.choice(list(tokens))
        handler: Handler = dice.choice([read, add])
        task = asyncio.create_task(site.ask(handler, tokens[name]))
        await asyncio.sleep(dice.random() * 0.25)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            finished.append((name, await task))

    cancels = count(500, 10_000)
    await asyncio.gather(*(visit(number) for number in range(cancels)))
    assert len(finished) < cancels, "nothing was cancelled, and this shows nothing"
    assert all(reply.status == 200 for _, reply in finished)
    assert all(reply.result is None or reply.result["me"] == name for name, reply in finished), "foreign data was read"
    service.proxy.delay = 0
    for name, token in tokens.items():
        found = await answered(lambda: site.ask(read, token))  # noqa: B023
        assert found.result["me"] == name, "a session was lost, or is somebody else's"
    assert service.proxy.open <= max(before, 4)


async def test_f18_a_save_that_has_begun_is_finished(service: Service) -> None:
    """The client goes away while its save is under way: the save, or the logout, is done nevertheless."""
    site = await service.site()
    for handler, expected in ((add, {"n": 1}), (Session.logout, None)):
        token = await site.session(n=0)
        service.proxy.delay = 0.1
        gate = Gate()
        task = asyncio.create_task(site.ask(gate.then(handler), token))
        await gate.reached.wait()
        gate.opened.set()
        await asyncio.sleep(0.02)  # the save is on its way
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        service.proxy.delay = 0
        async with asyncio.timeout(5):
            while await site.read(token) != expected:
                await asyncio.sleep(0.01)
