"""How the requests of the state machine reach the engine: straight through its manager, or as HTTP.

Either way a request is begun, waits in its handler while others are served, and is finished later; what its handler
does, `machine` does to the `Session` that it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from itertools import count
from typing import Any, Final, Literal, Protocol, TypeAlias

from limpet._core.session import Session
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send, SessionMiddleware
from limpet.errors import StoreUnavailable
from limpet.manager import SessionManager
from limpet.runtime import AsyncioRuntime
from limpet.testing._asgi import Lifespan
from limpet.testing.adapter_app import AppSpec, Boom, GetSession, Query, Reply
from limpet.testing.histories.facts import cookie_of

__all__ = ["Build", "Driver", "EngineDriver", "Failure", "HttpDriver", "Seen", "plain"]

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]
Failure: TypeAlias = Literal["no", "answers 500", "raises"]
Build: TypeAlias = Callable[[AppSpec], ASGIApp]
"""Makes an application as `AdapterSuite.build` does; what the machine needs of it is ``GET /{name}``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session shows to a handler."""

    key: str | None
    data: dict[str, Any]
    subject: str | None

    @classmethod
    def of(cls, session: Session) -> Seen:
        """Look at a session that was loaded."""
        return cls(session.public_id, dict(session), session.subject)


class Driver(Protocol):
    """Sends requests to workers, which are numbered from 0, and keeps them under way."""

    def begin(self, worker: int, token: str) -> Session:
        """Begin a request with this id, or with none; return the session that its handler has.

        Raises:
            StoreUnavailable: The request was answered so.
        """
        ...

    def finish(self, session: Session, failure: Failure) -> str | None:
        """Let the handler return, or fail; return the id that the client gets, "" if it loses its own.

        Raises:
            StoreUnavailable: The request was answered so.
        """
        ...

    def cancel(self, session: Session) -> bool:
        """Cut the request off; return whether the engine heard of it, and so carries a logout out."""
        ...

    def look(self, token: str) -> Seen:
        """Return what a client with this id has, and change nothing."""
        ...

    def close(self) -> None:
        """Cut off what is under way, and close the stores."""
        ...


class EngineDriver:
    """Calls the managers of the workers, as a program without a web server does."""

    def __init__(self, managers: Sequence[SessionManager], run: Run) -> None:
        self._managers, self._run = managers, run
        self._workers: dict[int, SessionManager] = {}
        for manager in managers:
            manager.runtime = AsyncioRuntime()

    def begin(self, worker: int, token: str) -> Session:
        session = self._loaded(self._managers[worker], token)
        session.mark_accessed()
        self._workers[id(session)] = self._managers[worker]
        return session

    def finish(self, session: Session, failure: Failure) -> str | None:
        manager = self._workers.pop(id(session))
        self._run(manager.commit(session, failed=failure != "no"))
        header = manager.header(session)
        return None if failure == "raises" else cookie_of(header, manager.cookie_name)

    def cancel(self, session: Session) -> bool:
        del self._workers[id(session)]  # the process was killed
        return False

    def look(self, token: str) -> Seen:
        return Seen.of(self._loaded(self._managers[0], token))

    def close(self) -> None:
        for manager in self._managers:
            self._run(manager.shutdown())

    def _loaded(self, manager: SessionManager, token: str) -> Session:
        cookie = f"{manager.cookie_name}={token}".encode()
        session = manager.begin([(b"cookie", cookie)] if token else [])
        self._run(manager.load(session))
        return session


@dataclass(eq=False, slots=True)
class _Exchange:
    """A request under way: what it waits for, and what was answered."""

    reached: asyncio.Future[Session]
    answer: asyncio.Future[int]
    task: asyncio.Task[None] = field(init=False)
    status: int = 0
    cookies: list[str] = field(default_factory=list[str])

    async def send(self, message: Message) -> None:
        """Take what the application sends."""
        if message["type"] == "http.response.start":
            assert self.status == 0, "the application began its response twice"
            self.status = message["status"]
            self.cookies = [value.decode() for name, value in message.get("headers", ()) if name == b"set-cookie"]


@dataclass(kw_only=True)
class _Stage(AppSpec):
    """An application whose handlers hand their session out, and wait to be told what to answer."""

    exchanges: dict[str, _Exchange]

    async def run(self, name: str, query: Query, session: GetSession) -> Reply:
        exchange = self.exchanges[query["number"]]
        held = await self._resolve(session)
        held.get("")  # the first use, at which an eager session tells that it could not be read
        exchange.reached.set_result(held)
        return Reply(status=await exchange.answer)


def plain(spec: AppSpec) -> ASGIApp:
    """Return an application of no framework: `SessionMiddleware` around a handler."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
        reply = await spec.run(scope["path"][1:], query, lambda: scope["session"])
        await send({"type": "http.response.start", "status": reply.status, "headers": []})
        await send({"type": "http.response.body", "body": reply.text.encode()})

    return SessionMiddleware(app, spec.manager, exclude=spec.exclude, lazy=spec.lazy)


