"""A real Chromium keeps our cookies as RFC 6265bis says, over TLS, on hosts of several sites."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from playwright.async_api import BrowserContext, Page, async_playwright
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from limpet import CookiePolicy, SessionManager, SessionPolicy
from limpet.asgi import SessionMiddleware
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.security.site import SECRET
from tests.security.web import served

pytestmark = pytest.mark.browser

APP: Final = "app.example.test"
SIBLING: Final = "evil.example.test"
ONE, TWO = "one.test", "two.test"
YEAR: Final = 365 * 86_400


async def write(request: Request) -> Response:
    request.session["n"] = request.session.get("n", 0) + 1
    return JSONResponse(request.session["n"])


async def read(request: Request) -> Response:
    return JSONResponse(request.session.get("n"))


async def fill(request: Request) -> Response:
    request.session["text"] = "x" * int(request.query_params["size"])
    return JSONResponse("filled")


async def size(request: Request) -> Response:
    return JSONResponse(len(request.session.get("text", "")))


async def toss(request: Request) -> Response:
    """Set the cookie that the query asks for, as another application on this host would."""
    response = Response("tossed")
    response.raw_headers.append((b"set-cookie", request.query_params["line"].encode("latin-1")))
    return response


async def sent(request: Request) -> Response:
    return JSONResponse(request.headers.get("cookie", ""))


async def page(request: Request) -> Response:
    """Show a page with whatever the query asks for in its body."""
    return HTMLResponse(f"<!doctype html><title>page</title>{request.query_params.get('body', '')}")


ROUTES = [
    Route(f"/{each.__name__}", each, methods=["GET", "POST"]) for each in (write, read, fill, size, toss, sent, page)
]


class World:
    """A browser and one application that answers on every host.

    Attributes:
        port: Of the application, over TLS.
        plain: Of the application, over http.
    """

    def __init__(self, context: BrowserContext, port: int, plain: int) -> None:
        self.context, self.port, self.plain = context, port, plain

    def url(self, path: str, host: str = APP) -> str:
        """Return the address of a path on a host."""
        return f"https://{host}:{self.port}{path}"

    async def get(self, path: str, host: str = APP, tab: Page | None = None) -> Any:
        """Go there as a person does; return the JSON that is shown, or the text."""
        tab = tab or await self.context.new_page()
        answer = await tab.goto(self.url(path, host))
        assert answer is not None
        return await answer.json() if "json" in answer.headers.get("content-type", "") else await answer.text()

    async def toss(self, line: str, host: str = SIBLING) -> None:
        """Let a host set a cookie."""
        tab = await self.context.new_page()
        await tab.goto(self.url("/page", host))
        await tab.evaluate("line => fetch('/toss?line=' + encodeURIComponent(line))", line)
        await tab.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the options of a server for all hosts."""
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA().issue_cert(APP, SIBLING, ONE, TWO)
    key, chain = folder / "key.pem", folder / "chain.pem"
    made.private_key_pem.write_to_path(key)
    for blob in made.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    return {"ssl_keyfile": key, "ssl_certfile": chain}


@pytest.fixture
def started(certificate: dict[str, Path]) -> Iterator[Any]:
    """Return a function that serves an application with these settings, over TLS and over http."""
    with ExitStack() as stack:

        def start(store: str = "memory:", **settings: Any) -> tuple[int, int]:
            manager = SessionManager(store, dev=False, **settings)
            app = Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, manager)])
            return stack.enter_context(served(app, **certificate)), stack.enter_context(served(app))

        yield start


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """Return a browser without cookies, for which every ``.test`` host is this machine."""
    assert CHROMIUM.exists(), "this test needs Chromium: apt-get install -y --no-install-recommends chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, "--host-resolver-rules=MAP *.test 127.0.0.1"]
        )
        try:
            yield await browser.new_context(ignore_https_errors=True)
        finally:
            await browser.close()


async def test_s18_the_default_cookie(started: Any, context: BrowserContext) -> None:
    """Scripts do not see it, other hosts and plain http do not get it, and it is Lax."""
    world = World(context, *started())
    tab = await context.new_page()
    assert await world.get("/write", tab=tab) == 1
    (cookie,) = await context.cookies()
    assert (cookie.get("name"), cookie.get("domain"), cookie.get("path")) == ("__Host-Http-session", APP, "/")
    assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite")) == (True, True, "Lax")
    assert await tab.evaluate("document.cookie") == ""
    assert await world.get("/sent", SIBLING) == ""
    await tab.goto(f"http://{APP}:{world.plain}/sent")
    assert await tab.inner_text("body") == '""'
    assert await world.get("/read", tab=tab) == 1


