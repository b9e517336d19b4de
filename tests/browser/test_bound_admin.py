"""The admin page in a real Chromium: which sessions are bound to their device, by which algorithm, and proven when."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.async_api import async_playwright, expect
from starlette.requests import Request
from starlette.routing import Mount

from limpet import events
from limpet.adapters.starlette import get_session
from limpet.admin import Admin
from tests.browser.sight import faults
from tests.browser.test_bound import World, bound_page, launched
from tests.security.web import served

pytestmark = pytest.mark.browser

OTHER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


def is_operator(request: Request) -> bool:
    """Let in who is signed in."""
    return get_session(request).subject is not None


async def test_the_list_and_the_page_of_a_session_say_that_it_is_bound(tmp_path: Path) -> None:
    """An operator whose own session is bound looks at it, and at one of a browser that cannot bind."""
    world = World(tmp_path, devices=True)
    world.app.router.routes.append(Mount("/sessions", Admin(world.manager, allow=is_operator)))
    with served(world.app, **world.tls) as world.port:
        trusted = ssl.create_default_context()
        trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
        async with httpx.AsyncClient(verify=trusted, headers={"user-agent": OTHER}) as browser:
            await browser.get(f"https://127.0.0.1:{world.port}/login")
        async with async_playwright() as playwright:
            context = await launched(playwright, tmp_path / "profile", world.pin)

            async def profile() -> object:
                return await context.new_page()

            page = await bound_page(world, profile)
            world.clock.advance(180)  # with the minute before: four

            await page.goto(world.url("/sessions/?q=ann"))
            rows = page.get_by_role("table", name="Sessions found").get_by_role("row")
            await expect(rows).to_have_count(3)  # with the one of the headings
            bound = rows.filter(has=page.locator(".badge", has_text="bound"))
            await expect(bound).to_have_count(1)
            await expect(bound).to_contain_text("Chrom")
            await expect(rows.filter(has_text="Firefox")).not_to_contain_text("bound")
            assert await faults(page) == {}

            await bound.get_by_role("link").first.click()
            told = page.locator("dt", has_text="Bound").locator("+ dd")
            await expect(told).to_have_text("to its device, by ES256 last proven 4 min ago")
            assert await faults(page) == {}

            await page.context.clear_cookies(name="__Host-session-bound")
            await page.reload()
            await expect(told).to_have_text("to its device, by ES256 last proven just now")
            assert world.count(events.DeviceProven) == 1

            await page.go_back()
            await rows.filter(has_text="Firefox").get_by_role("link").first.click()
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await expect(page.locator("dt", has_text="Bound")).to_have_count(0)
            await context.close()
