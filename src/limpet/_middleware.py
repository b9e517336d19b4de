"""What `limpet.asgi.SessionMiddleware` does: http, WebSocket and lifespan.

A request: find the token in the headers, load (unless lazy), run the application, commit before
``http.response.start``, and once more when the response ends and when the application returns.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from limpet._checks import flag, interval
from limpet._core.session import Session, backend_of, state_of
from limpet._core.state import ACCESSED, CLOSED, PASSIVE, PENDING, READY
from limpet._exchange import ASGIApp, Host, Http, Receive, Scope, Send, Socket
from limpet._inline import Inline
from limpet._native import mypyc_attr
from limpet._scopes import PROBE, is_session, route_path
from limpet._serving import (
    SAFE,
    SAME_PATHS,
    TEST_HOSTS,
    TWICE,
    as_mount,
    comes_from_elsewhere,
    path_patterns,
    share_a_cookie,
    share_device_paths,
    spare_device_paths,
    warn_about_http,
)
from limpet._startup import fit, refuse_to_start, run_lifespan
from limpet._sweeper import Schedule
from limpet.bound.visit import Visit
from limpet.contract import ClientStore, Store
from limpet.errors import StoreUnavailable
from limpet.manager import SessionManager
from limpet.runtime import AsyncioRuntime

__all__ = ["Middleware"]

log: logging.Logger = logging.getLogger("limpet")

_REQUESTS: Final = frozenset({"http", "websocket"})
_DRAIN = 10.0  # seconds that a shutdown waits for saves under way
_PASSIVE_PATHS = 1_000  # so many paths are remembered whose handlers called `Session.passive` last


@mypyc_attr(allow_interpreted_subclasses=True)
class Middleware(Host):
    """`limpet.asgi.SessionMiddleware` without its type, so that it can be compiled; its arguments are said there."""

    make: ClassVar[Any] = Session
    """What makes the session of a request; an adapter may give it a class of its own."""

    def __init__(
        self,
        app: ASGIApp,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        scope_key: str = "session",
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
    ) -> None:
        self.app = app
        interval("close_sockets", close_sockets, none="to leave it out")
        super().__init__(
            manager if isinstance(manager, SessionManager) else SessionManager(manager),
            close_sockets,
        )
        if isinstance(self.manager.runtime, Inline):
            self.manager.runtime = AsyncioRuntime()
        self._exclude = path_patterns(exclude, "exclude")
        if self.manager.guard is not None:
            spare_device_paths(self._exclude, self.manager.guard.endpoints.paths)
        self._passive = path_patterns(passive, "passive")
        self._passive_paths: dict[str, None] = {}  # the one that was asked for last stands last
        self._shared_state: Any = None
        self._told: set[str] = set()
        flag("lazy", lazy)
        self._lazy = lazy
        self._scope_key = scope_key
        self._schedule = Schedule.of(self.manager, sweep_interval)
        self._sweeper: asyncio.Task[None] | None = None
        self._warned = False

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session in its scope."""
        kind = scope["type"]
        if kind not in _REQUESTS:
            await self._beside(kind, scope, receive, send)
            return
        if ("limpet" in scope or self._exclude) and self.is_excluded(scope):
            await self.app(scope, receive, send)
            return
        manager, engine = self.manager, self.manager.engine
        session = engine.begin(scope["headers"], self.make)
        state = state_of(session)
        if engine.description is not None:
            engine.note_client(session, scope)
        if kind == "http" and scope["method"] not in SAFE and not state.ids and _is_cross_site(scope):
            engine.note_cross_site(session)
        if (self._passive or self._passive_paths) and self._is_passive(scope):
            state.flags |= PASSIVE
        if manager.guard is not None and await self._is_about_the_device(kind, scope, send, session):
            return
        if state.loaded == PENDING and not (self._lazy and engine.is_server_side):
            try:  # noqa: SIM105 - a context manager takes a microsecond
                await engine.load(session)
            except StoreUnavailable:  # kept, and raised at first use: a route without sessions stays up
                pass
        elif self._lazy and state.loaded == READY and engine.is_server_side:
            state.loaded = PENDING  # a forgotten `load` is an error for every visitor, not only for some
        key = self._scope_key
        _publish(scope, key, session, self._shared_state)
        exchange: Http | Socket
        if kind == "http":
            exchange = Http(self, engine, scope, session, receive, send)
        else:
            exchange = Socket(self, engine, scope, session, receive, send)
        failure: BaseException | None = None
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:  # noqa: BLE001 - judged below, where something can be awaited
            failure = error
        if failure is not None:
            answered = False
            try:
                answered = await exchange.fail(failure)
            finally:
                state.phase = CLOSED
                if kind != "http":
                    await exchange.stop()
            if not answered:
                raise failure
        else:
            try:
                if state.flags & ~ACCESSED or state.leaving is not None:
                    await exchange.end()
            finally:
                state.phase = CLOSED
                if kind != "http":
                    await exchange.stop()
        if scope.get(key) is not session:
            self._tell_of_a_hidden_session(scope.get(key))
        if self._schedule is not None and self._sweeper is None and self._schedule.is_due():
            manager.runtime.spawn(self._sweep())

    async def _is_about_the_device(self, kind: str, scope: Scope, send: Send, session: Session) -> bool:
        """Answer what is about the device of a session, and not for the application; tell whether it was."""
        guard: Any = self.manager.guard
        mount = as_mount(scope.get("root_path"))
        visit = Visit(scope.get("method", ""), route_path(scope), mount, scope["headers"], scope)
        answer = await guard.answer(visit, session)
        if answer is None:
            return False
        if kind == "http":
            await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await send({"type": "websocket.close", "code": answer.close_code, "reason": ""})
        return True

    def _tell_of_a_hidden_session(self, found: object) -> None:
        """Warn, once for each kind of object, that something else took the session's place in the scope."""
        kind = f"{type(found).__module__}.{type(found).__qualname__}"
        if kind in self._told:
            return
        self._told.add(kind)
        log.warning(
            "scope[%r] holds a %s in place of the session when the application returns: an inner session middleware "
            "hides this one (give it another cookie and scope_key='limpet' here, or take it out), or a handler "
            "assigned to it, which changes nothing (write session.clear() and session.update(...) instead)",
            self._scope_key,
            kind,
        )

    def _is_passive(self, scope: Scope) -> bool:
        path = route_path(scope)
        return path in self._passive_paths or any(pattern.match(path) for pattern in self._passive)

    def note_passive(self, scope: Scope) -> None:
        """Remember a path whose handler called `Session.passive`, so that reading its session is no activity either."""
        paths, path = self._passive_paths, route_path(scope)
        paths.pop(path, None)
        paths[path] = None
        if len(paths) > _PASSIVE_PATHS:
            del paths[next(iter(paths))]

    async def _beside(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what is no request: the lifespan, a test client's question, a kind of scope that is not known yet."""
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if kind == PROBE:
            scope["managers"].append(self.manager)
        await self.app(scope, receive, send)

    def is_excluded(self, scope: Scope) -> bool:
        """Tell whether a request gets no session here: by its path, or because another middleware gives it one."""
        for session in scope.get("limpet", ()):
            other = backend_of(session)
            if other is self.manager.engine:
                return True  # the middleware was added twice
            if share_a_cookie(self.manager.engine, other):
                self._say_once("twice", TWICE, self.manager.cookie_name)
                return True
            if share_device_paths(self.manager.engine, other, scope.get("root_path")):
                self._say_once("paths", SAME_PATHS, self.manager.guard and self.manager.guard.endpoints.registration)
        path = route_path(scope)
        return any(pattern.match(path) for pattern in self._exclude)

    def _say_once(self, word: str, text: str, about: object) -> None:
        if word not in self._told:
            self._told.add(word)
            log.warning(text, about)

    def check_test_client(self, scope: Scope) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""
        if scope.get("scheme") in ("http", "ws") and not self._warned and self.manager.cookie.secure:
            server = scope.get("server") or ("",)
            if server[0] in TEST_HOSTS:
                self._warned = True
                warn_about_http(self.manager.cookie_name)

    # -- lifespan

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._shared_state = scope.get("state")
        problem = fit(self.manager, self.close_sockets)
        if problem is not None:
            await refuse_to_start(problem, receive, send)
        else:
            await run_lifespan(self, scope, receive, send)

    async def startup(self) -> None:
        """Open the store and begin to sweep expired records; the lifespan of the application calls this by itself."""
        try:
            await self.manager.startup()
        except StoreUnavailable as error:
            log.warning("the session store cannot be opened yet: %s", error)
        if not isinstance(self.manager.runtime, AsyncioRuntime):
            self._schedule = None  # trio: nothing runs beside the requests
        elif self._schedule is not None:
            self._sweeper = asyncio.create_task(self._sweep_for_ever(self._schedule.seconds))

    async def shutdown(self) -> None:
        """Finish the saves under way, end the sweeps and close the store; the lifespan calls this by itself."""
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


def _publish(scope: Scope, key: str, session: Session, all_requests: Any) -> None:
    """Put the session into the scope and its state, beside whatever is there.

    Args:
        all_requests: The state that the lifespan of the application left; servers may hand it out as it is.
    """
    scope[key] = session
    shared = scope.get("state")
    if shared is None:
        scope["state"] = {key: session}
    elif shared is all_requests or is_session(shared.get(key)):
        scope["state"] = {**shared, key: session}  # one that other requests have too
    else:
        shared[key] = session
    scope["limpet"] = (*scope["limpet"], session) if "limpet" in scope else (session,)


def _is_cross_site(scope: Scope) -> bool:
    found: dict[bytes, bytes] = {
        name: value for name, value in scope["headers"] if name in (b"sec-fetch-site", b"origin", b"host")
    }
    return comes_from_elsewhere(found.get(b"sec-fetch-site"), found.get(b"origin"), found.get(b"host", b""))
