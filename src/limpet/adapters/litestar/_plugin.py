"""`SessionPlugin`: middleware, dependency and lifespan in one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import LitestarException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.types import Scope

from limpet import asgi
from limpet._checks import flag
from limpet._core.session import Session
from limpet._scopes import loaded
from limpet.adapters._answers import AnsweredInside
from limpet.adapters._sockets import HandlerFailed, note_failure, run_socket
from limpet.adapters.litestar._config import Around, SessionConfig
from limpet.adapters.litestar._errors import ANSWERS
from limpet.adapters.litestar._visit import Visit, outside
from limpet.errors import ConfigurationError
from limpet.manager import SessionManager

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.routes import BaseRoute

    from limpet.contract import ClientStore, Store

__all__ = ["SessionPlugin"]


class SessionPlugin(InitPlugin, ReceiveRoutePlugin):
    """Adds the session middleware, outside of all others, and the dependency ``session``.

    Args:
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Patterns of paths without sessions, as for Litestar's middlewares: regular expressions, or
            compiled ones, that are searched in the path.
        exclude_opt_key: The ``opt`` of a route, or of a layer above it, that does without: ``skip_session=True``.
        lazy: Read nothing until ``await session.load()``, which the dependency does.
        passive: Paths whose requests do not count as activity: each is that path and all below it, or a compiled
            pattern that matches from the start.
        scope_key: The name in the scope and of the dependency, for several managers in one application.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it. None: never.
        close_sockets: A WebSocket is closed within so many seconds after its session has ended; None: never. See
            `limpet.asgi.SessionMiddleware`.
        everywhere: Whether every route has a session. False: those that have ``middleware=[plugin.middleware]``,
            on the route, its controller or its router.
    """

    def __init__(
        self,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | None = None,
        exclude_opt_key: str = "skip_session",
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        scope_key: str = "session",
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
        everywhere: bool = True,
    ) -> None:
        self._sessions = AnsweredInside(
            self._run,
            manager,
            lazy=lazy,
            passive=passive,
            scope_key=scope_key,
            sweep_interval=sweep_interval,
            close_sockets=close_sockets,
        )
        self.manager: SessionManager = self._sessions.manager
        self._exclude = _patterns(exclude)
        self._opt = exclude_opt_key
        self._key = scope_key
        self._mark = f"limpet.litestar.{scope_key}"
        flag("everywhere", everywhere)
        self._everywhere = everywhere
        self._notes = False  # whether handlers note that they are reached: once the plugin is an application's

    def __deepcopy__(self, memo: object) -> Self:
        """Return the plugin itself: Litestar copies the middlewares of routers, and one store serves all of them."""
        return self

    @property
    def middleware(self) -> DefineMiddleware:
        """The session middleware, for a router, a controller or a single route."""
        return DefineMiddleware(Around, around=self._around)

    @property
    def config(self) -> SessionConfig:
        """What Litestar calls the configuration of a session backend, for its ``SessionAuth`` and its test client."""
        return SessionConfig(self.manager, self._around, self._opt)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add what there is to add; Litestar calls this."""
        manager = self.manager

        async def session(scope: Scope) -> Session:
            return await loaded(asgi.session_in(cast("asgi.Scope", scope), manager))

        if self._everywhere:
            app_config.middleware.insert(0, self.middleware)
        app_config.dependencies.setdefault(self._key, Provide(session))
        if manager.guard is not None:
            app_config.route_handlers.append(self._devices(sorted(manager.guard.endpoints.paths)))
        app_config.lifespan.append(self._lifespan)
        app_config.after_exception.append(self._note_exception)
        app_config.type_encoders = {Session: dict, **(app_config.type_encoders or {})}
        for error, answer in ANSWERS.items():
            app_config.exception_handlers.setdefault(error, cast("Any", answer))
        return app_config

    def _devices(self, paths: list[str]) -> HTTPRouteHandler:
        """Return a route for what browsers send about their devices. The middleware answers, never its handler."""

        async def devices() -> None:
            raise NotFoundException

        layers = [] if self._everywhere else [self.middleware]
        return HTTPRouteHandler(
            paths,
            http_method=["GET", "POST"],
            include_in_schema=False,
            middleware=layers,
            exclude_from_csrf=True,
        )(devices)

    def receive_route(self, route: BaseRoute) -> None:
        """Look where each handler begins, inside of all middlewares; Litestar calls this."""
        self._notes = True
        found: Any = route
        for handler in getattr(found, "route_handlers", None) or [found.route_handler]:
            if self._at_handler not in (handler.middleware or ()):
                handler.middleware = [*(handler.middleware or ()), self._at_handler]

    def _around(self, app: asgi.ASGIApp) -> asgi.ASGIApp:
        """Return a route with sessions around it. One middleware serves all routes."""

        async def with_session(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            if scope["type"] == asgi.PROBE:
                scope["managers"].append(self.manager)
            elif self._is_excluded(scope) or self._is_inside(scope):
                await app(scope, receive, send)
            else:
                await self._begin(Visit(self, app, self._key, reached=not self._notes), scope, receive, send)

        return with_session

    async def _begin(self, visit: Visit, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run a route with a session; what stood in the place of the session outside stands there again afterwards."""
        before, scope[self._mark] = scope.get(self._mark), visit
        try:
            if scope.get(self._key) is None:
                await self._sessions(scope, receive, send)
            else:
                with outside(scope, self._key, send) as sending:
                    await self._sessions(scope, receive, sending)
        except HandlerFailed as failure:
            if failure.close is not None:
                await send(failure.close)
        scope[self._mark] = before

    def _at_handler(self, app: asgi.ASGIApp) -> asgi.ASGIApp:
        """Return a handler that notes on its way in whether the session that it sees is this one."""

        async def handler(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            visit = scope.get(self._mark)
            if visit is not None:
                visit.reach(scope)
            await app(scope, receive, send)

        return handler

    def _is_inside(self, scope: Mapping[str, Any]) -> bool:
        """Return whether an outer layer has this middleware too."""
        visit = scope.get(self._mark)
        return visit is not None and visit.plugin is self

    def _is_excluded(self, scope: Mapping[str, Any]) -> bool:
        handler = scope.get("route_handler")
        if handler is not None and handler.opt.get(self._opt):
            return True
        path = scope["raw_path"].decode("latin-1") if getattr(handler, "is_mount", False) else scope["path"]
        return any(pattern.search(path) for pattern in self._exclude)

    async def _run(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run the route, with an eye on what it puts in the place of the session."""
        visit: Visit = scope[self._mark]
        visit.session = asgi.session_in(scope, self.manager)
        if scope["type"] == "websocket":
            await run_socket(visit.app, scope, receive, visit.settling(scope, send))
        else:
            await visit.app(scope, receive, visit.settling(scope, send))
        await visit.settle(scope)

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        await self._sessions.startup()
        try:
            yield
        finally:
            await self._sessions.shutdown()

    async def _note_exception(self, error: Exception, scope: Scope) -> None:
        """Note how the handler of a WebSocket ended, which Litestar keeps to itself.

        And tell `limpet.testing.client` the manager: what it asks has no route, which is an exception here.
        """
        asked = cast("dict[str, Any]", scope)
        if asked["type"] == asgi.PROBE:
            asked["managers"].append(self.manager)
        elif asked["type"] == "websocket" and not isinstance(error, LitestarException) and self._mark in asked:
            note_failure(asked, error)  # a LitestarException is a refusal, or a client that hung up


def _patterns(exclude: str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | None) -> tuple[re.Pattern[str], ...]:
    given = (exclude,) if isinstance(exclude, str | re.Pattern) else tuple(exclude or ())
    for each in given:
        if not isinstance(each, str | re.Pattern):
            raise ConfigurationError(f"exclude has {each!r}, which is no pattern: write exclude=['^/health']")
    try:
        return tuple(re.compile(each) for each in given)
    except re.error as error:
        raise ConfigurationError(f"exclude={exclude!r} is no regular expression ({error}): write '^/health'") from error
