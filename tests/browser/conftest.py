"""Chromium, driven by Playwright; one for the whole run, with a fresh profile for each test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM: Final = Path(os.environ.get("LIMPET_TEST_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Return a browser without any cookies."""
    if not CHROMIUM.exists():
        pytest.fail("these tests need Chromium: apt-get install -y --no-install-recommends chromium", pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()
