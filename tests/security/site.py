"""A small application behind the middleware, asked in raw ASGI so that no client tidies up what an attacker sends."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from limpet import Session, SessionManager
from limpet._wire.marks import is_mark
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send, SessionMiddleware, session_in
from limpet.contract import Record
from limpet.events import Event
from limpet.stores import ClientStore, MemoryStore, Store, WrappingStore
from limpet.testing import FakeClock
from tests.counts import LONG, count

__all__ = ["ANONYMOUS", "LONG", "NAME", "OLDER", "OTHER", "SECRET", "Answer", "Handler", "Site", "Watched", "count"]

NAME: Final = "__Host-Http-session"
SECRET: Final = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5"
OLDER: Final = "Wn3pYx8Lq-1vKzRt6Bm9HcJd4SfGa7Ue2oXiT0"
OTHER: Final = "Cj5rUe9Wb-2mXpLy7Kt4NqZs1DhVg6Ra8oFiQ3"
ANONYMOUS: Final = "{}"

Handler = Callable[[Session], Awaitable[object] | object]
_CALLS: Final = {"load_many": "load"} | {
    name: name
    for name in ("load", "create", "update", "replace", "touch", "delete", "sweep", "find", "find_page", "scan")
}


class Watched(WrappingStore):
    """A memory store that counts its calls, and answers as one over a network does: not at once.

    Attributes:
        kept: The memory store behind, whose other powers it has.
        calls: How often each call was made; several records that are read at once are one load.
    """

    immediate = None  # it is waited for

    def __init__(self) -> None:
        self.kept = MemoryStore()
        self.calls: Counter[str] = Counter()
        super().__init__(self.kept)

    @property
    def rows(self) -> dict[str, Record]:
        """Everything that is stored."""
        return self.kept._records

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _CALLS or found is None:
            return found

        async def counted(*given: Any, **more: Any) -> Any:
            self.calls[_CALLS[name]] += 1
            return await found(*given, **more)

        return counted


@dataclass(frozen=True)
class Answer:
    """What came back. An exception that reached the server is a 500, as servers make it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    text: str
    error: BaseException | None = None

    def all(self, name: str) -> list[str]:
        """Return the values of a header, in order."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie lines."""
        return self.all("set-cookie")

    @property
    def token(self) -> str:
        """The value of the one cookie that was set."""
        (line,) = self.cookies
        return line.partition(";")[0].partition("=")[2]


class Site:
    """One application, its manager, its store, its clock, and what the manager said.

    The routes ``/touch``, ``/read``, ``/dump``, ``/write``, ``/login``, ``/rotate`` and ``/logout`` are there.

    Args:
        handlers: More routes: a path, and what to do with the session; what it returns is sent as JSON.
        store: None: a `Watched` one.
        wrap: What stands between the middleware and the server, such as another middleware.
        settings: For `SessionManager`.
    """

    def __init__(
        self,
        handlers: dict[str, Handler] | None = None,
        store: Store | ClientStore | str | None = None,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.watched = Watched()
        self.manager = SessionManager(self.watched if store is None else store, clock=self.clock, **settings)
        self.events: list[Event] = []
        self.manager.listen(self.events.append)
        self.handlers: dict[str, Handler] = {
            "/touch": _nothing,
            "/read": lambda session: session.get("n"),
            "/dump": lambda session: dict(session),
            "/write": _write,
            "/login": lambda session: session.login("ann"),
            "/rotate": lambda session: session.regenerate(),
            "/logout": lambda session: session.logout(),
            **(handlers or {}),
        }
        self.app: ASGIApp = SessionMiddleware(self._route, self.manager, sweep_interval=None)

    @property
    def rows(self) -> dict[str, Record]:
        """Everything in the `Watched` store."""
        return self.watched.rows

    @property
    def kept(self) -> dict[str, Record]:
        """Every session in the `Watched` store, without what says that an id has ended."""
        return {key: record for key, record in self.rows.items() if not is_mark(record.payload)}

    def said(self, kind: type[Event]) -> int:
        """Return how many events of this kind there were."""
        return sum(isinstance(event, kind) for event in self.events)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        result = self.handlers[scope["path"]](session_in(scope))
        if inspect.isawaitable(result):
            result = await result
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(result, default=str).encode()})

    async def ask(
        self,
        path: str,
        token: str | bytes | None = None,
        *,
        name: str | None = None,
        cookies: Iterable[bytes] = (),
        headers: Iterable[tuple[bytes, bytes]] = (),
        scheme: str = "https",
    ) -> Answer:
        """Make one request.

        Args:
            token: The value of the session cookie.
            name: The cookie's name; None: the manager's.
            cookies: Whole Cookie headers, sent as they are.
            headers: More headers.
            scheme: Of the request.
        """
        sent = [(b"host", b"testserver"), *headers, *((b"cookie", cookie) for cookie in cookies)]
        if token is not None:
            value = token.encode("latin-1") if isinstance(token, str) else token
            sent.append((b"cookie", (name or self.manager.cookie_name).encode() + b"=" + value))
        return await request(self.app, path, sent, scheme)


async def request(app: ASGIApp, path: str, headers: list[tuple[bytes, bytes]], scheme: str = "https") -> Answer:
    """Send one request to an ASGI application."""
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 443),
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    error: BaseException | None = None
    try:
        await app(scope, receive, send)
    except Exception as raised:  # noqa: BLE001 - what a server turns into a 500
        error = raised
    if not messages:
        return Answer(500, (), "", error)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(messages[0]["status"], tuple(messages[0]["headers"]), body.decode(), error)


def _nothing(session: Session) -> None:
    """Leave the session alone."""


def _write(session: Session) -> int:
    session["n"] = session.get("n", 0) + 1
    number: int = session["n"]
    return number
