"""The same requests on an ordinary session layer and on limpet, side by side, each time the page is loaded.

Both sides run the same handlers, in this process, over stores of their own that hold nothing else. The ordinary layer
does what most do: it reads the whole session when a request begins, and writes the whole session when it ends.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.applications import Starlette
from starlette.requests import Request as Plain
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from limpet import SessionManager
from limpet._wire.marks import is_mark
from limpet.adapters.fastapi import SessionDep
from limpet.adapters.starlette import SessionMiddleware
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send
from limpet.demo.page import Page
from limpet.stores.memory import MemoryStore

__all__ = ["REQUESTS", "Side", "compare", "routes"]

REQUESTS: Final = 50
_COOKIE: Final = "sid"
_OVERLAP: Final = 0.02  # seconds that a handler works, so that requests meet

routes: APIRouter = APIRouter()


@dataclass(frozen=True, kw_only=True)
class Side:
    """What came of it on one side.

    Attributes:
        kept: How many of the additions that requests made at once are in the session afterwards.
        visitor: Who the visitor is for the application, some time after the logout; empty: nobody.
        rows: What the store has then: the beginning of a key, and what is kept under it.
    """

    kept: int
    visitor: str
    rows: Sequence[tuple[str, str]]

    @property
    def is_signed_out(self) -> bool:
        """Whether the logout was the last word."""
        return not self.visitor


class ReadAllWriteAll:
    """An ordinary session layer: a dict that is read from a store, and written back whole."""

    def __init__(self, app: ASGIApp, rows: dict[str, str]) -> None:
        self._app = app
        self._rows = rows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, run the application, write."""
        name = Plain(scope).cookies.get(_COOKIE, "")
        session: dict[str, Any] = json.loads(self._rows.get(name, "{}"))
        scope["session"] = session
        key = name or secrets.token_urlsafe(32)

        async def save(message: Message) -> None:
            if message["type"] == "http.response.start":
                if session:
                    self._rows[key] = json.dumps(session)
                    message["headers"] = [*message["headers"], (b"set-cookie", f"{_COOKIE}={key}".encode())]
                else:
                    self._rows.pop(key, None)
            await send(message)

        await self._app(scope, receive, save)


class _Visitor:
    """Sends requests to an application, and keeps the cookie that it got last, as a browser does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.cookie = b""

    async def get(self, path: str) -> str:
        """Return the text of the answer."""
        headers = [(b"host", b"localhost"), *([(b"cookie", self.cookie)] if self.cookie else [])]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "server": ("localhost", 443),
        }
        body = b""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal body
            for name, value in message.get("headers", ()):
                if name == b"set-cookie":
                    self.cookie = value.partition(b";")[0]
            body += message.get("body", b"")

        await self._app(scope, receive, send)
        return body.decode()


def _application(late: asyncio.Event) -> Starlette:
    """Return the handlers that both sides run; the slow one waits until it may go on."""

    async def login(request: Plain) -> PlainTextResponse:
        request.session.update({"name": "ann", "basket": []})
        return PlainTextResponse("")

    async def add(request: Plain) -> PlainTextResponse:
        basket = request.session["basket"]
        await asyncio.sleep(_OVERLAP)
        basket.append("tea")
        return PlainTextResponse("")

    async def slow(request: Plain) -> PlainTextResponse:
        request.session["seen"] = True
        await late.wait()
        return PlainTextResponse("")

    async def logout(request: Plain) -> PlainTextResponse:
        request.session.clear()
        return PlainTextResponse("")

    async def show(request: Plain) -> PlainTextResponse:
        return PlainTextResponse(json.dumps([request.session.get("name", ""), len(request.session.get("basket", []))]))

    handlers = (login, add, slow, logout, show)
    return Starlette(routes=[Route(f"/{handler.__name__}", handler) for handler in handlers])


async def _try(app: ASGIApp, late: asyncio.Event, rows: Callable[[], Awaitable[list[tuple[str, str]]]]) -> Side:
    visitor = _Visitor(app)
    await visitor.get("/login")
    await asyncio.gather(*(visitor.get("/add") for _ in range(REQUESTS)))
    kept: int = json.loads(await visitor.get("/show"))[1]
    copied = visitor.cookie  # the cookie of the tab whose request is late
    slow = asyncio.create_task(visitor.get("/slow"))
    await asyncio.sleep(_OVERLAP)
    await visitor.get("/logout")
    late.set()
    await slow
    visitor.cookie = copied
    name: str = json.loads(await visitor.get("/show"))[0]
    return Side(kept=kept, visitor=name, rows=await rows())


async def compare() -> tuple[Side, Side]:
    """Return what came of the same requests on the ordinary side, and on limpet."""
    table: dict[str, str] = {}
    store = MemoryStore()
    manager = SessionManager(store, dev=False)

    async def ordinary() -> list[tuple[str, str]]:
        return [(key[:8], value if len(value) < 90 else value[:90] + "…") for key, value in table.items()]

    async def ours() -> list[tuple[str, str]]:
        found, _ = await store.scan(None, 10)
        kind = {True: "a note that the session has ended", False: "a session"}
        return [(key[:8], f"{kind[is_mark(each.payload)]}, {len(each.payload)} bytes") for key, each in found]

    first, second = asyncio.Event(), asyncio.Event()
    return (
        await _try(ReadAllWriteAll(_application(first), table), first, ordinary),
        await _try(SessionMiddleware(_application(second), manager), second, ours),
    )


@routes.get("/side-by-side")
async def page(request: Request, session: SessionDep) -> Response:
    """Try both, and show what came of it."""
    before, ours = await compare()
    found: Response = request.app.state.templates.TemplateResponse(
        request,
        "side_by_side.html",
        {"page": Page.of(session, request.app.state.server), "sides": (before, ours), "requests": REQUESTS},
    )
    return found
