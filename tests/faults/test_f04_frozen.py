"""F04: the store hangs, or is slow."""

from __future__ import annotations

import asyncio

from tests.faults.records import bare_timers
from tests.faults.service import Service, add, answered, count, read, refused, timed, unrelated

BUDGET = 1.0  # seconds, the policy's store_timeout
ALLOWANCE = 0.05


async def test_f04_a_frozen_server_costs_the_budget_and_no_more(service: Service) -> None:
    """SIGSTOP: of two hundred requests the 99th percentile is within the budget; other routes notice nothing."""
    site = await service.site(lazy=False)
    token = await site.session(n=1)
    plain = await site.session(n=1)
    service.server.freeze()
    try:

        async def visit(number: int) -> float:
            await asyncio.sleep(number * 0.002)
            seconds, reply = await timed(site, read if number % 2 else add, token)
            assert refused(reply)
            return seconds

        async def elsewhere() -> float:
            await asyncio.sleep(0.2)
            seconds, reply = await timed(site, unrelated)
            assert reply.status == 200
            return seconds

        requests = count(200, 2_000)
        timers = asyncio.create_task(bare_timers(BUDGET, requests // 10, 0.02))
        *waited, other = await asyncio.gather(*(visit(number) for number in range(requests)), elsewhere())
        limit = await timers + ALLOWANCE
    finally:
        service.server.thaw()
    waited.sort()
    slow = waited[int(requests * 0.99) - 1]
    assert slow < limit, f"99 of 100 requests must end within {limit:.3f} s, and the last took {slow:.3f} s"
    assert other < 0.25, f"a route without the session took {other:.3f} s"
    reply = await answered(lambda: site.ask(read, plain), 1.0)
    assert reply.result == {"n": 1}, "well again within a second"


async def test_f04_a_slow_server_is_only_slow(service: Service) -> None:
    """Answers that are 100 ms late make slow pages and no errors, in fifty sessions at once. Threads: in fifteen."""
    site = await service.site()
    sessions = 15 if service.threads else 50  # each opens a connection of its own there
    tokens = [await site.session(n=0) for _ in range(sessions)]
    service.proxy.delay = 0.1
    replies = await asyncio.gather(*(site.ask(add, token) for token in tokens))
    assert [reply.status for reply in replies] == [200] * sessions
    service.proxy.delay = 0
    assert [await site.read(token) for token in tokens] == [{"n": 1}] * sessions
