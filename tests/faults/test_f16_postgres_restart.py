"""F16: PostgreSQL is restarted at once, or ends connections, under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from limpet import SessionManager
from tests.faults.service import Service, add, answered, count, refused
from tests.races.counted import CountedSite

TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datid IS NOT NULL
"""
pytestmark = pytest.mark.parametrize("service", ["postgres"], indirect=True)


async def counts_on(site: CountedSite, disturb: Callable[[], Awaitable[object]]) -> None:
    """Count in twenty sessions while something happens: each 200 counts, each 503 at most once, nobody is out."""
    tokens = [await site.session(n=0) for _ in range(20)]
    going = True
    done = dict.fromkeys(tokens, 0)
    unsure = dict.fromkeys(tokens, 0)

    async def visit(token: str) -> None:
        while going:
            reply = await site.ask(add, token)
            if reply.status == 200:
                done[token] += 1
            else:
                assert refused(reply)
                unsure[token] += 1
            await asyncio.sleep(0.005)

    visitors = [asyncio.create_task(visit(token)) for token in tokens]
    await asyncio.sleep(0.05)
    await disturb()
    healed = time.monotonic()
    await answered(lambda: site.ask(add, tokens[0]))
    healed = time.monotonic() - healed
    done[tokens[0]] += 1
    before = dict(done)
    async with asyncio.timeout(10):
        while any(done[token] == before[token] for token in tokens):
            await asyncio.sleep(0.01)
    going = False
    await asyncio.gather(*visitors)
    assert healed < 2, f"the pool needed {healed:.2f} s to be well again"
    for token in tokens:
        found = await site.read(token)
        assert found is not None, "somebody was logged out"
        assert done[token] <= found["n"] <= done[token] + unsure[token]


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_f16_restarted(service: Service, mode: str) -> None:
    """``pg_ctl -m immediate restart``: what was acknowledged is there, and the pool is well soon after."""
    site = await service.site()
    await counts_on(site, lambda: asyncio.to_thread(service.server.restart, mode))  # type: ignore[call-arg]


async def test_f16_backends_are_terminated(service: Service) -> None:
    """``pg_terminate_backend`` on everybody, again and again: idle connections that died cost no reader an error."""
    site = await service.site()

    async def terminate() -> None:
        for _ in range(count(5, 100)):
            await service.administer(TERMINATE)
            await asyncio.sleep(0.02)

    await counts_on(site, terminate)
    token = await site.session(n=5)
    for _ in range(5):
        await service.administer(TERMINATE)
        assert (await site.ask(token=token)).status == 200
        assert (await site.ask(add, token)).status == 200
    assert await site.read(token) == {"n": 10}


async def test_f16_an_unlogged_table_is_empty_after_a_crash(service: Service) -> None:
    """Who made the table UNLOGGED is told so by the check; after a crash everybody is anonymous, and nobody else."""
    site = await service.site()
    await service.administer(f"ALTER TABLE {service.corner}.sessions SET UNLOGGED")
    token = await site.session(n=1)
    assert "unlogged" in " ".join(await SessionManager(service.store()).check())
    await asyncio.to_thread(service.crash)
    await asyncio.to_thread(service.revive)
    reply = await answered(lambda: site.ask(dict, token))
    assert (reply.status, reply.result, reply.token) == (200, {}, None)
    assert (await site.ask(add, token)).status == 200
