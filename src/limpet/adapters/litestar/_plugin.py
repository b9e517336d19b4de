"""`SessionPlugin`: middleware, dependency and lifespan in one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from litestar import Litestar
from litestar.di import Provide
from litestar.plugins import InitPlugin
from litestar.types import Empty, Scope

from limpet import asgi
from limpet._core import form_tokens
from limpet._core.session import Session
from limpet.adapters.litestar._data import plain
from limpet.adapters.litestar._errors import ANSWERS
from limpet.manager import SessionManager

if TYPE_CHECKING:
    from litestar.config.app import AppConfig

    from limpet._core.protocols import ClientStore, Store

__all__ = ["SessionPlugin"]

_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_NEXT: Final = "limpet.litestar.next"


class SessionPlugin(InitPlugin):
    """Adds the session middleware, outside of all others, and the dependency ``session``.

    Args:
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Patterns of paths without sessions, as for Litestar's middlewares: regular expressions that are
            searched in the path.
        exclude_opt_key: The ``opt`` of a route, or of a layer above it, that does without: ``skip_session=True``.
        lazy: Read nothing until ``await session.load()``, which the dependency does.
        scope_key: The name in the scope and of the dependency, for several managers in one application.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it. None: never.
        close_sockets: A WebSocket is closed within so many seconds after its session has ended; None: never. See
            `limpet.asgi.SessionMiddleware`.
    """

    def __init__(
        self,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: str | Iterable[str] | None = None,
        exclude_opt_key: str = "skip_session",
        lazy: bool = False,
        scope_key: str = "session",
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
    ) -> None:
        self._sessions = asgi.SessionMiddleware(
            self._run,
            manager,
            lazy=lazy,
            scope_key=scope_key,
            sweep_interval=sweep_interval,
            close_sockets=close_sockets,
        )
        self.manager = self._sessions.manager
        patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude or ())
        self._exclude = re.compile("|".join(patterns)) if patterns else None
        self._opt = exclude_opt_key
        self._key = scope_key

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add what there is to add; Litestar calls this."""
        manager = self.manager

        async def session(scope: Scope) -> Session:
            return await asgi.session_in(cast("asgi.Scope", scope), manager).load()

        app_config.middleware.insert(0, cast("Any", self._around))
        app_config.dependencies.setdefault(self._key, Provide(session))
        app_config.lifespan.append(self._lifespan)
        app_config.after_exception.append(self._answer_probe)
        for error, answer in ANSWERS.items():
            app_config.exception_handlers.setdefault(error, cast("Any", answer))
        return app_config

    def _around(self, app: asgi.ASGIApp) -> asgi.ASGIApp:
        """Return a route with sessions around it. One middleware serves all routes."""

        async def with_session(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            if scope["type"] == asgi.PROBE:
                scope["managers"].append(self.manager)
            elif self._is_excluded(scope):
                await app(scope, receive, send)
            else:
                scope[_NEXT] = app
                await self._sessions(scope, receive, send)

        return with_session

    def _is_excluded(self, scope: Mapping[str, Any]) -> bool:
        handler = scope.get("route_handler")
        if handler is not None and handler.opt.get(self._opt):
            return True
        path = scope["raw_path"].decode("latin-1") if getattr(handler, "is_mount", False) else scope["path"]
        return self._exclude is not None and self._exclude.search(path) is not None

    async def _run(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run the route, with an eye on what it puts in the place of the session."""
        app = scope.pop(_NEXT)
        session = asgi.session_in(scope, self.manager)

        async def watched(message: asgi.Message) -> None:
            if message["type"] in _STARTS:
                await self._settle(scope, session)
            await send(message)

        await app(scope, receive, watched)
        await self._settle(scope, session)

    async def _settle(self, scope: asgi.Scope, session: Session) -> None:
        """Carry out ``set_session`` and ``clear_session``, which replace the session in the scope."""
        held, scope[self._key] = scope.get(self._key), session
        if held is session:
            return
        if held is None or held is Empty:
            session.clear()
            return
        data = plain(held)
        await session.load()
        for key in [key for key in session if key not in data and key != form_tokens.KEY]:
            del session[key]
        session.update(data)

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        await self._sessions.startup()
        try:
            yield
        finally:
            await self._sessions.shutdown()

    async def _answer_probe(self, error: Exception, scope: Scope) -> None:
        """Tell `limpet.testing.client` the manager. What it asks has no route, which is an exception here."""
        asked = cast("dict[str, Any]", scope)
        if asked["type"] == asgi.PROBE:
            asked["managers"].append(self.manager)
