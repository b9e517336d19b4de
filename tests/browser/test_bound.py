"""A real Chromium binds a session to its device, with keys in software; a profile that has copied the cookies cannot.

Chromium (156) refuses the prefix ``__Http-`` for a bound cookie, renews a proof that has under two minutes left, makes
about six signatures in a short time and then says ``quota_exceeded``; so the proofs here last ten minutes, and it is
the server's clock that goes on.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import BrowserContext, Page, Playwright, async_playwright, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from limpet import SessionManager, events
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.testing import FakeClock
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.demo.server import DemoServer
from tests.security.site import SECRET
from tests.security.web import served

pytestmark = pytest.mark.browser

SITE, APP, BESIDE, ELSEWHERE = "one.test", "app.one.test", "www.one.test", "two.test"
_SOFTWARE_KEYS: Final = "EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
SESSION, PROOF = "__Host-Http-session", "__Host-session-bound"


async def login(request: Request) -> Response:
    get_session(request).login("ann")
    return JSONResponse("welcome")


async def logout(request: Request) -> Response:
    get_session(request).logout()
    return JSONResponse("bye")


async def me(request: Request) -> Response:
    return JSONResponse(get_session(request).subject)


async def link(request: Request) -> Response:
    """Show a page of any site that leads to the application."""
    return HTMLResponse(f"<!doctype html><a href='https://{APP}:{request.url.port}/me'>my account</a>")


def certified(folder: Path, *hosts: str) -> tuple[dict[str, Path], str]:
    """Return a server's files of a new certificate, and the hash of its key, by which a browser is told to trust it."""
    made = trustme.CA().issue_cert(*hosts)
    made.private_key_pem.write_to_path(folder / "key.pem")
    for blob in made.cert_chain_pems:
        blob.write_to_path(folder / "chain.pem", append=True)
    public = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes()).public_key()
    written = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(written).digest()).decode()
    return {"ssl_keyfile": folder / "key.pem", "ssl_certfile": folder / "chain.pem"}, pin


class World:
    """An application over TLS, and what happened in it."""

    def __init__(self, folder: Path, *more: BaseRoute, close_sockets: float | None = None, **settings: Any) -> None:
        self.tls, self.pin = certified(folder, SITE, APP, BESIDE, ELSEWHERE)
        self.clock = FakeClock()
        self.manager = SessionManager(
            **{"store": "memory:", "secret": SECRET, "bound": True, "clock": self.clock, "dev": False, **settings}
        )
        self.happened: list[Any] = []
        self.manager.listen(self.happened.append)
        self.icon_asked = False
        self.routes = [
            *(Route(f"/{each.__name__}", each) for each in (login, logout, me, link)),
            Route("/favicon.ico", self.icon),
            *more,
        ]
        sessions = Middleware(SessionMiddleware, self.manager, close_sockets=close_sockets)
        self.app = Starlette(routes=self.routes, middleware=[sessions])
        self.port = 0

    async def icon(self, request: Request) -> Response:
        """Note that the browser has asked for the icon, which it does on its own, some time after the first page.

        A test that moves the clock waits for that: such a request counts in the session like any other.
        """
        self.icon_asked = True
        return Response(status_code=404)

    def count(self, kind: type) -> int:
        """Return how many events of a kind there were."""
        return sum(type(event) is kind for event in self.happened)

    def url(self, path: str, host: str = APP) -> str:
        """Return an address."""
        return f"https://{host}:{self.port}{path}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return an application that runs."""
    found = World(tmp_path)
    with served(found.app, **found.tls) as found.port:
        yield found


async def launched(
    playwright: Playwright, folder: Path, pin: str, port: int | None = None, *, quota: bool = True
) -> BrowserContext:
    """Return a browser with a profile of its own, which trusts one certificate and keeps keys in software.

    With a port, everything that it asks of a host below ``test`` goes there, whatever the address says. Without a
    quota it signs as often as it is asked to.
    """
    assert CHROMIUM.exists(), "this test needs Chromium: apt-get install -y --no-install-recommends chromium"
    return await playwright.chromium.launch_persistent_context(
        folder,
        executable_path=CHROMIUM,
        args=[
            *(each for each in ARGUMENTS if each != "--headless"),
            "--headless=new",
            "--host-resolver-rules=MAP *.test 127.0.0.1" + (f":{port}" if port else ""),
            f"--ignore-certificate-errors-spki-list={pin}",
            f"--enable-features=DeviceBoundSessions{'' if quota else ':RefreshQuota/false'},{_SOFTWARE_KEYS}",
        ],
    )


