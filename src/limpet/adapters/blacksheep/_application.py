"""`Application`: BlackSheep's, with sessions on every response, also where no route was found or a handler raised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias, cast

from blacksheep.messages import Request, Response
from blacksheep.middlewares import MiddlewareCategory
from blacksheep.server.application import Application as BlackSheepApplication
from blacksheep.sessions.abc import SessionSerializer as BlackSheepSerializer
from blacksheep.sessions.abc import SessionStore as BlackSheepStore
from blacksheep.sessions.cookies import CookieSessionStore as BlackSheepCookies

from limpet._core import session as core
from limpet._core.session import state_of
from limpet._core.state import STARTED
from limpet.adapters._sockets import HandlerFailed, run_socket
from limpet.adapters.blacksheep._managed import ManagedSessionStore
from limpet.adapters.blacksheep._middleware import (
    ERROR_HANDLERS,
    Middleware,
    SocketMiddleware,
)
from limpet.adapters.blacksheep._session import Session
from limpet.adapters.blacksheep._settings import check_signer, make_manager, refuse
from limpet.adapters.blacksheep._signer import Signer
from limpet.adapters.blacksheep.sessions.abc import SessionSerializer, SessionStore
from limpet.asgi import PROBE, Receive, Scope, Send
from limpet.contract import ClientStore, Store
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.protocols import Serializer, Transport

__all__ = ["Application", "get_session", "use_sessions"]

Sessions: TypeAlias = str | Keyring | BlackSheepStore | SessionStore | Store | ClientStore | SessionManager
"""What `Application.use_sessions` makes sessions of."""


class Application(BlackSheepApplication):
    """BlackSheep's application with `use_sessions` over limpet's engine."""

    _sessions: Middleware | None = None
    _session_store: BlackSheepStore | None = None

    def use_sessions(
        self,
        store: Sessions,
        *,
        session_cookie: str = "session",
        serializer: BlackSheepSerializer | SessionSerializer | Serializer | None = None,
        signer: Signer | None = None,
        session_max_age: int | None = None,
        transport: Transport | None = None,
        cookie: CookiePolicy | None = None,
        policy: SessionPolicy | None = None,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        close_sockets: float | None = None,
    ) -> None:
        """Give every request a session, as ``request.session``. Call it once, before the application starts.

        Args:
            store: A secret key (the session lives in its cookie, encrypted), or where sessions are kept: a store or its
                URL, a `SessionManager`, or a `SessionStore` of the application's own. For a manager and a
                `SessionStore` the next four are ignored and the next three refused.
            session_cookie: The cookie's name.
            serializer: Writes the values; JSON that keeps types when None.
            signer: An ``itsdangerous`` serializer for the cookie, which then is signed and not encrypted.
            session_max_age: Seconds after its last change that a session lives. None: no limit for sessions in
                cookies, those of `SessionPolicy` for sessions in a store.
            transport: Carries the session in some other way than a cookie, such as
                `limpet.transports.HeaderTransport`.
            cookie: What the cookie is like. None: as BlackSheep's, HttpOnly and SameSite=Lax without Secure.
            policy: How long sessions live and how they change, in place of ``session_max_age``. A policy given here
                drops the writes of a failing handler unless it says ``save_on_error=True``.
            exclude: Paths without sessions: ``"/health"`` is that path and all below it; or compiled patterns.
            lazy: Read nothing from the store until ``await request.session.load()``.
            passive: Paths whose requests do not count as activity, written as ``exclude``.
            close_sockets: A WebSocket is closed within so many seconds after its session has ended; None: never. See
                `limpet.asgi.SessionMiddleware`.

        Raises:
            ConfigurationError: A setting cannot work, or the application has sessions already.
        """
        if self._sessions is not None or self._session_store is not None:
            raise ConfigurationError("this application has sessions already: call use_sessions once")
        manager: SessionManager | None = None
        if isinstance(store, ManagedSessionStore):
            manager = store.manager
        elif isinstance(store, SessionManager):
            manager = store
        if manager is not None or isinstance(store, BlackSheepStore):
            refuse(store, transport=transport, cookie=cookie, policy=policy)
            if type(store) is BlackSheepCookies:  # its signer is all there is to see
                check_signer(store._signer)
        else:
            manager = make_manager(
                store,
                session_cookie=session_cookie,
                serializer=serializer,
                signer=signer,
                session_max_age=session_max_age,
                transport=transport,
                cookie=cookie,
                policy=policy,
            )
        if manager is not None:
            self._sessions = Middleware(
                self._run, manager, exclude=exclude, lazy=lazy, passive=passive, close_sockets=close_sockets
            )
        else:
            refuse(store, exclude=exclude, lazy=lazy, passive=passive, close_sockets=close_sockets)
            self._session_store = cast("BlackSheepStore", store)
        self.middlewares.append(SocketMiddleware(self._session_store), MiddlewareCategory.INIT, -1000)
        for error, answer in ERROR_HANDLERS.items():
            self.exceptions_handlers.setdefault(error, answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a WebSocket or the lifespan."""
        if self._sessions is None or scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)  # type: ignore[no-untyped-call]
            return
        try:
            await self._sessions(scope, receive, send)
        except HandlerFailed as failure:
            if failure.close is not None:
                await send(failure.close)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the application inside the session middleware."""
        if scope["type"] == "lifespan":
            await super()._handle_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await run_socket(super().__call__, scope, receive, send)
        elif scope["type"] != PROBE:
            await super().__call__(scope, receive, send)  # type: ignore[no-untyped-call]

    async def _handle_lifespan(self, receive: Receive, send: Send) -> None:
        # Here and not in __call__: an application with mounted ones comes here directly.
        if self._sessions is None:
            await super()._handle_lifespan(receive, send)
        else:
            await self._sessions({"type": "lifespan"}, receive, send)

    async def handle(self, request: Request) -> Response:
        """Answer a request, with its session."""
        scope: Any = getattr(request, "scope", None) or {"path": request.path}
        store: Any = self._session_store
        if self._sessions is not None and not self._sessions.is_excluded(scope):
            # BlackSheep's own test client calls this method and not the application.
            store = ManagedSessionStore(self._sessions.manager)
        if store is None:
            if "session" in scope:
                request.session = scope["session"]
            return await super().handle(request)
        try:
            session: Any = await store.load(request)
            request.session = session
        except Exception as error:  # noqa: BLE001 - it goes the way of a handler's errors
            return await self.handle_request_handler_exception(request, error)
        response = await super().handle(request)
        try:
            if session.modified or isinstance(store, ManagedSessionStore):
                await store.save(request, response, session)
        except Exception as error:  # noqa: BLE001 - the same
            return await self.handle_request_handler_exception(request, error)
        if isinstance(session, Session):
            state_of(session).phase = STARTED
        return response

    def register_default_di_types(self) -> None:
        """Let handlers ask for this class too."""
        super().register_default_di_types()  # type: ignore[no-untyped-call]
        if Application not in self.services:
            self.services.register(Application, instance=self)


def use_sessions(app: BlackSheepApplication, store: Sessions, **settings: Any) -> None:
    """Give an application that exists already sessions, see `Application.use_sessions` for the settings.

    It is extended as BlackSheep extends applications (``app.extend``): it becomes an `Application` in place.

    Raises:
        ConfigurationError: A setting cannot work.
    """
    app.extend(Application)
    cast("Application", app).use_sessions(store, **settings)


def get_session(request: Request) -> Session:
    """Return the session of a request or a WebSocket: the same object as ``request.session``, with its type.

    Raises:
        ConfigurationError: There is none: the application has no sessions, or the path is excluded. Or it is one of
            BlackSheep's own, since a line imports from ``blacksheep`` what this adapter has.
    """
    try:
        session: Any = request.session
    except TypeError as error:
        raise ConfigurationError(
            "this request has no session: call use_sessions on the application, and take its path out of exclude=..."
        ) from error
    if not isinstance(session, core.Session):
        raise ConfigurationError(
            f"this request's session is a {type(session).__module__}.{type(session).__qualname__}, which is not "
            "limpet's: import Application, and the Session and SessionStore of a store of your own, from "
            "limpet.adapters.blacksheep"
        )
    return cast("Session", session)
