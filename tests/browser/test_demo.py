"""A real Chromium uses the demo over a real server: what a person sees is what is promised."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.sight import Scheme, faults, in_sight
from tests.demo.server import DemoServer

pytestmark = pytest.mark.browser


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer() as running:
        yield running


@asynccontextmanager
async def tab(context: BrowserContext, server: DemoServer) -> AsyncIterator[Page]:
    """Open the demo in a new tab; an error of its script, or a breach of its policy, fails the test at the end."""
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    await page.goto(server.url)
    yield page
    assert problems == []


async def sign_in(page: Page, name: str = "Ann") -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#who")).to_have_text(f"Signed in as {name}")


async def press(page: Page, button: str) -> None:
    # The name of a button that adds something ends with the price.
    await page.get_by_role("button", name=button, exact=not button.startswith("Add ") or button == "Add 1").click()


async def test_a_visit_from_sign_in_to_sign_out(chromium: Browser, server: DemoServer) -> None:
    """Sign in, cart, fifty at once, kill the server in between, sign out; the old cookie put back is nobody."""
    context = await chromium.new_context()
    async with tab(context, server) as page:
        await press(page, "Add tea")
        await expect(page.locator("#cart")).to_contain_text("1 ×")
        await sign_in(page)
        await press(page, "Add tea")
        await press(page, "Add bread")
        await expect(page.locator("#cart")).to_contain_text("Total 11.90")

        await press(page, "50 requests at once")
        await expect(page.locator("#status")).to_contain_text("None was lost", timeout=20_000)
        await expect(page.locator("#count")).to_have_text("50")
        await expect(page.locator("#log")).to_contain_text("× 50")

        server.kill()
        await press(page, "Add 1")
        await expect(page.locator("#status")).to_contain_text("does not answer")
        server.start()
        await page.reload()
        await expect(page.locator("#who")).to_have_text("Signed in as Ann")
        await expect(page.locator("#outlived")).to_be_visible()
        await expect(page.locator("#count")).to_have_text("50")
        await expect(page.locator("#cart")).to_contain_text("Total 11.90")

        stolen = await context.cookies()
        assert [(cookie.get("name"), cookie.get("httpOnly"), cookie.get("sameSite")) for cookie in stolen] == [
            ("limpet-session", True, "Lax")
        ]
        await press(page, "Sign out")
        await expect(page.locator("#who")).to_have_text("Not signed in")
        await expect(page.locator("#ended")).to_be_visible()
        assert await context.cookies() == []

    thief = await chromium.new_context()
    await thief.add_cookies([{"name": "limpet-session", "value": stolen[0].get("value", ""), "url": server.url}])
    async with tab(thief, server) as page:
        await expect(page.locator("#who")).to_have_text("Not signed in")
        await expect(page.locator("#cart")).to_contain_text("The cart is empty.")


async def test_the_first_fifty_begin_one_session(chromium: Browser, server: DemoServer) -> None:
    """Without a session yet, fifty at once are still fifty in one."""
    context = await chromium.new_context()
    async with tab(context, server) as page:
        await press(page, "50 requests at once")
        await expect(page.locator("#status")).to_contain_text("from 0 to 50", timeout=20_000)
        await expect(page.locator("#count")).to_have_text("50")
        assert len(await context.cookies()) == 1


async def test_two_tabs_add_up(chromium: Browser, server: DemoServer) -> None:
    """Fifty in each of two tabs at the same time are a hundred, different goods stay, and each tab sees the other's."""
    context = await chromium.new_context()
    async with tab(context, server) as left, tab(context, server) as right:
        await sign_in(left)
        await expect(right.locator("#who")).to_have_text("Signed in as Ann")
        await press(left, "50 requests at once")
        await press(right, "50 requests at once")
        await expect(left.locator("#status")).to_contain_text("50 requests answered", timeout=20_000)
        await expect(right.locator("#status")).to_contain_text("50 requests answered", timeout=20_000)
        for page in (left, right):
            await expect(page.locator("#count")).to_have_text("100")
        await press(left, "Add tea")
        await press(right, "Add honey")
        for page in (left, right):
            await expect(page.locator("#cart")).to_contain_text("Total 12.10")
        await press(right, "Sign out")
        await expect(left.locator("#who")).to_have_text("Not signed in")


