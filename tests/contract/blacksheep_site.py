"""Applications for the tests of BlackSheep's documentation, driven from outside like any other site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http.cookies import Morsel, SimpleCookie
from typing import Any

from blacksheep import Request, Response, Router

from limpet.adapters.blacksheep import Application
from limpet.adapters.blacksheep.sessions.abc import Session, SessionStore
from limpet.asgi import PROBE
from limpet.manager import SessionManager, system_clock
from limpet.testing import FakeClock, SessionClient, client
from tests.adapters.short_stack import on_a_short_stack

__all__ = ["KEY", "Drawer", "Shelf", "Site", "cookie_in", "count"]

KEY = "uQ2c_7mVtR9xLk4WzJ1fYd8sNbGh3pEoXaI6vTqCyM0"


class Site:
    """An application that serves one handler on two paths, ``/`` and ``/again``.

    Args:
        handler: The handler.
        store: The first argument of `use_sessions`.
        settings: The others.

    Attributes:
        app: The application.
        first: A browser.
    """

    def __init__(self, handler: Callable[..., Any], store: Any = KEY, **settings: Any) -> None:
        self.router = Router()
        self.app = on_a_short_stack(lambda: Application(router=self.router))
        self.app.use_sessions(store, **settings)
        self.router.add_get("/", handler)
        self.router.add_get("/again", handler)
        self.first = self.browser()

    def browser(self, token: str | None = None, name: str = "session") -> SessionClient:
        """Return another browser, with nothing in it or with a cookie that it got somewhere."""
        browser = client(self.app, raise_server_exceptions=False)
        if token is not None:
            browser.cookies.set(name, token)
        return browser

    def replay(self, token: str) -> str:
        """Return what somebody is answered who sends a cookie that was given to another."""
        return str(self.browser(token).get("/").text)

    def manager(self) -> SessionManager:
        """Return the application's manager."""
        managers: list[SessionManager] = []
        asyncio.run(self.app({"type": PROBE, "managers": managers}, None, None))  # type: ignore[arg-type]
        return managers[0]

    def clock(self) -> FakeClock:
        """Return the application's clock, which from now on is turned by hand."""
        clock = FakeClock(system_clock())
        self.manager().clock = clock
        return clock


def cookie_in(response: Any, name: str = "session") -> Morsel[Any]:
    """Return the cookie that a response sets."""
    return SimpleCookie(response.headers["set-cookie"])[name]


def count(request: Request) -> str:
    """Handle a request: count the visits."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return str(request.session["visits"])


class Shelf(SessionStore):
    """A store as an application would write one: numbered boxes, named by a header."""

    def __init__(self) -> None:
        self.boxes: dict[str, dict[str, Any]] = {}
        self.saves = 0

    async def load(self, request: Request) -> Session:
        number = request.get_first_header(b"x-session-id")
        return Session(self.boxes.get(number.decode() if number else ""))

    async def save(self, request: Request, response: Response, session: Session) -> None:
        given = request.get_first_header(b"x-session-id")
        number = given.decode() if given else str(len(self.boxes) + 1)
        self.boxes[number] = session.to_dict()
        self.saves += 1
        response.add_header(b"X-Session-ID", number.encode())


class Drawer(SessionStore):
    """Another: what its cookie names."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    async def load(self, request: Request) -> Session:
        return Session(self.kept.get(request.cookies.get("drawer", "")))

    async def save(self, request: Request, response: Response, session: Session) -> None:
        name = request.cookies.get("drawer") or f"d{len(self.kept)}"
        self.kept[name] = session.to_dict()
        response.add_header(b"Set-Cookie", f"drawer={name}; Path=/".encode())
