"""S29: the cookie that is to delete the session's cookie misses it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from playwright.async_api import BrowserContext, async_playwright
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limpet import CookiePolicy, SessionManager
from limpet.asgi import SessionMiddleware
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.jar import Jar
from tests.security.site import WatchedSite
from tests.security.web import served

HOST: Final = "app.example.test"


def policies() -> Iterator[CookiePolicy]:
    """Yield every combination of what decides where a cookie lives."""
    for domain, path, partitioned, site, persistent in product(
        (None, "example.test", HOST), ("/", "/app"), (False, True), ("lax", "none"), (True, False)
    ):
        given: Any = {"domain": domain, "path": path, "partitioned": partitioned, "same_site": site}
        yield CookiePolicy(persistent=persistent, **given)


@pytest.mark.parametrize("policy", list(policies()), ids=str)
async def test_a_logout_empties_the_jar(policy: CookiePolicy) -> None:
    """In a jar by the letter of RFC 6265bis: one cookie after the login, none after the logout."""
    site, jar = WatchedSite(cookie=policy), Jar(HOST)
    answer = await site.ask("/login")
    jar.read(answer.cookies[0])
    assert list(jar.kept.values()) == [answer.given]
    (line,) = (await site.ask("/logout", answer.given)).cookies
    assert "Max-Age=0" in line
    assert "Expires=Thu, 01 Jan 1970 00:00:00 GMT" in line
    jar.read(line)
    assert jar.kept == {}


def application(policy: CookiePolicy) -> Starlette:
    """Return an application that logs in and out."""

    async def login(request: Request) -> Response:
        request.session["n"] = 1
        return PlainTextResponse("in")

    async def logout(request: Request) -> Response:
        request.session.clear()
        return PlainTextResponse("out")

    routes = [Route("/app/login", login), Route("/app/logout", logout)]
    return Starlette(
        routes=routes, middleware=[Middleware(SessionMiddleware, SessionManager("memory:", cookie=policy))]
    )


async def names(context: BrowserContext) -> list[str]:
    """Return the names of the browser's cookies."""
    return [str(cookie.get("name")) for cookie in await context.cookies()]


@pytest.mark.browser
async def test_chromium_forgets_the_cookie(tmp_path: Path) -> None:
    """The same in a real browser, over TLS, for every combination of domain, path and partition."""
    assert CHROMIUM.exists(), "this test needs Chromium: apt-get install -y --no-install-recommends chromium"
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, "--host-resolver-rules=MAP *.example.test 127.0.0.1"]
        )
        for policy in policies():
            if not policy.persistent:
                continue
            app = application(policy)
            with served(app, ssl_keyfile=key, ssl_certfile=chain) as port:
                context = await browser.new_context(ignore_https_errors=True)
                page = await context.new_page()
                await page.goto(f"https://{HOST}:{port}/app/login")
                assert await names(context) == [policy.derive_name()], policy
                await page.goto(f"https://{HOST}:{port}/app/logout")
                assert await names(context) == [], policy
                await context.close()
        await browser.close()