async def test_an_answer_that_is_late_does_not_hide_a_newer_one(chromium: Browser, server: DemoServer) -> None:
    """While the page that answers one tab is on its way, another tab changes something: that stays in sight."""
    context = await chromium.new_context()
    async with tab(context, server) as left, tab(context, server) as right:
        await sign_in(left)
        await expect(right.locator("#who")).to_have_text("Signed in as Ann")
        asked, released, arrived = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def late(route: Route) -> None:
            if route.request.method != "POST":
                await route.continue_()
                return
            answer = await route.fetch()  # the redirect is followed: this page has tea, and no honey yet
            asked.set()
            await released.wait()
            await route.fulfill(response=answer)
            arrived.set()

        await left.route(server.url + "**", late)
        await press(left, "Add tea")
        await asked.wait()
        await press(right, "Add honey")
        await expect(right.locator("#cart")).to_contain_text("Total 12.10")
        await left.wait_for_timeout(500)  # for a refresh that does not wait for its turn
        released.set()
        await arrived.wait()
        await expect(left.locator("#cart")).to_contain_text("Total 12.10")
        await left.wait_for_timeout(500)
        await expect(left.locator("#cart")).to_contain_text("Total 12.10")


@pytest.mark.parametrize("button", ["#add-honey", "#remove-tea", "#add-one"])
async def test_a_button_that_is_being_pressed_stays(chromium: Browser, server: DemoServer, button: str) -> None:
    """Another tab changes the page between the moments at which the mouse goes down and up: the press counts."""
    context = await chromium.new_context()
    async with tab(context, server) as left, tab(context, server) as right:
        await sign_in(left)
        await press(left, "Add tea")
        await expect(right.locator("#cart")).to_contain_text("Total 4.20")
        await right.locator(button).hover()
        await right.mouse.down()
        await press(left, "Add tea")
        await expect(right.locator("#cart")).to_contain_text("Total 8.40")
        await right.mouse.up()
        done = {"#add-honey": "Total 16.30", "#remove-tea": "Total 4.20", "#add-one": "Total 8.40"}[button]
        for page in (left, right):
            await expect(page.locator("#cart")).to_contain_text(done)
            await expect(page.locator("#count")).to_have_text("1" if button == "#add-one" else "0")


async def test_what_is_being_typed_stays(chromium: Browser, server: DemoServer) -> None:
    """A name half typed, the tick beside it and the focus stay while another tab fills the cart."""
    context = await chromium.new_context()
    async with tab(context, server) as left, tab(context, server) as right:
        await right.get_by_label("Name").press_sequentially("An")
        await right.get_by_label("Keep me signed in").check()
        await right.get_by_label("Name").focus()
        await press(left, "Add tea")
        await expect(right.locator("#cart")).to_contain_text("Total 4.20")
        await right.keyboard.type("n")
        await expect(right.get_by_label("Name")).to_have_value("Ann")
        await expect(right.get_by_label("Keep me signed in")).to_be_checked()
        await right.keyboard.press("Enter")
        await expect(left.locator("#who")).to_have_text("Signed in as Ann")


async def test_the_keyboard_is_enough(chromium: Browser, server: DemoServer) -> None:
    """Everything can be reached with Tab and used with Enter, the focus is seen, and it stays where it was."""
    context = await chromium.new_context()
    async with tab(context, server) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.keyboard.type("Ann")
        await page.keyboard.press("Enter")
        await expect(page.locator("#who")).to_have_text("Signed in as Ann")
        for control in ("#sign-out", "#your-devices", "#add-one", "#fifty", "#add-tea"):
            await page.keyboard.press("Tab")
            await expect(page.locator(control)).to_be_focused()
            outline = await page.locator(control).evaluate("element => getComputedStyle(element).outlineWidth")
            assert outline == "3px"
        await page.keyboard.press("Enter")
        await expect(page.locator("#cart")).to_contain_text("1 ×")
        await expect(page.locator("#add-tea")).to_be_focused()


