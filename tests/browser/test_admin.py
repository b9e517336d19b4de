"""A real Chromium uses the admin page: an operator in one browser ends the session of a person in another."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.admin.operator import Site, is_root
from tests.browser.sight import CONTRAST, Scheme, faults, in_sight, violations

pytestmark = pytest.mark.browser


@dataclass
class Served:
    """A site on a port."""

    site: Site
    url: str


@asynccontextmanager
async def serve(site: Site) -> AsyncIterator[Served]:
    """Serve a site on this event loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(site.app, log_level="warning", timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield Served(site, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            await running


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Return a site whose operators are those who are signed in as root."""
    site = Site(allow=is_root, show_values=True)
    async with serve(site) as running:
        yield running


@asynccontextmanager
async def operator(context: BrowserContext, served: Served) -> AsyncIterator[Page]:
    """Open the page as an operator; it must cause no error, least of all of its content security policy."""
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    await page.goto(f"{served.url}/login?as=root")
    await page.goto(f"{served.url}/sessions/")
    yield page
    assert problems == []


async def person(chromium: Browser, served: Served, name: str) -> Page:
    """Sign somebody in, in a browser of their own."""
    page = await (await chromium.new_context()).new_page()
    await page.goto(f"{served.url}/login?as={name}")
    return page


async def who(page: Page, served: Served) -> str:
    """Return who the application takes this browser for."""
    await page.goto(f"{served.url}/whoami")
    return await page.inner_text("body")


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
async def test_a_session_is_ended_from_another_browser(chromium: Browser, served: Served, script: bool) -> None:
    """Search, look, confirm; the person's next click finds nobody signed in, and the operator is told."""
    ann, phone = await person(chromium, served, "ann"), await person(chromium, served, "ann")
    context = await chromium.new_context(java_script_enabled=script)
    async with operator(context, served) as page:
        await page.get_by_label("Who, or a public id").fill("ann")
        await page.get_by_role("button", name="Find").click()
        rows = page.get_by_role("table", name="Sessions found").get_by_role("row")
        await expect(rows).to_have_count(3)  # with the one of the headings
        await page.get_by_role("link", name="End session").first.click()
        await expect(page.get_by_role("heading", name="End this session?")).to_be_visible()
        assert [await who(ann, served), await who(phone, served)] == ["ann", "ann"], "asking ends nothing"
        await page.get_by_role("button", name="End this session").click()
        await expect(page.locator("#told")).to_have_text("One session was ended.")
        assert sorted([await who(ann, served), await who(phone, served)]) == ["ann", "nobody"]

        await page.get_by_role("link", name="End all of ann").click()
        await page.get_by_role("button", name="End it").click()
        await expect(page.locator("#result")).to_contain_text("Nobody called ann has a live session")
        assert [await who(ann, served), await who(phone, served)] == ["nobody", "nobody"]


async def test_the_figures_stay_up_to_date(chromium: Browser, served: Served) -> None:
    """By themselves, and not while they are told not to."""
    async with operator(await chromium.new_context(), served) as page:
        await expect(page.locator("#total-logins")).to_have_text("1")
        await page.locator("#numbers summary").click()
        await page.get_by_label("Who, or a public id").focus()
        await person(chromium, served, "ann")
        await expect(page.locator("#total-logins")).to_have_text("2", timeout=12_000)
        await expect(page.locator("#live-sessions")).to_have_text("2", timeout=12_000)
        await expect(page.locator("#numbers")).to_have_attribute("open", "")
        await expect(page.locator("#charts")).to_contain_text("2 logins and 0 ends in the last hour")
        await page.get_by_label("Keep the figures up to date").uncheck()
        await expect(page.locator("#updated")).to_have_text("The figures stay as they are.")


async def test_an_operator_no_more(chromium: Browser, served: Served) -> None:
    """Whoever may no longer look is told so by the page itself, and sees nothing new."""
    async with operator(await chromium.new_context(), served) as page:
        await served.site.manager.revoke_all("root")
        await expect(page.locator("#updated")).to_contain_text("You may not see this any more", timeout=12_000)
        await page.reload()
        await expect(page.get_by_role("heading")).to_have_text("This page is for operators only")


async def test_the_keyboard_is_enough(chromium: Browser, served: Served) -> None:
    """From the address to the end of a session without a mouse; the focus is always seen."""
    await person(chromium, served, "ann")
    async with operator(await chromium.new_context(), served) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        for _ in range(20):
            await page.keyboard.press("Tab")
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", await page.evaluate("document.activeElement.outerHTML")
            if await page.evaluate("document.activeElement.id") == "q":
                break
        await page.keyboard.type("ann")
        await page.keyboard.press("Enter")
        await expect(page.locator("#result")).to_contain_text("1 live session of ann")
        await page.get_by_role("link", name="End session").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="End this session").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#told")).to_have_text("One session was ended.")


async def test_screen_readers_have_something_to_say(chromium: Browser, served: Served) -> None:
    """Landmarks and one heading of the first level on every page; a name for each control, figure, table and chart."""
    await person(chromium, served, "ann")
    [public_id] = await served.site.ids("ann")
    async with operator(await chromium.new_context(), served) as page:
        for path in ("/", f"/id/{public_id}", f"/id/{public_id}/end", "/end-all?subject=ann", "/?q=ann", "/nothing"):
            await page.goto(f"{served.url}/sessions{path}")
            for role in ("main", "banner"):
                await expect(page.get_by_role(role)).to_have_count(1)  # pyright: ignore[reportArgumentType]
            await expect(page.get_by_role("heading", level=1)).to_have_count(1)
            for role in ("button", "searchbox", "checkbox", "link", "table", "img", "region", "navigation"):
                for control in await page.get_by_role(role).all():  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
                    snapshot = await control.aria_snapshot()
                    assert re.match(rf'- {role} "[^"]+"', snapshot), f"{path}: {snapshot[:200]}"
            for cell in await page.get_by_role("columnheader").all():
                assert await cell.inner_text(), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
async def test_everything_can_be_read(chromium: Browser, served: Served, scheme: Scheme, width: int) -> None:
    """axe finds nothing, contrast is as WCAG asks, and nothing sticks out, with little and with much on the page."""
    context = await in_sight(chromium, scheme, width)
    async with operator(context, served) as page:
        longest = "x" * 120
        for name in ("ann", "ann", longest, None):
            await served.site.visitor(name, "a-very-long-user-agent/" + "y" * 200)
        [public_id] = await served.site.ids(longest)
        for path in (
            "/",
            "/?q=ann",
            f"/?q={longest}",
            f"/id/{public_id}",
            f"/id/{public_id}/end",
            "/end-all?subject=ann",
            "/nothing",
        ):
            await page.goto(f"{served.url}/sessions{path}")
            assert await faults(page) == {}, path


async def test_cookie_sessions_are_explained(chromium: Browser) -> None:
    """Where the server keeps nothing the page says so, and shows what it has seen."""
    async with serve(Site("cookie:", allow=lambda request: True)) as served:
        async with operator(await chromium.new_context(), served) as page:
            await expect(page.get_by_role("heading", name="These sessions live in their cookies")).to_be_visible()
            await expect(page.locator("#total-logins")).to_have_text("1")
            assert await page.evaluate(CONTRAST) == []
            assert await violations(page) == []
