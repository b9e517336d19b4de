"""Browsers, and the workers of a web site that serve them: the real middleware, asked by a real HTTP client.

::

    shop, other = site.worker(), site.worker()       # two processes over one store
    ann = Browser()
    await ann.ask(shop, lambda session: session.login("ann"))
    answer = await ann.ask(other, look)
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from limpet import Session, SessionManager, SessionPolicy
from limpet.asgi import Receive, Scope, Send, SessionMiddleware
from limpet.events import Event
from limpet.testing import FakeClock

__all__ = ["Answer", "Browser", "Handler", "Shop", "Site", "items", "look", "steps"]

Handler = Callable[[Session], Any]
"""What a page does: a plain or a coroutine function of the session."""

ADDRESS = "https://shop.example"


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
            result = one(session)
            if inspect.isawaitable(result):
                result = await result
        return result

    return handler


@dataclass(slots=True)
class Answer:
    """What came back.

    Attributes:
        result: What the handler returned; None if it was not reached or raised.
        cookies: The ``Set-Cookie`` headers.
    """

    status: int = 0
    result: Any = None
    text: str = ""
    headers: httpx.Headers = field(default_factory=httpx.Headers)

    @property
    def cookies(self) -> list[str]:
        return self.headers.get_list("set-cookie")


class Shop:
    """One worker of the site: a manager, and the middleware around pages that a test writes in place.

    Args:
        manager: Its sessions.
        around: What is put around the application, inside of the sessions.
        middleware: Settings of the `SessionMiddleware`.
    """

    def __init__(self, manager: SessionManager, around: Callable[[Any], Any] | None = None, **middleware: Any) -> None:
        self.manager = manager
        self.heard: list[Event] = []
        manager.listen(self.heard.append)
        self.app = SessionMiddleware(around(self._page) if around else self._page, manager, **middleware)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        session = await scope["session"].load()
        result = scope["handler"](session)
        if inspect.isawaitable(result):
            result = await result
        scope["answer"].result = result
        await send({"type": "http.response.start", "status": scope["reply_with"], "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def events(self) -> list[str]:
        """Return the names of the events since the last time."""
        names = [type(event).__name__ for event in self.heard]
        self.heard.clear()
        return names


class _Wire(httpx.AsyncBaseTransport):
    """Hands each request to the worker that the test chose for it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        shop, more = request.extensions["to"]

        async def served(scope: Any, receive: Any, send: Any) -> None:
            await shop.app({**scope, **more}, receive, send)

        return await httpx.ASGITransport(served, raise_app_exceptions=False).handle_async_request(request)


class Browser:
    """A browser: it keeps cookies by the rules, sends those that it has when a request leaves, and has several tabs.

    Args:
        cookies: What it has already, as ``(name, value)``.
        header: The header in which the id travels where that is not the cookie.
    """

    def __init__(self, cookies: dict[str, str] | None = None, *, header: str | None = None) -> None:
        self._client = httpx.AsyncClient(transport=_Wire(), base_url=ADDRESS, timeout=60)
        self._header = header
        self._id = ""
        for name, value in (cookies or {}).items():
            self._client.cookies.set(name, value, domain="shop.example", path="/")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it has, by name."""
        return {cookie.name: cookie.value or "" for cookie in self._client.cookies.jar}

    @property
    def ids(self) -> list[str]:
        """What it would send: cookie values, and the id that travels in a header."""
        return [*self.cookies.values(), *([self._id] if self._id else [])]

    def copy(self) -> Browser:
        """Return another browser that has the same cookies: what a thief has who copied them."""
        twin = Browser(header=self._header)
        for cookie in self._client.cookies.jar:
            twin._client.cookies.jar.set_cookie(cookie)
        twin._id = self._id
        return twin

    def take_from(self, other: Browser) -> None:
        """Take the cookies that another browser has as well."""
        for cookie in other._client.cookies.jar:
            self._client.cookies.jar.set_cookie(cookie)

    async def ask(
        self,
        shop: Any,
        handler: Handler = look,
        *,
        method: str = "POST",
        path: str = "/",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request to a worker, which runs the handler; keep the cookies that come with the answer."""
        answer = Answer()
        more = {"handler": handler, "answer": answer, "reply_with": status}
        sent = dict(headers or {})
        if self._header and self._id:
            sent[self._header] = self._id
        response = await self._client.request(method, path, headers=sent, extensions={"to": (shop, more)})
        answer.status, answer.text, answer.headers = response.status_code, response.text, response.headers
        if self._header and self._header in response.headers:
            self._id = response.headers[self._header]
        return answer

    async def begin(self, shop: Any, **data: Any) -> Self:
        """Begin a session that holds this; returns the browser."""
        assert (await self.ask(shop, lambda session: session.update(data))).status == 200
        return self

    async def login(self, shop: Any, subject: str = "ann", **how: Any) -> Self:
        """Log in; returns the browser."""
        answer = await self.ask(shop, lambda session: session.login(subject, **how))
        assert answer.status == 200, answer.text
        return self

    @asynccontextmanager
    async def held(self, shop: Any, handler: Handler = look, **options: Any) -> AsyncIterator[Answer]:
        """Run the block while a request waits, loaded, before its handler; its answer is there after the block."""
        reached, released = asyncio.Event(), asyncio.Event()

        async def gated(session: Session) -> Any:
            reached.set()
            await released.wait()
            result = handler(session)
            return await result if inspect.isawaitable(result) else result

        answer = Answer()
        task = asyncio.create_task(self.ask(shop, gated, **options))
        waiting = asyncio.create_task(reached.wait())
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield answer
        finally:
            released.set()
            done = await task
        answer.status, answer.result, answer.text, answer.headers = done.status, done.result, done.text, done.headers


class Site:
    """A store of one kind, and the workers that were opened over it.

    Args:
        kind: Its name.
        connect: Returns one more connection to the store.
    """

    def __init__(self, kind: str, connect: Callable[[], Any]) -> None:
        self.kind = kind
        self.clock = FakeClock()
        self.header: str | None = None
        self.middleware: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self._connect = connect
        self._workers: list[SessionManager] = []

    def connect(self) -> Any:
        """Return one more connection to the store."""
        return self._connect()

    def worker(
        self,
        *,
        around: Callable[[Any], Any] | None = None,
        middleware: dict[str, Any] | None = None,
        store: Any = None,
        policy: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Shop:
        """Return one more worker, with a connection and a manager of its own."""
        limits = {"store_timeout": 5.0, "merge_timeout": 20.0}  # these tests are about order, on a machine that is busy
        rules = SessionPolicy(**{**limits, **(policy or {})})
        given = {"clock": self.clock, "dev": False, "policy": rules, **self.settings, **settings}
        manager = SessionManager(self._connect() if store is None else store, **given)
        self._workers.append(manager)
        return Shop(manager, around, **{**self.middleware, **(middleware or {})})

    def browser(self) -> Browser:
        """Return a browser without cookies."""
        return Browser(header=self.header)

    async def close(self) -> None:
        """Shut all workers down."""
        for manager in self._workers:
            await manager.shutdown()
