"""Two real browsers of one person: from one of them the other is signed out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.sight import Scheme, faults, in_sight
from tests.demo.server import DemoServer

pytestmark = pytest.mark.browser

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1"


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with DemoServer() as demo:
        yield demo


@asynccontextmanager
async def signed_in(context: BrowserContext, server: DemoServer, name: str) -> AsyncIterator[Page]:
    """Sign in in a fresh browser; the page must cause no error."""
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    await page.goto(server.url)
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#who")).to_have_text(f"Signed in as {name}")
    yield page
    assert problems == []


async def test_a_phone_is_signed_out_from_the_desk(chromium: Browser, server: DemoServer) -> None:
    """The phone is on the list, one press ends it, and its next click finds nobody signed in."""
    on_phone, on_desk = await chromium.new_context(user_agent=PHONE), await chromium.new_context()
    async with signed_in(on_phone, server, "Ann") as phone, signed_in(on_desk, server, "Ann") as desk:
        await phone.get_by_role("button", name="Add tea").click()
        await expect(phone.locator("#cart")).to_contain_text("1 ×")
        await desk.get_by_role("link", name="Your devices").first.click()
        rows = desk.get_by_role("list", name="Your devices").get_by_role("listitem")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("this device")
        await expect(rows.last).to_contain_text("Mobile Safari 18 on iOS")
        await rows.last.get_by_role("button", name="Sign out Mobile Safari").click()
        await expect(desk.get_by_role("status")).to_have_text("Signed out: Mobile Safari 18 on iOS.")
        await expect(rows).to_have_count(1)

        await phone.get_by_role("button", name="Add 1").click()
        await expect(phone.locator("#who")).to_have_text("Not signed in")
        await expect(phone.locator("#cart")).to_contain_text("The cart is empty.")
        await desk.reload()
        await expect(desk.locator("#who")).to_have_text("Signed in as Ann")


async def test_a_press_ends_no_other_device_than_the_one_pressed(chromium: Browser, server: DemoServer) -> None:
    """The list changes while the mouse is down on one device's button; the one that took its place stays signed in."""
    contexts = [await chromium.new_context(user_agent=agent) for agent in (PHONE, None, None)]
    async with (
        signed_in(contexts[0], server, "Zoe") as phone,
        signed_in(contexts[1], server, "Zoe") as other,
        signed_in(contexts[2], server, "Zoe") as desk,
        desk.context.expect_page() as opened,
    ):
        await desk.goto(f"{server.url}account")
        rows = desk.get_by_role("list", name="Your devices").get_by_role("listitem")
        await expect(rows).to_have_count(3)
        await rows.nth(1).get_by_role("button").hover()
        await desk.mouse.down()
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.locator("#who")).to_have_text("Not signed in")
        await desk.evaluate("window.open('/')")
        await (await opened.value).get_by_role("button", name="Add tea").click()  # which the list hears of
        await expect(rows).to_have_count(2)
        await desk.mouse.up()
        await desk.wait_for_timeout(500)  # for a form that would be sent
        await phone.reload()
        await expect(phone.locator("#who")).to_have_text("Signed in as Zoe")


async def test_all_others_are_signed_out(chromium: Browser, server: DemoServer) -> None:
    """Also without JavaScript, and by keyboard."""
    contexts = [await chromium.new_context(), await chromium.new_context(java_script_enabled=False)]
    async with signed_in(contexts[0], server, "Eve") as other, signed_in(contexts[1], server, "Eve") as here:
        await here.goto(f"{server.url}account")
        await here.get_by_role("button", name="Sign out the other device").focus()
        await here.keyboard.press("Enter")
        await expect(here.get_by_role("status")).to_have_text("Signed out: 1 other device.")
        await expect(here.get_by_role("list", name="Your devices").get_by_role("listitem")).to_have_count(1)
        await other.reload()
        await expect(other.locator("#who")).to_have_text("Not signed in")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_the_list_can_be_read(chromium: Browser, server: DemoServer, scheme: Scheme, width: int) -> None:
    """axe finds nothing, contrast is as WCAG asks, and nothing sticks out, with one device and with several."""
    name = f"{scheme}-{width}-" + "A" * 20
    for agent in (PHONE, None, "x" * 200):
        context = await in_sight(chromium, scheme, width, user_agent=agent)
        async with signed_in(context, server, name) as page:
            await page.goto(f"{server.url}account")
            assert await faults(page) == {}
