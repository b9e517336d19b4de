"""A site for races: the real ASGI middleware around handlers that a test writes in place.

::

    site = Site(store)
    token = await site.session(cart=["tea"])
    reply = await site.request(lambda session: session.logout(), token)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Self, TypeAlias

from limpet import Session, SessionManager, SessionPolicy
from limpet._wire.marks import is_mark
from limpet.asgi import Message, Receive, Scope, Send, SessionMiddleware
from limpet.contract import Immediate, LoadsMany, Outcome, Record, Replaces, Store, supports
from limpet.events import Event
from limpet.testing.clock import FakeClock

__all__ = ["Counting", "Gate", "Handler", "Held", "Reply", "Site", "nothing"]

Handler: TypeAlias = Callable[[Session], Any]
"""What a route does: a plain or a coroutine function of the session."""


def nothing(session: Session) -> None:
    """Look at the session, and do nothing to it."""
    session.get("x")


@dataclass(slots=True)
class Reply:
    """What the client got.

    Attributes:
        token: The session id that came with it; empty: the cookie was taken back; None: no cookie.
        result: What the handler returned.
    """

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    token: str | None = None
    result: Any = None


@dataclass(slots=True)
class Gate:
    """Holds a request in its handler, after its session was loaded."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def then(self, handler: Handler) -> Handler:
        """Return the handler, to be run when the gate opens."""

        async def gated(session: Session) -> Any:
            self.reached.set()
            await self.opened.wait()
            return handler(session)

        return gated


class Counting:
    """A store that counts its calls, and calls ``before`` before each.

    What it wraps keeps its powers: to load many records counts as one ``load``, to replace one as an ``update``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        if isinstance(store, Immediate):
            self.immediate = True
        if supports(store, LoadsMany):
            self.load_many = self._load_many
        if supports(store, Replaces):
            self.replace = self._replace
        self.calls: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.before: Callable[[], None] | None = None

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def load(self, key: str) -> Record | None:
        self._count("load", key)
        return await self._store.load(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self._count("create", key)
        return await self._store.create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._count("update", key)
        return await self._store.update(key, record, expected, now=now)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        self._count("touch", key)
        return await self._store.touch(key, accessed, expires, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self._count("delete", key)
        return await self._store.delete(key, version)

    async def _load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        self._count("load", keys[0])
        return await self._store.load_many(keys)  # type: ignore[attr-defined, no-any-return]

    async def _replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._count("update", key)
        return await self._store.replace(key, record, expected, now=now)  # type: ignore[attr-defined, no-any-return]

    def take(self) -> dict[str, int]:
        """Return the calls since the last time."""
        calls, self.calls = dict(self.calls), Counter()
        return calls

    def _count(self, call: str, key: str) -> None:
        self.calls[call] += 1
        self.keys.add(key)
        if self.before is not None:
            self.before()


class Site:
    """An application with sessions, its clock, its clients and what it reported.

    Args:
        store: Where the sessions are kept.
        lazy: As for the middleware.
        counted: Count the calls of the store; sessions cannot be found by subject then.
        policy: Settings of the `SessionPolicy`; nothing is a login by its key, unless told.
    """

    def __init__(
        self,
        store: Any,
        *,
        lazy: bool = False,
        counted: bool = True,
        manager: dict[str, Any] | None = None,
        **policy: Any,
    ) -> None:
        self.clock = FakeClock()
        self.counting = Counting(store) if counted and isinstance(store, Store) else None
        policy = {"rotate_on": (), **policy}
        kept = self.counting or store
        self.manager = SessionManager(
            kept, policy=SessionPolicy(**policy), clock=self.clock, dev=False, **(manager or {})
        )
        self.events: list[Event] = []
        self.manager.listen(self.events.append)
        self.app = SessionMiddleware(self._app, self.manager, lazy=lazy)
        self.status = 200

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        result = scope["handler"](scope["session"])
        if asyncio.iscoroutine(result):
            result = await result
        scope["reply"].result = result
        await send({"type": "http.response.start", "status": scope["status"], "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def request(
        self, handler: Handler = nothing, token: str | None = None, *, app: Any = None, status: int = 200, **scope: Any
    ) -> Reply:
        """Send one request with this id; the handler is run with its session."""
        reply = Reply()
        headers = [(b"cookie", f"{self.manager.cookie_name}={token}".encode())] if token else []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = [(name.decode(), value.decode()) for name, value in message.get("headers", ())]

        await (app or self.app)(
            {
                "type": "http",
                "method": "GET",
                "path": "/",
                "headers": headers,
                "scheme": "https",
                "handler": handler,
                "reply": reply,
                "status": status,
                **scope,
            },
            receive,
            send,
        )
        for name, value in reply.headers:
            if name == "set-cookie":
                morsel = SimpleCookie(value)[self.manager.cookie_name]
                reply.token = "" if morsel["max-age"] == "0" else morsel.value
        return reply

    async def session(self, **data: Any) -> str:
        """Begin a session with this data; return its id."""

        async def begin(session: Session) -> None:
            (await session.load()).update(data or {"begun": True})

        reply = await self.request(begin)
        assert reply.token
        self.take()
        return reply.token

    async def read(self, token: str | None) -> dict[str, Any] | None:
        """Return what a client with this id has, or None when there is nothing."""
        session = self.begin(token)
        await self.manager.load(session)
        return dict(session) if session.public_id else None

    def begin(self, token: str | None) -> Session:
        """Return the session of a request with this id, not loaded."""
        cookie = f"{self.manager.cookie_name}={token}".encode()
        return self.manager.begin([(b"cookie", cookie)] if token else [])

    async def rows(self) -> Sequence[tuple[str, Record]]:
        """Return all that is stored, of the keys that this site ever used; without what says that an id has ended."""
        assert self.counting is not None
        found = [(key, await self.counting._store.load(key)) for key in sorted(self.counting.keys)]
        return [(key, record) for key, record in found if record is not None and not is_mark(record.payload)]

    def take(self) -> dict[str, int]:
        """Return the calls of the store since the last time."""
        return self.counting.take() if self.counting else {}

    def reported(self) -> list[str]:
        """Return the names of the events since the last time."""
        names = [type(event).__name__ for event in self.events]
        self.events.clear()
        return names

    def held(self, handler: Handler, token: str | None, **options: Any) -> Held:
        """Return a request that is held between loading and its handler: ``async with site.held(...) as reply``."""
        return Held(self, handler, token, options)


class Held:
    """A request that waits in its handler until the block is left; its reply is then in ``reply``."""

    def __init__(self, site: Site, handler: Handler, token: str | None, options: dict[str, Any]) -> None:
        self._gate = Gate()
        self._call: Coroutine[Any, Any, Reply] = site.request(self._gate.then(handler), token, **options)
        self.reply = Reply()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._call)
        waiting = asyncio.create_task(self._gate.reached.wait())
        await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.opened.set()
        self.reply = await self._task
