"""What a real Chromium makes of each thing that it is told of a bound session: cookie, scope, challenge, end.

The questions are those of the web platform tests of Device Bound Session Credentials, asked of limpet's own answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.async_api import Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from limpet import CookiePolicy, SessionManager, asgi, events
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send
from limpet.bound import BoundPolicy
from tests.browser.test_bound import APP, BESIDE, ELSEWHERE, PROOF, SITE, World, launched
from tests.security.site import SECRET
from tests.security.web import served

pytestmark = pytest.mark.browser

REFRESH = "/device-bound-session/refresh"
DOMAIN, ADMIN = "__Secure-session-bound", "__Host-session-admin-bound"
AT_WHO = CookiePolicy(name="__Secure-proof", path="/who")
WHOLE_SITE = {
    "cookie": CookiePolicy(domain=SITE),
    "bound": BoundPolicy(include_site=True, registering_origins=(f"https://{APP}",)),
}
FEWEST = CookiePolicy(name="proof", secure=False, same_site="lax", http_only=False)


async def anywhere(request: Request) -> Response:
    """Say who is there, to pages of every origin."""
    headers = {
        "access-control-allow-origin": request.headers.get("origin", "*"),
        "access-control-allow-credentials": "true",
    }
    return PlainTextResponse(str(get_session(request).subject), headers=headers)


async def bob(request: Request) -> Response:
    """Log somebody else in."""
    get_session(request).login("bob")
    return PlainTextResponse("bob")


async def clear(request: Request) -> Response:
    """Have the browser clear what the query names."""
    return PlainTextResponse("cleared", headers={"clear-site-data": f'"{request.query_params["what"]}"'})


class Site(World):
    """An application of one manager, which notes what is asked of it, and a page of a browser that visits it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        paths = "/who", "/static/picture", "/api/who"
        super().__init__(
            folder, *(Route(path, anywhere) for path in paths), Route("/clear", clear), Route("/bob", bob), **settings
        )
        self.behind: ASGIApp = self.app
        self.answered: list[tuple[str, int]] = []
        self.keeps_challenges_back = False
        self.page: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered.append((scope["path"], message["status"]))
                if self.keeps_challenges_back and message["status"] == 200:
                    message["headers"] = [pair for pair in message["headers"] if pair[0] != b"secure-session-challenge"]
            await send(message)

        await self.behind(scope, receive, note)

    def url(self, path: str, host: str = APP) -> str:
        """Return an address; the browser knows which port is meant."""
        return f"https://{host}{path}"

    def proofs(self) -> list[int]:
        """Return the status of each answer to a proof since this was asked last."""
        found = [status for path, status in self.answered if path == REFRESH]
        self.answered.clear()
        return found

    async def who(self, path: str = "/who", host: str = APP) -> str:
        """Return who the browser is, of a script on the application's page."""
        asked = f"fetch({self.url(path, host)!r}, {{credentials: 'include'}}).then(answer => answer.text())"
        return str(await self.page.evaluate(asked))

    async def drop(self, name: str = PROOF) -> None:
        """Take the cookie of the last proof away."""
        await self.page.context.clear_cookies(name=name)

    async def cookie(self, name: str = PROOF) -> Any:
        """Return a cookie of the browser; None: it has none of that name."""
        return next((each for each in await self.page.context.cookies() if each.get("name") == name), None)

    async def bind(self, name: str = PROOF) -> None:
        """Log in, and wait until the session is bound."""
        await self.page.goto(self.url("/login"))
        for _ in range(100):
            if self.icon_asked and self.count(events.DeviceBound) and await self.cookie(name):
                break
            await self.who()
            await self.page.wait_for_timeout(100)
        assert self.count(events.DeviceBound) == 1
        self.clock.advance(60)  # what was under way when it was bound is served no longer
        assert self.proofs() == [200], "with the challenge that came with the answer to the registration"


