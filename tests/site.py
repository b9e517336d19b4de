"""The site that tests are written with: real sessions, the real middleware, and pages that a test writes in place.

::

    site = Site(MemoryStore(), idle_timeout=60)        # any setting, of the policy, the manager or the middleware
    ann = await Browser().login(site)                  # a browser keeps its cookies, and may ask several sites
    answer = await ann.ask(site, lambda session: session.get("cart"))
    token = await site.session(cart=["tea"])           # where the cookie itself is what matters
    answer = await site.ask(lambda session: session.logout(), token)
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self, cast

import httpx

from limpet import Session, SessionManager, SessionPolicy
from limpet.asgi import Receive, Scope, Send, SessionMiddleware
from limpet.events import Event
from limpet.testing import FakeClock
from tests.asked import HOST, Answer, Gate, Handler, done, held, send
from tests.jar import Jar

__all__ = [
    "STORES",
    "Answer",
    "Browser",
    "Gate",
    "Handler",
    "Site",
    "items",
    "look",
    "nothing",
    "opened",
    "send",
    "steps",
]

STORES: Final = ("memory", "sqlite", "file")
"""Stores that need no server: what `opened` opens."""

_POLICY: Final = {each.name for each in fields(SessionPolicy) if each.init}
_MANAGER: Final = {*inspect.signature(SessionManager.__init__).parameters}  # the middleware, compiled, has none to show


def nothing(session: Session) -> None:
    """Look at the session, and do nothing to it."""
    session.get("x")


def look(session: Session) -> str | None:
    """Return whose session it is."""
    return session.subject


def items(session: Session) -> dict[str, Any]:
    """Return what the session holds."""
    return dict(session)


def steps(*handlers: Handler) -> Handler:
    """Return a handler that does one thing after the other and returns what the last one did."""

    async def handler(session: Session) -> Any:
        result = None
        for one in handlers:
            result = await done(one(session))
        return result

    return handler


class Site:
    """One worker of an application: a manager, the middleware around its pages, and what its listener heard.

    Args:
        store: Where sessions are kept: a store, its URL, or a manager that is there already.
        pages: What is done at a path, where a test names one.
        around: What is put around the pages, inside of the sessions.
        loads: Load the session before each handler, also in a lazy middleware.
        answers_errors: Answer what the application raises with 500, as servers do; without, the test gets it.
        settings: Of the `SessionPolicy`, the `SessionManager` and the `SessionMiddleware`, by their names. The clock
            is a `FakeClock` and it is no development, unless told.
    """

    def __init__(
        self,
        store: Any = "memory:",
        pages: Mapping[str, Handler] | None = None,
        *,
        around: Callable[[Any], Any] | None = None,
        loads: bool = False,
        answers_errors: bool = False,
        **settings: Any,
    ) -> None:
        self._middleware = {name: settings.pop(name) for name in settings.keys() - _POLICY - _MANAGER}
        if rules := {name: settings.pop(name) for name in _POLICY & settings.keys()}:
            settings["policy"] = SessionPolicy(**rules)
        if not isinstance(store, SessionManager):
            store = SessionManager(store, **{"clock": FakeClock(), "dev": False, **settings})
        self.manager: SessionManager = store
        self.pages: dict[str, Handler] = dict(pages or {})
        self.loads, self.answers_errors = loads, answers_errors
        self._around = around
        self.heard: list[Event] = []
        self.manager.listen(self.heard.append)

    @cached_property
    def app(self) -> Any:
        """The application that is asked."""
        inner = self._around(self.page) if self._around else self.page
        return SessionMiddleware(inner, self.manager, **self._middleware)

    @property
    def clock(self) -> FakeClock:
        """The manager's, which is one that stands still unless the test has said otherwise."""
        return cast("FakeClock", self.manager.clock)

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: what is inside of the middleware."""
        if scope["type"] != "http":
            return
        session = scope["session"]
        if self.loads:
            await session.load()
        result = await done((scope.get("handler") or self.pages[scope["path"]])(session))
        if "answer" in scope:
            scope["answer"].result = result
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": scope.get("status", 200), "headers": head})
        await send({"type": "http.response.body", "body": json.dumps(result, default=str).encode()})

    async def ask(
        self,
        page: str | Handler = nothing,
        token: str | bytes | None = None,
        *,
        path: str = "/",
        headers: Any = (),
        cookies: Iterable[bytes] = (),
        name: str | None = None,
        app: Any = None,
        answer: Answer | None = None,
        **scope: Any,
    ) -> Answer:
        """Send one request.

        Args:
            page: The path of one of the pages, or what is done with the session.
            token: The value of the session cookie.
            path: Where a handler is asked.
            cookies: Whole Cookie headers, sent as they are.
            name: The cookie's name; None: the manager's.
            app: What is asked in the place of the site's application.
            scope: ``status`` is that of the answer; for the others see `send`.
        """
        answer = answer or Answer()
        if isinstance(page, str):
            path = page
        else:
            scope["handler"] = page
        sent = [(b"host", HOST.encode()), *httpx.Headers(headers, "latin-1").raw]
        sent += [(b"cookie", cookie) for cookie in cookies]
        if token is not None:
            value = token.encode("latin-1") if isinstance(token, str) else token
            sent.append((b"cookie", (name or self.manager.cookie_name).encode() + b"=" + value))
        try:
            return await send(app or self.app, path, sent, answer=answer, **scope)
        except Exception as error:
            if not self.answers_errors:
                raise
            answer.status, answer.error = answer.status or 500, error
            return answer

    def held(
        self, handler: Handler, token: str | None = None, *, first: Handler | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Answer]:
        """Run the block while a request waits, loaded, before its handler; its answer is there after the block.

        Args:
            first: What the request has done when it waits.
        """
        return held(lambda gated, **more: self.ask(gated, token, **more), handler, first, options)

    async def run(self, handler: Handler, token: str | None = None) -> str | None:
        """Run a handler without the middleware, so that every error is raised here.

        Returns:
            The cookie's value that the client has after it.
        """
        session = self.begin(token)
        await self.manager.load(session)
        await done(handler(session))
        await self.manager.commit(session)
        header = self.manager.header(session)
        return token if header is None else header[1].decode().split(";")[0].partition("=")[2]

    async def login(self, subject: str, *, cookie: str | None = None, **more: Any) -> str:
        """Log in, without the middleware; return the cookie's value, empty if none was handed out."""
        return await self.run(lambda session: session.login(subject, **more), cookie) or ""

    async def session(self, **data: Any) -> str:
        """Begin a session with this data; return its id."""

        async def begin(session: Session) -> None:
            (await session.load()).update(data or {"begun": True})

        return (await self.ask(begin)).given

    def begin(self, token: str | None = None) -> Session:
        """Return the session of a request with this id, not loaded."""
        name = self.manager.cookie_name
        return self.manager.begin([(b"cookie", f"{name}={token}".encode())] if token else [])

    async def read(self, token: str | None) -> dict[str, Any] | None:
        """Return what a client with this id has, or None when there is nothing."""
        session = self.begin(token)
        await self.manager.load(session)
        return dict(session) if session.public_id else None

    async def whose(self, token: str | None) -> str | None:
        """Return whose session a client with this id has."""
        session = self.begin(token)
        await self.manager.load(session)
        return session.subject

    def names(self) -> list[str]:
        """Return the names of the events since the last time, and forget them."""
        names = [type(event).__name__ for event in self.heard]
        self.heard.clear()
        return names

    def said(self, kind: type[Event]) -> int:
        """Return how many events of this kind there were."""
        return sum(isinstance(event, kind) for event in self.heard)


