"""One request to an ASGI application, what came back, how it is held in the middle: what `tests.site` is made of."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from limpet import Session
from limpet.asgi import ASGIApp, Message

__all__ = ["HOST", "Answer", "Gate", "Handler", "done", "held", "send"]

HOST: Final = "shop.example"

Handler = Callable[[Session], Any]
"""What a page does: a plain or a coroutine function of the session."""


async def done(result: Any) -> Any:
    """Return what a handler returned, awaited if it is to be."""
    return await result if inspect.isawaitable(result) else result


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: 0: nothing has come yet.
        result: What the handler returned; None if it was not reached or raised.
        text: The body: of a `Site`'s page, the result as JSON.
        error: What the application raised, if the site answers errors.
    """

    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    text: str = ""
    result: Any = None
    error: BaseException | None = None

    def all(self, name: str) -> list[str]:
        """Return the values of a header, in order."""
        return self.headers.get_list(name)

    @property
    def cookies(self) -> list[str]:
        """The ``Set-Cookie`` lines."""
        return self.all("set-cookie")

    @property
    def token(self) -> str | None:
        """The session id that came with it; empty: the cookie was taken back; None: no cookie."""
        return self.given if self.cookies else None

    @property
    def given(self) -> str:
        """The value of the one cookie that was set; it is an error if there was none."""
        assert len(self.cookies) == 1, f"{self.status} with {len(self.cookies)} cookies: {self.text}"
        return self.cookies[0].partition(";")[0].partition("=")[2]


async def send(
    app: ASGIApp, path: str = "/", headers: Any = (), *, answer: Answer | None = None, **scope: Any
) -> Answer:
    """Send one request to an ASGI application, as it is: no client tidies it up.

    Args:
        headers: As for httpx.
        answer: What is filled; on an exception as well.
        scope: What else the scope is to hold, or other values for what it holds.
    """
    answer = answer or Answer()
    path, _, query = path.partition("?")
    whole: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in httpx.Headers(headers, "latin-1").raw],
        "client": ("127.0.0.1", 50000),
        "server": (HOST, 443),
        "answer": answer,
        **scope,
    }
    request: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    body: list[bytes] = []
    over = asyncio.Event()

    async def receive() -> Message:
        if not request:
            await over.wait()
            return {"type": "http.disconnect"}
        return request.pop()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], httpx.Headers(message.get("headers", ()), "latin-1")
        elif message["type"] == "http.response.body":
            body.append(message.get("body", b""))
            if not message.get("more_body"):
                over.set()

    try:
        await app(whole, receive, take)
    finally:
        answer.text = b"".join(body).decode()
    return answer


@dataclass
class Gate:
    """Holds a request in its handler, after its session was loaded."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def then(self, handler: Handler, *, first: Handler | None = None) -> Handler:
        """Return the handler, to be run when the gate opens; ``first`` is run before it."""

        async def gated(session: Session) -> Any:
            if first is not None:
                await done(first(session))
            self.reached.set()
            await self.opened.wait()
            return await done(handler(session))

        return gated


@asynccontextmanager
async def held(
    ask: Callable[..., Awaitable[Answer]], handler: Handler, first: Handler | None, options: Any
) -> AsyncIterator[Answer]:
    """Do what `Site.held` does, with what asks."""
    gate, answer = Gate(), Answer()
    task = asyncio.ensure_future(ask(gate.then(handler, first=first), answer=answer, **options))
    waiting = asyncio.create_task(gate.reached.wait())
    await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield answer
    finally:
        gate.opened.set()
        await task