@pytest.mark.parametrize(
    "line",
    [
        "__Host-Http-session=evil; Domain=example.test; Path=/; Secure",
        "__Host-Http-session=evil; Domain=example.test; Path=/read; Secure",
        "__host-session=evil; Domain=example.test; Path=/; Secure",
        "\xa0__Host-Http-session=evil; Domain=example.test; Path=/; Secure",
        "=__Host-Http-session=evil; Domain=example.test; Path=/; Secure",
    ],
)
async def test_s19_s20_a_prefix_stops_a_sibling(started: Any, context: BrowserContext, line: str) -> None:
    """What a sibling host tosses is dropped by the browser, or is no cookie of ours: the session stays."""
    world = World(context, *started())
    assert await world.get("/write") == 1
    await world.toss(line)
    assert await world.get("/read") == 1


async def test_s19_without_a_prefix_a_tossed_cookie_never_wins(started: Any, context: BrowserContext) -> None:
    """The browser sends both. Junk is passed over; the attacker's own session makes the request nobody's."""
    world = World(context, *started(secret=SECRET, cookie=CookiePolicy(name="__Secure-sid")))
    attacker = await context.browser.new_context(ignore_https_errors=True)  # type: ignore[union-attr]
    theirs = World(attacker, world.port, world.plain)
    for _ in range(2):
        await theirs.get("/write")
    (cookie,) = await attacker.cookies()
    assert await world.get("/write") == 1
    await world.toss("__Secure-sid=junk; Domain=example.test; Path=/; Secure")
    assert (await world.get("/sent")).count("__Secure-sid=") == 2
    assert await world.get("/read") == 1
    await world.toss(f"__Secure-sid={cookie.get('value')}; Domain=example.test; Path=/read; Secure")
    assert await world.get("/read") is None


@pytest.mark.parametrize(
    ("same_site", "link", "post"), [("lax", True, False), ("strict", False, False), ("none", True, True)]
)
async def test_same_site(started: Any, context: BrowserContext, same_site: Any, link: bool, post: bool) -> None:
    """From a page of another site: whether a link, and whether a posted form, comes with the session."""
    world = World(context, *started(cookie=CookiePolicy(same_site=same_site)))
    assert await world.get("/write") == 1
    for body, comes in (
        (f'<a id=go href="{world.url("/read")}">go</a>', link),
        (f'<form method=post action="{world.url("/read")}"><button id=go>go</button></form>', post),
    ):
        tab = await context.new_page()
        await world.get(f"/page?body={_quoted(body)}", ONE, tab)
        await tab.click("#go")
        await tab.wait_for_url(world.url("/read"))
        assert await tab.inner_text("body") == ("1" if comes else "null")


async def test_a_partitioned_cookie_is_of_the_site_around_it(started: Any, context: BrowserContext) -> None:
    """In a frame of two sites: two sessions that do not meet, and none where the application is on top."""
    world = World(context, *started(cookie=CookiePolicy(same_site="none", partitioned=True)))
    frame = _quoted(f'<iframe src="{world.url("/write")}"></iframe>')
    for host, count in ((ONE, "1"), (TWO, "1"), (ONE, "2"), (ONE, "3")):
        tab = await context.new_page()
        await world.get(f"/page?body={frame}", host, tab)
        assert await tab.frame_locator("iframe").locator("body").inner_text() == count
    assert await world.get("/read") is None


@pytest.mark.parametrize("store", ["cookie:", "cookie:signed"])
async def test_s15_the_largest_cookie_is_kept(started: Any, context: BrowserContext, store: str) -> None:
    """The longest line that is sent is kept whole; a byte more is an error, and the browser keeps what it has."""
    world = World(context, *started(store, secret=SECRET))
    tab = await context.new_page()
    low, high = 1_000, 4_096
    while high - low > 1:
        middle = (low + high) // 2
        answer = await tab.goto(world.url(f"/fill?size={middle}"))
        assert answer is not None
        if answer.status == 200:
            low = middle
            assert await world.get("/size", tab=tab) == middle
        else:
            high = middle
            assert answer.status == 500
    await tab.goto(world.url(f"/fill?size={low}"))
    await tab.goto(world.url(f"/fill?size={high}"))
    assert await world.get("/size", tab=tab) == low
    (cookie,) = await context.cookies()
    assert 3_900 < len(str(cookie.get("value"))) + len(str(cookie.get("name"))) <= 4_096


async def test_s17_no_cookie_is_cut_to_400_days(started: Any, context: BrowserContext) -> None:
    """A session of ten years: the browser keeps the cookie as long as it was told, which is 400 days."""
    policy = SessionPolicy(idle_timeout=None, anonymous_timeout=None, absolute_timeout=10 * YEAR, remember=None)
    world = World(context, *started(policy=policy))
    await world.get("/write")
    (cookie,) = await context.cookies()
    assert abs(cookie.get("expires", 0) - time.time() - 34_560_000) < 30


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text)
