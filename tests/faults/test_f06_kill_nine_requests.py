"""F06: kill -9 of the application, or of the store's server, while requests save."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.local import finish, running, url
from tests.faults.service import Service, add, answered, count
from tests.faults.site_worker import site_of


async def survives(place: str, kills: int) -> None:
    """Kill an application at any moment of a save: what it answered 200 to is counted, and at most one more."""
    dice = random.Random(6)
    site = site_of(place)
    token = await site.session(n=0)
    total = 0
    with running("nursery", place, token, module="tests.faults.site_worker") as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(kills):
            print(file=nursery.stdin, flush=True)
            child = int(nursery.stdout.readline().removeprefix("pid "))
            acknowledged = 0
            for _ in range(dice.randrange(8)):
                assert nursery.stdout.readline() == "ack\n"
                acknowledged += 1
            time.sleep(dice.uniform(0, 0.003))
            os.kill(child, signal.SIGKILL)
            while (line := nursery.stdout.readline()) == "ack\n":
                acknowledged += 1
            assert line == f"end {-signal.SIGKILL}\n", line + (nursery.stderr.read() if nursery.stderr else "")
            found = await site.read(token)
            assert found is not None, "the session is gone"
            assert total + acknowledged <= found["n"] <= total + acknowledged + 1
            total = found["n"]
        finish(nursery)
    assert total > kills
    await site.manager.shutdown()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["file", "sqlite"])
async def test_f06_the_application_dies(kind: str, tmp_path: Path) -> None:
    """On this machine's stores."""
    await survives(url(kind, tmp_path), count(10, 1000))


@pytest.mark.timeout(900)
async def test_f06_the_application_dies_beside_a_server(service: Service) -> None:
    """On stores behind a network, where the server finds half a command on a connection that ended."""
    await service.site()
    await survives(service.url(), count(10, 1000))


@pytest.mark.timeout(900)
async def test_f06_the_server_dies(service: Service) -> None:
    """Kill -9 of the server under load: each 200 is counted, each 503 at most once, and nobody is logged out."""
    site = await service.site()
    tokens = [await site.session(n=0) for _ in range(10)]
    done = dict.fromkeys(tokens, 0)
    open_questions = dict.fromkeys(tokens, 0)

    async def visit(token: str) -> None:
        while going:
            reply = await site.ask(add, token)
            if reply.status == 200:
                done[token] += 1
            else:
                assert reply.token is None
                open_questions[token] += 1
                await asyncio.sleep(0.02)

    for _ in range(count(3, 50)):
        going = True
        visitors = [asyncio.create_task(visit(token)) for token in tokens]
        async with asyncio.timeout(30):
            while not all(done.values()):  # each has been served, however slow the machine is
                await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(0.02, 0.1))
        await asyncio.to_thread(service.crash)
        await asyncio.sleep(0.05)
        going = False
        await asyncio.gather(*visitors)
        await asyncio.to_thread(service.revive)
        for token in tokens:
            await answered(lambda: site.ask(token=token))  # noqa: B023
            found = await site.read(token)
            assert found is not None, "an outage logged somebody out"
            assert done[token] <= found["n"] <= done[token] + open_questions[token]
            done[token], open_questions[token] = found["n"], 0