async def test_the_countdown_ticks(chromium: Browser, server: DemoServer) -> None:
    """Ten minutes later by the browser's clock, ten minutes are gone; nearly at its end, it is marked."""
    context = await chromium.new_context()
    async with tab(context, server) as page:
        await sign_in(page)
        await page.clock.install()
        await page.reload()
        await expect(page.locator("#left")).to_have_text(re.compile(r"1[45]:\d\d"))
        await page.clock.fast_forward(10 * 60_000)
        await expect(page.locator("#left")).to_have_text(re.compile(r"[45]:\d\d"))
        await page.clock.fast_forward(4 * 60_000 + 30_000)
        await expect(page.locator("#left")).to_have_class(re.compile("soon"))


async def test_it_works_without_javascript(chromium: Browser, server: DemoServer) -> None:
    """Sign in, cart, counter and sign out are plain forms; the button that needs a script is not shown."""
    context = await chromium.new_context(java_script_enabled=False)
    async with tab(context, server) as page:
        await sign_in(page)
        await press(page, "Add tea")
        await expect(page.locator("#cart")).to_contain_text("Total 4.20")
        await press(page, "Add 1")
        await expect(page.locator("#count")).to_have_text("1")
        await expect(page.locator("#fifty")).to_be_hidden()
        await press(page, "Sign out")
        await expect(page.locator("#ended")).to_be_visible()


async def test_a_page_that_is_older_than_the_session_says_so(chromium: Browser, server: DemoServer) -> None:
    """Signed in elsewhere with the same cookies and no script to tell: the form is refused with a way back."""
    context = await chromium.new_context(java_script_enabled=False)
    async with tab(context, server) as left, tab(context, server) as right:
        await sign_in(right)
        await press(left, "Add tea")
        await expect(left.get_by_role("heading")).to_have_text("That page was older than your session")
        await left.get_by_role("link", name="Load the page again").click()
        await expect(left.locator("#who")).to_have_text("Signed in as Ann")
        await expect(left.locator("#cart")).to_contain_text("The cart is empty.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_everything_can_be_read(chromium: Browser, server: DemoServer, scheme: Scheme, width: int) -> None:
    """axe finds nothing, contrast is as WCAG asks, and nothing sticks out, with little and with much on the page."""
    context = await in_sight(chromium, scheme, width)
    async with tab(context, server) as page:
        for step in ("empty", "full", "ended"):
            if step == "full":
                await sign_in(page, "A" * 40)
                for item in ("tea", "bread", "honey", "apples"):
                    await press(page, f"Add {item}")
                    await expect(page.get_by_role("button", name=f"Remove one {item}")).to_be_visible()
                await press(page, "50 requests at once")
                await expect(page.locator("#status")).to_contain_text("None was lost", timeout=20_000)
                await expect(page.locator("#fifty")).to_be_enabled()
            elif step == "ended":
                await press(page, "Sign out")
                await expect(page.locator("#ended")).to_be_visible()
            assert await faults(page) == {}, step


async def test_every_control_has_a_name(chromium: Browser, server: DemoServer) -> None:
    """A screen reader has something to say for each button, field and link."""
    context = await chromium.new_context()
    async with tab(context, server) as page:
        for _ in range(2):
            for role in ("button", "textbox", "checkbox", "link"):
                for control in await page.get_by_role(role).all():
                    snapshot = await control.aria_snapshot()
                    assert re.search(r'"[^"]+"', snapshot), snapshot
            if await page.locator("#sign-out").count() == 0:
                await sign_in(page)
                await press(page, "Add tea")
                await expect(page.locator("#remove-tea")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_the_other_pages_can_be_read(chromium: Browser, server: DemoServer, scheme: Scheme, width: int) -> None:
    """So is the comparison side by side, and the page that refuses a form of another session."""
    context = await in_sight(chromium, scheme, width)
    async with tab(context, server) as page:
        await sign_in(page)
        for step in ("/side-by-side", "refused"):
            if step == "refused":
                await page.goto(server.url)
                await page.evaluate("""() => {
                  const form = document.querySelector("#add-tea").form;
                  form.querySelector("input[name*=csrf]").value = "of another session";
                  form.submit();
                }""")
                await expect(page.get_by_role("heading")).to_have_text("That page was older than your session")
            else:
                await page.goto(server.url.rstrip("/") + step)
            assert await faults(page) == {}, step
