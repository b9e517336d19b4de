"""Sessions of several people, without a web server: what tests of lists and revocation are written with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from limpet import Session, SessionManager, events
from limpet.testing import FakeClock

__all__ = ["STORES", "Site", "doing", "opened"]

STORES = ("memory", "sqlite", "file")
"""Stores that need no server."""


class Site:
    """One manager, and what its listeners heard."""

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        self.heard: list[events.Event] = []
        manager.listen(self.heard.append)

    async def login(self, subject: str, *, cookie: str | None = None, **more: Any) -> str:
        """Log in as a request does; return the cookie's value, empty if none was handed out."""
        return await self.request(lambda session: session.login(subject, **more), cookie) or ""

    async def request(self, handler: Callable[[Session], Any], cookie: str | None = None) -> str | None:
        """Run one request; return the cookie's value that the client has after it."""
        session = self.begin(cookie)
        await self.manager.load(session)
        result = handler(session)
        if hasattr(result, "__await__"):
            await result
        await self.manager.commit(session)
        header = self.manager.header(session)
        return cookie if header is None else header[1].decode().split(";")[0].partition("=")[2]

    def begin(self, cookie: str | None = None) -> Session:
        """Return the session of a request with that cookie."""
        name = self.manager.cookie_name
        return self.manager.begin([(b"cookie", f"{name}={cookie}".encode())] if cookie else [])

    async def whose(self, cookie: str) -> str | None:
        """Return whose session a cookie is."""
        session = self.begin(cookie)
        await self.manager.load(session)
        return session.subject

    def names(self) -> list[str]:
        """Return the names of the events that were heard, and forget them."""
        heard = [type(event).__name__ for event in self.heard]
        self.heard.clear()
        return heard


def doing(*steps: Callable[[Session], object]) -> Callable[[Session], None]:
    """Return a handler that does one thing after the other."""

    def handler(session: Session) -> None:
        for step in steps:
            step(session)

    return handler


@asynccontextmanager
async def opened(kind: str, folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """Open a site over one of `STORES`."""
    urls = {
        "memory": "memory:",
        "sqlite": f"sqlite:///{folder / 'sessions.db'}?synchronous=OFF",
        "file": f"file:{folder / 'files'}",
    }
    settings.setdefault("clock", FakeClock())
    manager = SessionManager(urls[kind], dev=False, **settings)
    await manager.startup()
    try:
        yield Site(manager)
    finally:
        await manager.shutdown()
