"""The demo shows what an ordinary session layer loses and limpet keeps, tried when the page is loaded."""

from __future__ import annotations

import re

import pytest

from limpet.demo.app import POLICY, create_app
from limpet.demo.side_by_side import REQUESTS, compare
from limpet.demo.watch import WatchedManager
from limpet.runtime import AsyncioRuntime
from tests.demo.visitor import Visitor


async def test_the_same_requests_end_differently() -> None:
    ordinary, ours = await compare()
    assert ours.kept == REQUESTS
    assert ours.is_signed_out
    assert [text.partition(",")[0] for _, text in ours.rows] == ["a note that the session has ended"]
    assert ordinary.kept < REQUESTS
    assert ordinary.visitor == "ann"
    assert '"name": "ann"' in ordinary.rows[0][1]


async def test_the_page_shows_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    manager = WatchedManager("memory:", policy=POLICY, dev=True)
    manager.runtime = AsyncioRuntime()
    visitor = Visitor(create_app(manager, store="memory:"))
    await visitor.look()
    assert 'href="/side-by-side"' in visitor.page
    answer = await visitor.look("/side-by-side")
    assert answer.status_code == 200
    kept = re.findall(r'class="kept"><strong>(\d+)</strong>', visitor.page)
    assert len(kept) == 2
    assert kept[1] == str(REQUESTS)
    assert "signed in again" in visitor.page
    assert "stays <strong>signed out" in visitor.page
