"""F17: many more requests at once than connections."""

from __future__ import annotations

import asyncio

from tests.faults.service import Service, add, answered, count
from tests.races.counted import CountedSite


async def test_f17_three_hundred_requests_on_ten_connections(service: Service) -> None:
    """No error, and never an eleventh connection; each request counts in the session of its own visitor.

    On an event loop all share one connection to Redis.
    """
    site = CountedSite(service.store(max_connections=10, timeout=5.0), store_timeout=5.0)  # all are to be served
    await answered(lambda: site.ask(add))
    requests = 100 if service.threads else count(300, 3_000)  # each call has a connection of its own there
    tokens = [await site.session(n=0) for _ in range(100)]
    service.proxy.most = service.proxy.open
    service.proxy.delay = 0.01
    replies = await asyncio.gather(*(site.ask(add, tokens[number % 100]) for number in range(requests)))
    assert [reply.status for reply in replies] == [200] * requests
    service.proxy.delay = 0
    assert [await site.read(token) for token in tokens] == [{"n": requests // 100}] * 100
    assert service.proxy.most <= 10
    assert (service.proxy.most == 1) is (service.kind == "redis" and not service.threads)


async def test_f17_new_visitors_all_at_once(service: Service) -> None:
    """Three hundred first visits, and the connections are not open yet: three hundred sessions. Threads: a hundred."""
    ready = await service.site()
    await ready.manager.shutdown()
    site = CountedSite(service.store(max_connections=10, timeout=5.0), store_timeout=5.0)  # all are to be served
    requests = 100 if service.threads else 300  # each call has a connection of its own there
    replies = await asyncio.gather(*(site.ask(add) for _ in range(requests)))
    assert [reply.status for reply in replies] == [200] * requests
    assert len({reply.token for reply in replies}) == requests