Opens: TypeAlias = Callable[..., Awaitable[Site]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Opens]:
    """Return what starts an application with these settings, and a browser that has bound a session of it."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())

        async def start(name: str = PROOF, **settings: Any) -> Site:
            found = Site(tmp_path, **settings)
            found.port = stack.enter_context(served(found, **found.tls))
            context = await launched(playwright, tmp_path / "profile", found.pin, found.port)
            stack.push_async_callback(context.close)
            found.page = await context.new_page()
            await found.bind(name)
            return found

        yield start


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (PROOF, {}),
        pytest.param(PROOF, {"cookie": CookiePolicy(same_site="strict")}, marks=pytest.mark.long),
        (PROOF, {"cookie": CookiePolicy(same_site="none")}),
        pytest.param(PROOF, {"cookie": CookiePolicy(http_only=False)}, marks=pytest.mark.long),
        (AT_WHO.name, {"bound": BoundPolicy(cookie=AT_WHO)}),
        (DOMAIN, WHOLE_SITE),
        (FEWEST.name, {"bound": BoundPolicy(cookie=FEWEST)}),
    ],
    ids=["usual", "strict", "none", "scripts", "path", "domain", "fewest attributes"],
)
async def test_the_cookie_is_the_one_that_was_told(site: Opens, name: str, settings: Any) -> None:
    """So the browser gives no proof while it has that cookie, and one as soon as it has another of that name."""
    world = await site(name, **settings)
    assert [await world.who() for _ in range(3)] == ["ann"] * 3
    assert world.proofs() == []
    kept = await world.cookie(name)
    await world.drop(name)
    await world.page.context.add_cookies([{**kept, "expires": kept["expires"] + 60}])
    assert await world.who() == "ann"
    assert world.proofs() == [], "when it runs out is no part of what was told"
    await world.drop(name)
    changed = {**kept, "sameSite": "Lax" if kept["sameSite"] == "Strict" else "Strict"}
    await world.page.context.add_cookies([changed])
    assert await world.who() == "ann"
    assert world.proofs() == [200]


async def test_cookies_that_the_site_clears(site: Opens) -> None:
    """The binding in the browser goes with them."""
    world = await site()
    assert await world.who("/clear?what=cookies") == "cleared"
    assert await world.page.context.cookies() == []
    assert await world.who() == "None"
    assert world.proofs() == []


async def test_storage_that_the_site_clears(site: Opens) -> None:
    """The binding in the browser goes, and the cookies stay: until the last proof runs out, or the next login."""
    world = await site()
    assert await world.who("/clear?what=storage") == "cleared"
    assert await world.who() == "ann"
    world.clock.advance(700)
    assert await world.who() == "None"
    await world.page.goto(world.url("/me"))
    await world.page.wait_for_function("document.body?.innerText === 'null'")
    assert world.proofs() == []
    world.happened.clear()
    await world.bind()
    assert await world.who() == "ann"


async def test_a_subdomain_of_the_site(site: Opens) -> None:
    """With include_site, for one that the site itself lets register."""
    world = await site(DOMAIN, **WHOLE_SITE)
    await world.drop(DOMAIN)
    assert await world.who(host=BESIDE) == "ann"
    assert world.proofs() == [200]


async def test_another_origin(site: Opens) -> None:
    """Gets no proof, be it a subdomain of the same site."""
    world = await site()
    await world.drop()
    assert await world.who(host=BESIDE) == "None"
    assert await world.who(host=ELSEWHERE) == "None"
    assert world.proofs() == []
    assert await world.who() == "ann"
    assert world.proofs() == [200]


@pytest.mark.parametrize("grace", [0, 120])
async def test_a_proof_that_cannot_be_given(site: Opens, grace: int) -> None:
    """The browser says why it has skipped it, and is served regardless for as long as the policy bears that."""
    world = await site(bound=BoundPolicy(skipped_grace=grace))

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == REFRESH:
            await PlainTextResponse("down", 503)(scope, receive, send)
        else:
            await world.app(scope, receive, send)

    world.behind = fails
    await world.drop()
    assert await world.who() == ("ann" if grace else "None")
    assert set(world.proofs()) == {503}
    reasons = [event.reason for event in world.happened if type(event) is events.DeviceUnproven]
    assert reasons == ([] if grace else ["server_error"])


async def test_paths_that_are_left_out(site: Opens) -> None:
    """They get no proof, and what is beside them does."""
    world = await site(bound=BoundPolicy(exclude=("/static",)))
    await world.drop()
    assert await world.who("/static/picture") == "None"
    assert world.proofs() == []
    assert await world.who() == "ann"
    assert world.proofs() == [200]


async def test_a_proof_without_a_challenge_at_hand(site: Opens) -> None:
    """The browser asks for one first: two round trips, and the request is served."""
    world = await site()
    world.keeps_challenges_back = True
    await world.drop()
    assert await world.who() == "ann"
    await world.drop()
    world.proofs()
    assert await world.who() == "ann"
    assert world.proofs() == [403, 200]


async def test_a_challenge_ahead_of_time(site: Opens) -> None:
    """What a refused request was sent is signed at once, where the one before is too old to be answered."""
    world = await site(bound=BoundPolicy(refuse=("/api",)))
    world.clock.advance(2_000)  # a challenge can be answered for half an hour
    assert "bound to the device" in await world.who("/api/who")
    assert await world.who("/api/who") == "ann"
    assert world.proofs() == [200]


async def test_a_session_that_was_ended_from_outside(site: Opens) -> None:
    """The next proof is answered with its end, and there is none after that."""
    world = await site()
    assert await world.manager.revoke_all("ann") == 1
    await world.drop()
    assert await world.who() == "None"
    assert world.proofs() == [200]
    assert await world.who() == "None"
    assert world.proofs() == []


async def test_somebody_else_logs_in_beside_the_proof_of_the_session_before(site: Opens) -> None:
    """The new session is bound at once, not when the old proof has run out; the end of the old one leaves it alone."""
    world = await site()
    world.happened.clear()
    assert await world.who("/bob") == "bob"
    for _ in range(50):
        if world.count(events.DeviceRegistered):
            break
        await world.page.wait_for_timeout(100)
    assert await world.who() == "bob"
    assert world.count(events.DeviceBound) == 1
    # The first proof of the new one; before it the end of the old one, where Chromium asks for that first.
    assert world.proofs() in ([200], [200, 200])
    world.clock.advance(60)
    assert [await world.who() for _ in range(3)] == ["bob"] * 3
    assert world.proofs() == []


def restarted(world: Site, **settings: Any) -> None:
    """Put another manager over the same store in the place of the one that there was."""
    manager = SessionManager(
        world.manager.store, **{"secret": SECRET, "bound": True, "clock": world.clock, "dev": False, **settings}
    )
    manager.listen(world.happened.append)
    world.behind = SessionMiddleware(Router(world.routes), manager)


async def test_another_name_after_the_next_proof(site: Opens) -> None:
    """A cookie that is called otherwise from now on takes the place of the old one."""
    world = await site("__Host-old", bound=BoundPolicy(cookie=CookiePolicy(name="__Host-old")))
    restarted(world)
    assert await world.who() == "None", "until the old proof has run out in the browser"
    await world.drop("__Host-old")
    assert await world.who() == "ann"
    assert world.proofs() == [200]
    assert await world.cookie("__Host-old") is None
    await world.drop()
    assert await world.who() == "ann"
    assert world.proofs() == [200]


async def test_other_attributes_after_the_next_proof(site: Opens) -> None:
    """The old cookie counts for as long as it lasts; the next one is as the new instructions say."""
    world = await site()
    restarted(world, bound=BoundPolicy(cookie=CookiePolicy(name=PROOF, same_site="strict")))
    assert await world.who() == "ann"
    assert world.proofs() == []
    await world.drop()
    assert await world.who() == "ann"
    assert (await world.cookie())["sameSite"] == "Strict"
    world.proofs()
    assert await world.who() == "ann"
    assert world.proofs() == []


async def test_plain_http(tmp_path: Path) -> None:
    """No browser binds a session there; it is one like any other."""
    world = Site(tmp_path, dev=True)
    with served(world) as world.port:
        async with async_playwright() as playwright:
            context = await launched(playwright, tmp_path / "profile", world.pin)
            page: Page = await context.new_page()
            base = f"http://{APP}:{world.port}"
            await page.goto(f"{base}/login")
            for _ in range(5):
                await page.goto(f"{base}/me")
                assert await page.inner_text("body") == '"ann"'
                await page.wait_for_timeout(200)
            await context.close()
    assert not [path for path, _ in world.answered if path.startswith("/device-bound")]
    assert world.count(events.DeviceRegistered) == 0


async def test_two_sessions_of_one_origin(tmp_path: Path) -> None:
    """Two managers in one application: one response offers both, and each has challenges and proofs of its own."""
    world = Site(tmp_path)
    other = SessionManager("memory:", secret=SECRET, bound=True, clock=world.clock, dev=False, label="admin")
    other.listen(world.happened.append)

    async def both(request: Request) -> Response:
        shop, staff = request.scope["session"], request.scope["staff"]
        if request.url.path == "/login":
            shop.login("ann")
            staff.login("bob")
        return PlainTextResponse(f"{shop.subject} {staff.subject}")

    app = Starlette(routes=[Route("/login", both), Route("/who", both), Route("/favicon.ico", world.icon)])
    world.behind = asgi.SessionMiddleware(asgi.SessionMiddleware(app, other, scope_key="staff"), world.manager)
    with served(world, **world.tls) as world.port:
        async with async_playwright() as playwright:
            context = await launched(playwright, tmp_path / "profile", world.pin, world.port)
            world.page = await context.new_page()
            await world.page.goto(world.url("/login"))
            for _ in range(50):
                if world.icon_asked and await world.cookie() and await world.cookie(ADMIN):
                    break
                await world.who()
                await world.page.wait_for_timeout(100)
            assert world.count(events.DeviceBound) == 2
            world.clock.advance(60)
            for name in (PROOF, ADMIN):
                await world.drop(name)
                assert await world.who() == "ann bob"
            assert world.count(events.DeviceProven) == 2
            assert world.count(events.DeviceUnproven) == 0
            await context.close()