class Browser:
    """A browser: it keeps cookies by the rules, sends those that it has when a request leaves, and has several tabs.

    Args:
        cookies: What it has already, by name.
        header: The header in which the id travels where that is not the cookie.
    """

    def __init__(self, cookies: Mapping[str, str] | None = None, *, header: str | None = None) -> None:
        self.jar = Jar(HOST)
        self._header, self._id = header, ""
        for name, value in (cookies or {}).items():
            self.jar.read(f"{name}={value}; Path=/")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it has, by name."""
        return {place.name: value for place, value in self.jar.kept.items()}

    @property
    def ids(self) -> list[str]:
        """What it would send: cookie values, and the id that travels in a header."""
        return [*self.cookies.values(), *([self._id] if self._id else [])]

    def copy(self) -> Browser:
        """Return another browser that has the same cookies: what a thief has who copied them."""
        twin = Browser(header=self._header)
        twin.take_from(self)
        twin._id = self._id
        return twin

    def take_from(self, other: Browser) -> None:
        """Take the cookies that another browser has as well."""
        self.jar.kept.update(other.jar.kept)

    async def ask(
        self, site: Site, page: str | Handler = look, *, method: str = "POST", headers: Any = (), **how: Any
    ) -> Answer:
        """Send a request, as `Site.ask` does, with the cookies; keep those that come with the answer."""
        path = page if isinstance(page, str) else how.get("path", "/")
        sent = httpx.Headers(headers)
        if cookies := self.jar.header(path):
            sent.setdefault("cookie", cookies)
        if self._header and self._id:
            sent[self._header] = self._id
        answer = await site.ask(page, method=method, headers=sent, **how)
        for line in answer.cookies:
            self.jar.read(line)
        if self._header:
            self._id = answer.headers.get(self._header, self._id)
        return answer

    async def begin(self, site: Site, **data: Any) -> Self:
        """Begin a session that holds this; returns the browser."""
        assert (await self.ask(site, lambda session: session.update(data))).status == 200
        return self

    async def public_id(self, site: Site) -> str:
        """Ask for the public id of its session, which nothing can end from outside if it has none."""
        found = (await self.ask(site, lambda session: session.public_id)).result
        assert isinstance(found, str)
        return found

    async def login(self, site: Site, subject: str = "ann", **how: Any) -> Self:
        """Log in; returns the browser."""
        answer = await self.ask(site, lambda session: session.login(subject, **how))
        assert answer.status == 200, answer.text
        return self

    def held(
        self, site: Site, handler: Handler = look, *, first: Handler | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Answer]:
        """Run the block while a request waits, as `Site.held` does."""
        return held(lambda gated, **more: self.ask(site, gated, **more), handler, first, options)


@asynccontextmanager
async def opened(kind: str, folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """Open a site over one of `STORES`, started; at the end it is shut down."""
    urls = {
        "memory": "memory:",
        "sqlite": f"sqlite:///{folder / 'sessions.db'}?synchronous=OFF",
        "file": f"file:{folder / 'files'}",
    }
    site = Site(urls[kind], **settings)
    await site.manager.startup()
    try:
        yield site
    finally:
        await site.manager.shutdown()
