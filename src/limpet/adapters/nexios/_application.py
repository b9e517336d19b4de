"""`NexiosApp`, with sessions around everything that it answers: routes, middlewares, WebSockets, 404 and 500."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

import nexios
from nexios.config import get_config
from nexios.config.base import MakeConfig

from limpet.adapters._answers import content_type, extra_headers, refuse
from limpet.adapters._sockets import HandlerFailed, run_socket
from limpet.adapters.nexios._config import BaseConfig, Config, declared_in, find
from limpet.adapters.nexios._middleware import SessionLayer, SessionMiddleware
from limpet.adapters.nexios._requests import Request
from limpet.adapters.nexios._responses import Response
from limpet.adapters.nexios._routes import noting, with_ours
from limpet.adapters.nexios._settings import read
from limpet.adapters.nexios._words import UnusableSession
from limpet.asgi import PROBE, Message, Receive, Scope, Send
from limpet.errors import ANSWERED, ConfigurationError
from limpet.manager import SessionManager

__all__ = ["NexiosApp", "get_application"]

log = logging.getLogger("limpet")


class NexiosApp(nexios.NexiosApp):
    """The framework's application, which can be configured and takes `SessionMiddleware`.

    Sessions stand around the whole application, whatever the order in which middlewares are added.

    Args:
        args: As for ``nexios.NexiosApp``.
        config: ``MakeConfig(...)``, an object of a `BaseConfig` subclass, or a dict. It is read when the first request
            comes: what is set on ``app.config`` until then counts.
        options: As for ``nexios.NexiosApp``.

    Raises:
        ConfigurationError: The settings cannot work.
    """

    def __init__(self, *args: Any, config: Config = None, **options: Any) -> None:
        if args and config is None and isinstance(args[0], (MakeConfig, BaseConfig, Mapping)):
            config, args = args[0], args[1:]  # where the first two generations have it
        options["route_class"] = with_ours(options.get("route_class", nexios.Route))
        super().__init__(*args, **options)
        self.config: Any = MakeConfig() if config is None else config
        self._middleware: SessionMiddleware | None = None
        self._by_default = False
        self._dict_in_minutes = False
        self._unused: list[type[BaseConfig]] = []
        self._layer: SessionLayer | None = None
        read(find(self.config).options)
        for error in ANSWERED:
            self.add_exception_handler(error, _refuse)

    def add_middleware(self, middleware: Any) -> None:
        """Add a middleware; a `SessionMiddleware`, the object or its class, once.

        Of several with settings the one that was added last serves. One that has none changes nothing.
        """
        if isinstance(middleware, type) and issubclass(middleware, SessionMiddleware):
            middleware = middleware()
        if not isinstance(middleware, SessionMiddleware):
            super().add_middleware(middleware)
        elif self._middleware is None or self._by_default or not middleware.is_bare:
            if self._middleware is not None and not self._middleware.is_bare:
                log.warning(
                    "SessionMiddleware was added twice: the one that was added last serves, the other is unused"
                )
            self._middleware, self._by_default, self._layer = middleware, False, None

    @property
    def session_manager(self) -> SessionManager:
        """The manager of the sessions: to sweep by hand, to list or revoke, to listen to events.

        Raises:
            ConfigurationError: The settings cannot work, or there is no `SessionMiddleware`.
        """
        return self._ready().manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session in its scope."""
        if self._middleware is None:
            await self._run(scope, receive, send)
            return
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        try:
            layer = self._ready()
        except ConfigurationError as problem:
            if scope["type"] == PROBE:
                raise
            # A route that does not use the session stays up.
            scope["session"] = UnusableSession(problem)
            await self._run(scope, receive, send)
        else:
            try:
                await layer(scope, receive, send)
            except HandlerFailed as failure:
                if failure.close is not None:
                    await send(failure.close)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the framework's application."""
        if scope["type"] == "http":
            Response(Request(scope, receive, send))  # the framework keeps one response for each request: let it be ours
        if self._layer is not None:
            await self._layer.refresh(scope)
        if scope["type"] == "websocket":
            await run_socket(super().__call__, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def add_ws_route(self, route: Any = None, path: str | None = None, handler: Any = None) -> None:
        """Add a WebSocket route, as ``nexios.NexiosApp`` does."""
        if route is not None:
            route.handler = handler = noting(route.handler)
        elif handler is not None:
            handler = noting(handler)
        super().add_ws_route(route, path, handler)

    def ws_route(self, path: str, handler: Any = None) -> Any:
        """Add the handler of a WebSocket, or decorate it, as ``nexios.NexiosApp`` does."""
        if handler is not None:
            return super().ws_route(path, noting(handler))

        def decorate(given: Any) -> Any:
            self.ws_route(path, given)
            return given

        return decorate

    def _ready(self) -> SessionLayer:
        """Return the sessions, read from the configuration as it is now if that has not happened."""
        if self._layer is None:
            if self._middleware is None:
                raise ConfigurationError(
                    "this application has no sessions: call app.add_middleware(SessionMiddleware())"
                )
            notes: list[str] = []
            found = find(self._configured(), minutes=self._dict_in_minutes, notes=notes)
            try:
                self._layer = SessionLayer(self._run, found, self._middleware)
            except ConfigurationError as problem:
                raise ConfigurationError(f"{problem}{_named(self._unused)}") from problem
            for note in notes:
                log.warning("%s", note)
        return self._layer

    def _configured(self) -> Config:
        """Return what the application is configured with, and where it says nothing, what ``set_config`` was given."""
        try:
            everywhere = get_config()
        except RuntimeError:  # it was not called
            return cast("Config", self.config)
        if isinstance(self.config, MakeConfig):
            return MakeConfig({**everywhere.to_dict(), **self.config.to_dict()})
        return cast("Config", self.config)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer: SessionLayer | None = None

        async def forward(message: Message) -> None:
            nonlocal layer
            if message["type"] == "lifespan.startup.complete":
                try:
                    layer = self._ready()  # not before: start-up handlers may configure
                except ConfigurationError as problem:
                    log.error("sessions cannot be used: %s", problem)
                else:
                    await layer.startup()
            elif message["type"].startswith("lifespan.shutdown") and layer is not None:
                await layer.shutdown()  # before it is said: a server ends its loop after that
                layer = None
            await send(message)

        try:
            await super().__call__(scope, receive, forward)
        finally:
            if layer is not None:
                await layer.shutdown()


def get_application(config: Config = None, **options: Any) -> NexiosApp:
    """Return an application with sessions, as the first two generations of Nexios made it.

    Without a configuration, the one subclass of `BaseConfig` that the calling module declares is taken.

    Args:
        config: As for `NexiosApp`. In a dict, a number under ``session_expiration_time`` is minutes.
        options: As for ``nexios.NexiosApp``.

    Raises:
        ConfigurationError: The settings cannot work.
    """
    declared: list[type[BaseConfig]] = []
    if config is None:
        frame = inspect.currentframe()
        caller = frame.f_back if frame is not None else None
        declared = [] if caller is None else declared_in(caller.f_globals, caller.f_locals)
        if len(declared) == 1:
            name = declared[0].__name__
            log.warning("get_application() takes %s, the one BaseConfig declared here: say so, config=%s()", name, name)
            config, declared = declared[0](), []
    app = NexiosApp(config=config, **options)
    app.add_middleware(SessionMiddleware())
    app._by_default, app._dict_in_minutes, app._unused = True, True, declared
    return app


def _named(classes: Iterable[type[BaseConfig]]) -> str:
    names = [each.__name__ for each in classes]
    return f". Declared but not used: {', '.join(names)}; pass one, as in config={names[0]}()" if names else ""


async def _refuse(request: Any, response: Any, error: Exception) -> Any:
    """Answer for the store, or for another request that was first; `NexiosApp.add_exception_handler` replaces it."""
    answer = refuse(request.scope.get("limpet", ()), error, request.scope)
    return response.resp(answer.body, answer.status, extra_headers(answer), content_type(answer))
