"""What one visitor can make a worker compute, and a stream whose answer was replaced."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from limpet import Session, StoreUnavailable
from limpet.asgi import SessionMiddleware
from limpet.stores.memory import MemoryStore
from tests.laws.farm import Farm
from tests.site import Browser, Handler, Site


def _deep(depth: int, kilobytes: int) -> dict[str, Any]:
    value: dict[str, Any] = {"text": "x" * kilobytes * 1024}
    for _ in range(depth):
        value = {"in": value, "a": 1}
    return value


async def _merge(site: Farm, depth: int, kilobytes: int, together: int) -> float:
    """Let several requests change the bottom of a draft at once; return the seconds of CPU for their merges."""
    shop = site.worker()
    browser = await site.browser().begin(shop, draft=_deep(depth, kilobytes))
    gate, waiting = asyncio.Event(), asyncio.Semaphore(0)

    def edit(n: int) -> Handler:
        async def handler(session: Session) -> None:
            place = session["draft"]
            while "in" in place:
                place = place["in"]
            place[f"n{n}"] = n
            waiting.release()
            await gate.wait()

        return handler

    tabs = [browser.copy() for _ in range(together)]
    tasks = [asyncio.create_task(tab.ask(shop, edit(n))) for n, tab in enumerate(tabs)]
    for _ in tasks:
        await waiting.acquire()
    begun = time.process_time()
    gate.set()
    answers = await asyncio.gather(*tasks)
    spent = time.process_time() - begun
    assert [answer.status for answer in answers] == [200] * together

    def bottom(session: Session) -> set[str]:
        place = session["draft"]
        while "in" in place:
            place = place["in"]
        return {key for key in place if key != "text"}

    assert (await browser.ask(shop, bottom)).result == {f"n{n}" for n in range(together)}
    return spent


async def test_a_merge_costs_by_size_and_not_by_depth(site: Farm) -> None:
    """Five requests at once change the bottom of a draft of 400 KB: two hundred levels cost little more than two."""
    flat = min([await _merge(site, 2, 400, 5) for _ in range(2)])
    deep = min([await _merge(site, 200, 400, 5) for _ in range(2)])
    assert deep < 4 * flat + 0.25


class _Down(MemoryStore):
    async def create(self, key: str, record: Any, *, now: int) -> Any:
        raise StoreUnavailable("down")


@pytest.mark.parametrize("way", ["yields", "never gives way"])
async def test_a_stream_whose_answer_was_replaced_stops(way: str) -> None:
    """The save fails when a large export starts: the client gets a 503, and the export does not go on into nothing."""
    site = Farm("down", _Down)
    shop: Site = site.worker()
    made = 0
    stopped: list[str] = []

    async def export(scope: Any, receive: Any, send: Any) -> None:
        nonlocal made
        scope["session"]["exports"] = 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while made < 100_000:
                made += 1
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                if way == "yields":
                    await asyncio.sleep(0)
        finally:
            stopped.append("stopped")

    shop.app = SessionMiddleware(export, shop.manager)
    answer = await Browser().ask(shop)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert made < 10
    assert stopped == ["stopped"]
    await site.close()
