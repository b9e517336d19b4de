"""The application that `AdapterSuite` drives: what its routes do, written against `Session` alone.

An adapter's test builds an application of its framework from an `AppSpec`; see `AdapterSuite` for the glue.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl
from uuid import UUID

from limpet._blocking import drive
from limpet._core.session import Session
from limpet.csrf import csrf_token
from limpet.errors import (
    LimpetError,
    SessionBusy,
    SessionClosed,
    SessionConflict,
    SessionEnded,
    SessionLimitReached,
    StoreUnavailable,
)
from limpet.manager import SessionManager
from limpet.wsgi import BlockingSession

__all__ = ["SESSIONLESS", "AppSpec", "Boom", "Gate", "Reply"]

Query: TypeAlias = Mapping[str, str]
GetSession: TypeAlias = Callable[[], Session | Awaitable[Session]]

SESSIONLESS: Final = ("untouched", "excluded")
"""Routes that never ask for the session, for frameworks whose routes declare that they want it."""

TYPES: Final[Mapping[str, Any]] = {
    "text": "naïve ✓",
    "number": 2**70,
    "float": 0.1,
    "nothing": None,
    "bytes": b"\x00\xff",
    "moment": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    "day": date(2024, 2, 29),
    "time": time(12, 30),
    "span": timedelta(days=1, microseconds=1),
    "price": Decimal("1.10"),
    "id": UUID(int=7),
    "set": {"a", "b"},
    "tuple": (1, (2, "x")),
    "tree": {"a": [1, {"b": None}]},
}


ANSWERED: Final[Mapping[str, Callable[[], LimpetError]]] = {
    "StoreUnavailable": lambda: StoreUnavailable(retry_after=7),
    "SessionBusy": lambda: SessionBusy("a lock was held"),
    "SessionLimitReached": lambda: SessionLimitReached(2),
    "SessionConflict": lambda: SessionConflict("others wrote"),
    "SessionEnded": lambda: SessionEnded("others ended it"),
}
"""Makes one of each kind of errors that have an answer of their own."""


class Gate(asyncio.Barrier):
    """A barrier of which it can be told that somebody has come to it.

    Attributes:
        reached: Set when the first one waits.
    """

    def __init__(self, parties: int) -> None:
        super().__init__(parties)
        self.reached: asyncio.Event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def wait(self) -> int:
        """Wait until all are here."""
        self.reached.set()
        return await super().wait()

    def wait_on_a_thread(self) -> None:
        """Wait until all are here, on a thread beside the event loop of the test."""
        asyncio.run_coroutine_threadsafe(self.wait(), self._loop).result(60)


class Boom(Exception):
    """What a handler of the suite raises."""


@dataclass(kw_only=True)
class Reply:
    """What a route answers.

    Attributes:
        value: The body, as JSON; ``text`` is the same, encoded.
        status: The status code.
        headers: Response headers.
        stream: The body in pieces, in place of ``value``.
        background: What runs after the response was sent, where the framework has such tasks.
    """

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    stream: AsyncIterator[bytes] | None = None
    background: Callable[[], Awaitable[None]] | None = None

    @property
    def text(self) -> str:
        """The body as JSON text."""
        return json.dumps(self.value)

    def parts(self) -> Iterator[bytes]:
        """Return the body in pieces, for a framework without an event loop."""
        stream = self.stream
        assert stream is not None
        while True:
            try:
                part = drive(_following(stream))
            except StopAsyncIteration:
                return
            yield part

    def run_background(self) -> None:
        """Run what runs after the response, in a framework without an event loop."""
        if self.background is not None:
            drive(_awaited(self.background))


@dataclass(kw_only=True)
class AppSpec:
    """What the application is to be like.

    Attributes:
        manager: For the session middleware.
        exclude: For the session middleware.
        lazy: For the session middleware.
        gate: Where the handlers of concurrent requests wait for each other, each having read its session.
    """

    manager: SessionManager
    exclude: tuple[str, ...] = ("/excluded",)
    lazy: bool = False
    gate: Gate | None = None

    async def run(self, name: str, query: Query, session: GetSession) -> Reply:
        """Carry out the route of that name.

        Args:
            name: The path without its slash.
            query: The query parameters.
            session: Returns the session of this request as the framework's users get it.
        """
        if name in SESSIONLESS:
            return Reply(value=name)
        held = await self._resolve(session)
        outcome = await _carry_out(name, held, query)
        if query.get("gate") and self.gate is not None:
            await self.gate.wait()
        return outcome if isinstance(outcome, Reply) else Reply(value=outcome)

    def run_blocking(self, name: str, query: Query, session: Callable[[], BlockingSession]) -> Reply:
        """Carry out the route of that name in a framework without an event loop.

        Args:
            name: The path without its slash.
            query: The query parameters.
            session: Returns the session of this request as the framework's users get it.
        """
        if name in SESSIONLESS:
            return Reply(value=name)
        held = session()
        if self.lazy:
            held.blocking.load()
        outcome = drive(_carry_out(name, held, query))
        if query.get("gate") and self.gate is not None:
            self.gate.wait_on_a_thread()
        return outcome if isinstance(outcome, Reply) else Reply(value=outcome)

    async def converse(
        self,
        query: Query,
        session: GetSession,
        accept: Callable[[], Awaitable[None]],
        receive: Callable[[], Awaitable[str]],
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        """Carry out the WebSocket route, up to the message ``bye``; the caller closes it then.

        Each message is ``name?key=value``, a route and its query; the answer is what it returns, as JSON. The
        query parameter ``first`` names a route to be carried out before the acceptance.
        """
        held: Session | None = None
        if query.get("first"):
            held = await self._resolve(session)
            await _carry_out(query["first"], held, query)
        await accept()
        while (message := await receive()) != "bye":
            if held is None:
                held = await self._resolve(session)
            name, _, rest = message.partition("?")
            await send(json.dumps(await _carry_out(name, held, dict(parse_qsl(rest)))))

    async def _resolve(self, session: GetSession) -> Session:
        held = session()
        if not isinstance(held, Session):
            held = await held
        return await held.load() if self.lazy else held


async def _carry_out(name: str, session: Session, query: Query) -> Any:
    outcome = getattr(_Routes(session, query), name)()
    return await outcome if inspect.isawaitable(outcome) else outcome


async def _following(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream)


async def _awaited(call: Callable[[], Awaitable[None]]) -> None:
    await call()


async def _waited(done: Any) -> Any:
    """Return what a session did, at once where its methods block."""
    return await done if inspect.isawaitable(done) else done


class _Routes:
    """One call of one route."""

    def __init__(self, session: Session, query: Query) -> None:
        self._session = session
        self._query = query

    def read(self) -> Any:
        return self._session.get(self._query["key"])

    def keys(self) -> Any:
        return sorted(self._session)

    def write(self) -> Any:
        self._session[self._query["key"]] = self._query["value"]

    def append(self) -> Any:
        self._session.setdefault(self._query["key"], []).append(self._query["value"])
        return self._session[self._query["key"]]

    def plant(self) -> Any:
        self._session["tree"] = {"branch": {"leaves": []}}

    def grow(self) -> Any:
        self._session["tree"]["branch"]["leaves"].append(self._query["value"])

    def increment(self) -> Any:
        return self._session.increment(self._query["key"])

    async def carefully(self) -> Any:
        """Read a number and write a larger one, once at a time."""
        lock: Any = self._session.exclusive("carefully")
        if hasattr(lock, "__aenter__"):
            async with lock:
                await self._add()
        else:
            with lock:
                await self._add()

    async def _add(self) -> None:
        number = self._session[self._query["key"]]
        self._session[self._query["key"]] = number + 1

    def delete(self) -> Any:
        del self._session[self._query["key"]]

    def flash(self) -> Any:
        return self._session.pop("flash", None)

    def login(self) -> Any:
        self._session.login(
            self._query.get("subject", "ann"),
            remember="remember" in self._query,
            acr=self._query.get("acr"),
            amr=self._query.get("amr", "").split(),
        )

    def level(self) -> Any:
        """Tell how somebody logged in, and whether that is enough for the ``level``."""
        session = self._session
        return [session.acr, list(session.amr), session.is_fresh(None, level=self._query["level"])]

    def logout(self) -> Any:
        self._session.logout()
        if "then" in self._query:
            self._session["then"] = self._query["then"]

    def regenerate(self) -> Any:
        self._session.regenerate()

    def form_token(self) -> Any:
        return csrf_token(self._session)

    def expire_in(self) -> Any:
        self._session.expire_in(float(self._query["seconds"]))

    def facts(self) -> Any:
        return {"is_new": self._session.is_new, "subject": self._session.subject, "public_id": self._session.public_id}

    async def live(self) -> Any:
        return await _waited(self._session.is_live())

    def store_types(self) -> Any:
        self._session.update(TYPES)

    def check_types(self) -> Any:
        return [
            key
            for key, value in TYPES.items()
            if self._session[key] != value or type(self._session[key]) is not type(value)
        ]

    def store_object(self) -> Any:
        self._session["fine"] = 1
        self._session["bad"] = object()

    async def boom(self) -> Any:
        """Do what ``first`` says, then raise ``error``, or what is the application's own failure."""
        outcome = getattr(self, self._query["first"])()
        if inspect.isawaitable(outcome):
            await outcome
        raise ANSWERED[self._query["error"]]() if "error" in self._query else Boom

    def fail(self) -> Any:
        """Raise ``error``."""
        raise ANSWERED[self._query["error"]]()

    def status(self) -> Any:
        """Do what ``first`` says, then answer with a status."""
        getattr(self, self._query["first"])()
        return Reply(value="said", status=int(self._query["status"]))

    def cache(self) -> Any:
        """Do what ``first`` says, then answer with headers of the application's own."""
        getattr(self, self._query["first"])()
        return Reply(headers={name: self._query[name] for name in ("cache-control", "vary") if name in self._query})

    async def save(self) -> Any:
        self._session[self._query["key"]] = self._query["value"]
        await _waited(self._session.save())

    def stream(self) -> Any:
        """Write between two pieces of the body; the second one tells what came of it."""

        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun "
            yield self._late().encode()

        return Reply(stream=pieces())

    def background(self) -> Any:
        """Write after the response was sent."""

        async def task() -> None:
            self._session[self._query["key"]] = self._query["value"]

        return Reply(background=task)

    def late(self) -> Any:
        return self._late()

    def _late(self) -> str:
        try:
            self._session[self._query["key"]] = self._query["value"]
        except SessionClosed:
            return "SessionClosed"
        return "written"