@pytest.fixture
async def profiles(world: World, tmp_path: Path) -> AsyncIterator[Any]:
    """Return what opens a browser with a profile of its own."""
    opened: list[BrowserContext] = []
    async with async_playwright() as playwright:

        async def open_profile() -> Page:
            opened.append(await launched(playwright, tmp_path / f"profile-{len(opened)}", world.pin))
            return await opened[-1].new_page()

        yield open_profile
        for context in opened:
            await context.close()


async def shown(page: Page, url: str) -> str:
    """Go to a page as a person does, through what it leads to; return what is shown."""
    await page.goto(url)
    await page.wait_for_function("document.title !== 'One moment'")
    return await page.inner_text("body")


async def bound_page(world: World, profiles: Any) -> Page:
    """Return a page of a browser that has logged in and bound its session."""
    page: Page = await profiles()
    await page.goto(world.url("/login"))
    for _ in range(100):
        if world.icon_asked and any(cookie.get("name") == PROOF for cookie in await page.context.cookies()):
            break
        await page.evaluate("fetch('/me').then(answer => answer.text())")
        await page.wait_for_timeout(100)
    assert world.count(events.DeviceRegistered) == world.count(events.DeviceBound) == 1
    world.clock.advance(60)  # what was under way when it was bound is served no longer
    return page


async def test_a_login_is_bound_and_a_second_profile_is_refused(world: World, profiles: Any) -> None:
    page = await bound_page(world, profiles)
    assert await shown(page, world.url("/me")) == '"ann"'
    stolen: Any = [cookie for cookie in await page.context.cookies() if cookie.get("name") in (SESSION, PROOF)]
    assert len(stolen) == 2
    thief: Page = await profiles()
    await thief.context.add_cookies(stolen)
    assert await shown(thief, world.url("/me")) == '"ann"', "for as long as the last proof counts"
    world.clock.advance(700)
    assert await shown(thief, world.url("/me")) == "null"
    assert await shown(thief, world.url("/me")) == "null"
    assert world.count(events.DeviceProven) == 0
    assert await shown(page, world.url("/me")) == '"ann"', "the browser proves its device, and nobody notices"
    assert world.count(events.DeviceProven) == 1
    assert await shown(thief, world.url("/me")) == "null"


async def test_a_browser_without_a_proof_gives_one_before_it_asks(world: World, profiles: Any) -> None:
    page = await bound_page(world, profiles)
    await page.context.clear_cookies(name=PROOF)
    assert await shown(page, world.url("/me")) == '"ann"'
    assert world.count(events.DeviceProven) == 1
    assert world.count(events.DeviceUnproven) == 0


async def test_a_link_on_another_site_leads_into_the_session(world: World, profiles: Any) -> None:
    page = await bound_page(world, profiles)
    await page.context.clear_cookies(name=PROOF)
    await page.goto(world.url("/link", ELSEWHERE))
    await page.click("a")
    await page.wait_for_function("document.body?.innerText === '\"ann\"'")
    assert world.count(events.DeviceProven) == 1


async def test_a_logout_ends_it_in_the_browser(world: World, profiles: Any) -> None:
    page = await bound_page(world, profiles)
    asked: list[str] = []
    page.context.on("response", lambda response: asked.append(response.url))
    await shown(page, world.url("/logout"))
    assert [cookie.get("name") for cookie in await page.context.cookies()] == []
    assert await shown(page, world.url("/me")) == "null"
    assert world.count(events.DeviceProven) == 0
    assert await shown(page, world.url("/login")) == '"welcome"'


async def test_the_demo_shows_it(tmp_path: Path) -> None:
    """As its first lines say how to start a browser: signed in, bound, and a copied cookie opens nothing."""
    with DemoServer("--tls") as server:
        found = re.search(r"spki-list=(\S+) \S+ (https://\S+)", server.output)
        assert found is not None, server.output
        async with async_playwright() as playwright:
            context = await launched(playwright, tmp_path / "profile", found[1])
            page = await context.new_page()
            await page.goto(found[2])
            await page.get_by_label("Name").fill("Ann")
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.locator("#who")).to_have_text("Signed in as Ann")
            if await page.locator("#unbound").count():
                await expect(page.locator("#device")).to_contain_text("load this page again")
            for _ in range(50):
                if await page.locator("#bound").count():
                    break
                await page.wait_for_timeout(200)
                await page.goto(found[2])
            await expect(page.locator("#bound")).to_be_visible()
            await page.wait_for_timeout(2_500)  # requests that were under way are served for two seconds
            await page.get_by_role("button", name="Use a copy of the cookie").click()
            await expect(page.locator("#copied")).to_contain_text("not signed in")
            await context.close()
