"""`SessionMiddleware` for any ASGI application: http, WebSocket and lifespan.

A request: find the token in the headers, load (unless lazy), run the application, commit before
``http.response.start``, and once more when the response ends and when the application returns.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from limpet._core.inline import Inline
from limpet._core.protocols import ClientStore, Store, Sweeps
from limpet._core.session import Session
from limpet._core.standing import CLOSED, PENDING
from limpet._exchange import ASGIApp, Http, Message, Receive, Scope, Send, Socket
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.manager import SessionManager, warn_about_http
from limpet.runtime import AsyncioRuntime
from limpet.transports.cookie import CookieTransport

if TYPE_CHECKING:
    from limpet._core.manager import Engine

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "SessionMiddleware", "path_patterns", "session_in"]

log = logging.getLogger("limpet")

PROBE = "limpet.managers"
"""The scope type by which `limpet.testing.client` asks an application for its managers."""
_REQUESTS = frozenset({"http", "websocket"})
_DRAIN = 10.0  # seconds that a shutdown waits for saves under way
_TEST_HOSTS = frozenset({"testserver", "test", "testserver.local"})


class SessionMiddleware:
    """Gives every request its session, in ``scope["session"]`` and ``scope["state"]["session"]``.

    Args:
        app: The application.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Paths without sessions: ``"/health"`` is that path and all below it; or compiled patterns that
            match from the start of the path.
        lazy: Read nothing until ``await session.load()``. Cookie sessions are always read at first use.
        scope_key: The name in the scope and its state, for several managers in one application.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it. None: never.
        close_sockets: A WebSocket is closed (code 1008) within so many seconds after its session has ended, by logout,
            revocation, a change of id or its deadline: one read for each open socket in that time. None: never;
            a handler can ask `Session.is_live`.
    """

    make: Callable[[Engine], Session] = Session
    """What makes the session of a request; an adapter may give it a class of its own."""

    def __init__(
        self,
        app: ASGIApp,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        scope_key: str = "session",
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
    ) -> None:
        self.app = app
        self.manager = manager if isinstance(manager, SessionManager) else SessionManager(manager)
        if isinstance(self.manager.runtime, Inline):
            self.manager.runtime = AsyncioRuntime()
        self._exclude = path_patterns(exclude, "exclude")
        self._lazy = lazy
        self._scope_key = scope_key
        kept: Any = self.manager.kept
        self._sweep_interval = sweep_interval if isinstance(kept, Sweeps) else None
        self._next_sweep = self._sweep_at()
        self.close_sockets = _positive("close_sockets", close_sockets)
        self._sweeper: asyncio.Task[None] | None = None
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session in its scope."""
        kind = scope["type"]
        if kind not in _REQUESTS:
            await self._beside(kind, scope, receive, send)
            return
        if ("limpet" in scope or self._exclude) and self._is_excluded(scope):
            await self.app(scope, receive, send)
            return
        manager = self.manager
        session = manager.begin(scope["headers"], self.make)
        if manager.describe is not None:
            session.context = {"headers": scope["headers"], "client": scope.get("client")}
        if session._state is PENDING and not self._lazy:
            try:  # noqa: SIM105 - a context manager takes a microsecond
                await manager.load(session)
            except StoreUnavailable:  # kept, and raised at first use: a route without sessions stays up
                pass
        key = self._scope_key
        scope[key] = session
        scope["state"] = {**scope["state"], key: session} if scope.get("state") else {key: session}
        scope["limpet"] = (*scope["limpet"], session) if "limpet" in scope else (session,)
        exchange: Http | Socket
        if kind == "http":
            exchange = Http(self, scope, session, send)
        else:
            exchange = Socket(self, scope, session, send)
            receive = exchange.receive_from(receive)
        try:
            await self.app(scope, receive, exchange.send)
        except BaseException as error:
            if not await exchange.fail(error):
                raise
        else:
            if session._written or session._exposed or session._rare is not None:
                await exchange.end()
        finally:
            session._phase = CLOSED
            if kind != "http":
                await exchange.stop()
        if self._next_sweep is not None and self._sweeper is None and manager.clock() >= self._next_sweep:
            self._next_sweep = self._sweep_at()
            manager.runtime.spawn(self._sweep())

    async def _beside(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is no request: the lifespan, a test client's question, what nobody has heard of yet."""
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if kind == PROBE:
            scope["managers"].append(self.manager)
        await self.app(scope, receive, send)

    def _is_excluded(self, scope: Scope) -> bool:
        for session in scope.get("limpet", ()):
            if session._engine is self.manager:
                return True  # the middleware was added twice
            self._keep_apart(session._engine)
        path = scope["path"]
        return any(pattern.match(path) for pattern in self._exclude)

    def _keep_apart(self, other: SessionManager) -> None:
        """Refuse two managers in one request whose cookies would overwrite each other."""
        mine, theirs = self.manager.transport, other.transport
        if not (isinstance(mine, CookieTransport) and isinstance(theirs, CookieTransport)):
            return
        if (mine.name, mine.policy.path, mine.policy.domain) == (theirs.name, theirs.policy.path, theirs.policy.domain):
            raise ConfigurationError(
                f"two session managers of one application use the cookie {mine.name!r} and would overwrite "
                "each other's: give one of them a label, such as SessionManager(..., label='admin')"
            )

    async def save(self, session: Session, failed: bool) -> None:
        """Commit what is not idle; once begun, a save is finished even if the request is cancelled."""
        manager = self.manager
        if manager.immediate or manager.kept is None or not isinstance(manager.runtime, AsyncioRuntime):
            await manager.carry_out(session, failed=failed)
        else:
            await manager.runtime.finish(manager.carry_out(session, failed=failed))

    def check_test_client(self, scope: Scope) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""
        if not self._warned and self.manager.cookie.secure and scope.get("scheme") in {"http", "ws"}:
            server = scope.get("server") or ("",)
            if server[0] in _TEST_HOSTS:
                self._warned = True
                warn_about_http(self.manager)

    # -- lifespan

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = stopped = False

        async def answer(message: Message) -> None:
            nonlocal answered, stopped
            answered = True
            if message["type"] == "lifespan.startup.complete":
                await self._start()
            elif message["type"].startswith("lifespan.shutdown."):
                stopped = True
                await self._stop()  # before the server hears of it: it may end its event loop at once
            await send(message)

        try:
            await self.app(scope, receive, answer)
            if not answered:  # an application without a lifespan of its own, which returned: the sessions have one
                await receive()
                await self._start()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            if not stopped:
                await self._stop()
        if not answered:
            await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        try:
            await self.manager.startup()
        except StoreUnavailable as error:
            log.warning("the session store cannot be opened yet: %s", error)
        if self._sweep_interval is not None:
            self._sweeper = asyncio.create_task(self._sweep_for_ever(self._sweep_interval))

    async def _stop(self) -> None:
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
        if isinstance(self.manager.runtime, AsyncioRuntime):
            await self.manager.runtime.drain(_DRAIN)
        await self.manager.shutdown()

    async def _sweep_for_ever(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._sweep()

    async def _sweep(self) -> None:
        try:
            await self.manager.sweep(once=True)
        except StoreUnavailable:
            log.warning("expired sessions could not be swept now")

    def _sweep_at(self) -> int | None:
        return None if self._sweep_interval is None else self.manager.clock() + int(self._sweep_interval * 1000)


def session_in(scope: Scope, manager: SessionManager | None = None, scope_key: str = "session") -> Session:
    """Return the session that a `SessionMiddleware` put into a scope.

    Args:
        scope: The ASGI scope of the request.
        manager: Whose session, where an application has several managers.
        scope_key: The middleware's ``scope_key``, when no manager is given.

    Raises:
        ConfigurationError: There is none: the middleware is missing, or this path is excluded.
    """
    if manager is None:
        session = scope.get(scope_key)
        if isinstance(session, Session):
            return session
    for session in scope.get("limpet", ()):
        if session._engine is manager:
            found: Session = session
            return found
    raise ConfigurationError(
        "this request has no session: add SessionMiddleware to the application, and take this path out of exclude=..."
    )


def _positive(name: str, seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{name}={seconds!r}: give seconds, more than 0, or None to leave it out")
    return seconds


def path_patterns(given: Iterable[str | re.Pattern[str]], name: str) -> tuple[re.Pattern[str], ...]:
    """Return what matches the paths that a setting lists: each path and all below it, or compiled patterns.

    Raises:
        ConfigurationError: An entry is neither; ``name`` is the setting's.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"{name}={given!r} is one string: write {name}=({given!r},)")
    patterns: list[re.Pattern[str]] = []
    for entry in given:
        if isinstance(entry, re.Pattern):
            patterns.append(entry)
        elif isinstance(entry, str) and entry.startswith("/"):
            patterns.append(re.compile(re.escape(entry.rstrip("/")) + r"(?:/|$)"))
        else:
            raise ConfigurationError(f"{name} has {entry!r}: give a path such as '/health', or a compiled pattern")
    return tuple(patterns)