class HttpDriver:
    """Sends ASGI messages to an application for each worker; that of the second one reads its sessions lazily."""

    def __init__(self, managers: Sequence[SessionManager], run: Run, build: Build = plain) -> None:
        self._run = run
        self._cookie: Final = managers[0].cookie_name
        self._numbers = count()
        self._exchanges: dict[str, _Exchange] = {}
        self._under_way: dict[int, _Exchange] = {}
        stages = [
            _Stage(manager=manager, lazy=worker % 2 == 1, exchanges=self._exchanges)
            for worker, manager in enumerate(managers)
        ]
        self._apps = [build(stage) for stage in stages]
        self._lives = [Lifespan(app) for app in self._apps]
        for life in self._lives:
            run(life.__aenter__())

    def begin(self, worker: int, token: str) -> Session:
        session: Session | None = self._run(self._begin(worker, token))
        if session is None:
            raise StoreUnavailable("the request was answered with 503")
        return session

    async def _begin(self, worker: int, token: str) -> Session | None:
        loop, number = asyncio.get_running_loop(), str(next(self._numbers))
        exchange = self._exchanges[number] = _Exchange(loop.create_future(), loop.create_future())
        headers = [(b"host", b"testserver")]
        if token:
            headers.append((b"cookie", f"{self._cookie}={token}".encode()))
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": "/read",
            "raw_path": b"/read",
            "query_string": f"number={number}".encode(),
            "root_path": "",
            "headers": headers,
            "client": ("testclient", 50000),
            "server": ("testserver", 443),
        }
        exchange.task = asyncio.create_task(self._call(worker, scope, exchange))
        await asyncio.wait((exchange.task, exchange.reached), return_when=asyncio.FIRST_COMPLETED)
        del self._exchanges[number]
        if exchange.reached.done():
            session = exchange.reached.result()
            self._under_way[id(session)] = exchange
            return session
        await exchange.task
        assert exchange.status == 503, f"a request was answered with {exchange.status} before its handler had a session"
        assert not exchange.cookies, f"a 503 sets a cookie: {exchange.cookies}"
        return None

    async def _call(self, worker: int, scope: Scope, exchange: _Exchange) -> None:
        messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()  # the client stays
            raise AssertionError("nobody sets it")

        await self._apps[worker](scope, receive, exchange.send)

    def finish(self, session: Session, failure: Failure) -> str | None:
        exchange = self._under_way.pop(id(session))
        if failure == "raises":
            exchange.answer.set_exception(Boom())
        else:
            exchange.answer.set_result(200 if failure == "no" else 500)
        self._run(self._end(exchange, failure))
        if exchange.status == 503:
            assert not exchange.cookies, f"a 503 sets a cookie: {exchange.cookies}"
            raise StoreUnavailable("the request was answered with 503")
        wanted = (200,) if failure == "no" else (500,) if failure == "answers 500" else (0, 500)
        assert exchange.status in wanted, f"a request was answered with {exchange.status}"
        cookies = [SimpleCookie(line)[self._cookie] for line in exchange.cookies if line.startswith(self._cookie)]
        assert len(cookies) <= 1, f"one response sets {len(cookies)} session cookies"
        for cookie in cookies:
            return "" if cookie["max-age"] == "0" else cookie.value
        return None

    @staticmethod
    async def _end(exchange: _Exchange, failure: Failure) -> None:
        try:
            await exchange.task
        except Boom:
            assert failure == "raises", "a handler raised what it was not told to"

    def cancel(self, session: Session) -> bool:
        self._run(self._cut(self._under_way.pop(id(session))))
        return True

    @staticmethod
    async def _cut(exchange: _Exchange) -> None:
        exchange.task.cancel()
        await asyncio.gather(exchange.task, return_exceptions=True)

    def look(self, token: str) -> Seen:
        session = self.begin(0, token)
        seen = Seen.of(session)
        self.finish(session, "answers 500")  # which saves nothing, not even that it was used
        return seen

    def close(self) -> None:
        for exchange in self._under_way.values():
            self._run(self._cut(exchange))
        for life in self._lives:
            self._run(life.__aexit__(None, None, None))
