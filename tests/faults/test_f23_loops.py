"""F23: one application in several event loops."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from limpet.stores import open_store
from tests.faults.service import add, read
from tests.races.counted import CountedSite


@pytest.fixture(params=["redis", "postgres", "sqlite", "file", "memory"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> CountedSite:
    def given(name: str) -> Any:
        return request.getfixturevalue(name)

    kind = request.param
    if kind == "redis":
        return CountedSite(
            open_store(f"{given('redis_url')}?prefix={given('redis_prefix')}&timeout=10"), store_timeout=10
        )
    if kind == "postgres":
        schema = given("postgres_schema").replace('"', "%22").replace(" ", "%20")
        return CountedSite(open_store(f"{given('postgres_url')}?schema={schema}&timeout=10"), store_timeout=10)
    urls = {"sqlite": f"sqlite:///{tmp_path}/s.db", "file": f"file:{tmp_path}/s", "memory": "memory:"}
    return CountedSite(open_store(urls[kind]), store_timeout=10)  # it is not about time, and the machine may be busy


async def visits(site: CountedSite) -> str:
    token = await site.session(n=0)
    await asyncio.gather(*(site.ask(add, token) for _ in range(10)))
    assert (await site.ask(read, token)).result == {"n": 10}
    return token


def test_f23_loop_after_loop(site: CountedSite) -> None:
    """``asyncio.run`` twice on one application, which was never shut down in between: no hang, no error."""
    token = asyncio.run(visits(site))

    async def again() -> None:
        assert await site.read(token) == {"n": 10}
        await visits(site)
        await site.manager.shutdown()

    asyncio.run(again())


def test_f23_loops_at_once(site: CountedSite) -> None:
    """Three threads with a loop each serve requests with one manager."""
    done: list[str] = []

    async def work() -> None:
        done.extend([await visits(site) for _ in range(3)])
        await site.manager.shutdown()

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(done)) == 9
