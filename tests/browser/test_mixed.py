"""A real Chromium goes through a site that is in three frameworks: ``examples/mixed`` behind a real nginx."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.examples.mixed_site import SITES, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.xdist_group("mixed")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Return the address of nginx, in front of three applications over SQLite."""
    with serving(tmp_path, "sqlite:///sessions.db") as url:
        yield url


async def shown(tab: Page) -> tuple[str, str]:
    """Return who is logged in, and the count."""
    return await tab.inner_text("#who"), await tab.inner_text("#count")


async def test_three_tabs_of_one_visitor(chromium: Browser, site: str) -> None:
    """Log in on FastAPI, count in a tab of each at the same time, log out on Django: it is one session."""
    context = await chromium.new_context()
    tabs = {name: await context.new_page() for name in SITES}
    await tabs["fastapi"].goto(f"{site}/fastapi/")
    await tabs["fastapi"].fill("input[name=name]", "ann")
    await tabs["fastapi"].click("text=Log in")
    for name, tab in tabs.items():
        await tab.goto(f"{site}/{name}/")
        assert await shown(tab) == ("ann" if name == "django" else "1", "0")

    async def count(tab: Page) -> None:
        for _ in range(5):
            await tab.click("text=Add")
            await tab.wait_for_load_state()

    await asyncio.gather(*(count(tab) for tab in tabs.values()))
    await tabs["flask"].click("text=Django")
    assert await shown(tabs["flask"]) == ("ann", "15")
    await tabs["django"].click("text=Log out")
    for name, tab in tabs.items():
        await tab.goto(f"{site}/{name}/")
        assert await shown(tab) == ("nobody", "0")
    await context.close()
