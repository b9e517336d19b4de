"""A session's cookie, copied from one profile of a real Chromium into another that names itself otherwise."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from limpet import SessionManager, SessionPolicy
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.events import ClientChanged, Event
from tests.security.web import served

pytestmark = pytest.mark.browser

FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0"


async def login(request: Request) -> Response:
    get_session(request).login("ann")
    return JSONResponse(None)


async def who(request: Request) -> Response:
    session = get_session(request)
    return JSONResponse([session.subject, session.is_fresh()])


async def copied(one: BrowserContext, other: BrowserContext) -> None:
    """Take every cookie of a profile along into another one."""
    await other.add_cookies(await one.cookies())  # type: ignore[arg-type]  # what is read is what is written


@pytest.mark.parametrize(("action", "thief"), [("login", ["ann", False]), ("end", [None, False])])
async def test_a_copied_cookie_does_not_stay_quiet(chromium: Browser, action: str, thief: list[object]) -> None:
    """The owner's browser is upgraded and stays as it was; the copy is told, and asked to log in, or ended."""
    policy = SessionPolicy(on_client_change={"agent": "login" if action == "login" else "end"})
    manager = SessionManager("memory:", dev=True, devices=True, policy=policy)
    heard: list[Event] = []
    manager.listen(heard.append)
    middleware = [Middleware(SessionMiddleware, manager=manager)]
    app = Starlette(routes=[Route("/login", login), Route("/who", who)], middleware=middleware)
    with served(app) as port:
        site = f"http://127.0.0.1:{port}"
        owner = await chromium.new_context()
        page = await owner.new_page()
        await page.goto(f"{site}/login")
        agent: str = await page.evaluate("navigator.userAgent")
        upgraded = await chromium.new_context(user_agent=agent.replace("Chrome/", "Chrome/9"))
        other = await chromium.new_context(user_agent=FIREFOX)
        for profile in (upgraded, other):
            await copied(owner, profile)
        again = await (await upgraded.new_page()).goto(f"{site}/who")
        assert again is not None
        assert await again.json() == ["ann", True]
        assert not [event for event in heard if isinstance(event, ClientChanged)]
        answer = await (await other.new_page()).goto(f"{site}/who")
        assert answer is not None
        assert await answer.json() == thief
        assert [(event.what, event.action) for event in heard if isinstance(event, ClientChanged)] == [
            (("agent",), action)
        ]
        last = await page.goto(f"{site}/who")
        assert last is not None
        assert await last.json() == (["ann", True] if action == "login" else [None, False])
