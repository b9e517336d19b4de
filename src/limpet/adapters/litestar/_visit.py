"""One request to a route: which object stands in the place of the session, and who put it there.

Litestar's ``set_session`` and ``clear_session`` put something else in the place of the session, and so does every
other session middleware. The first is an order to this session; the second hides it, and what it holds is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from litestar.middleware import DefineMiddleware
from litestar.middleware.session import SessionMiddleware as LitestarSessionMiddleware

from limpet.adapters.litestar._config import Around, SessionConfig
from limpet.adapters.litestar._data import replace

if TYPE_CHECKING:
    from limpet import asgi
    from limpet._core.session import Session

__all__ = ["Visit", "outside"]

_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Visit:
    """One request on its way through a route.

    Attributes:
        plugin: Whose sessions.
        app: The route.
        session: The session; None until it is loaded.
        reached: Whether the handler was reached, before which only middlewares run; True where that is not noted.
        hidden: Whether the handler saw another object in the place of the session, or is a mounted application.
    """

    __slots__ = ("_key", "app", "hidden", "plugin", "reached", "session")

    session: Session

    def __init__(self, plugin: object, app: asgi.ASGIApp, key: str, *, reached: bool) -> None:
        self.plugin = plugin
        self.app = app
        self._key = key
        self.reached = reached
        self.hidden = False

    def reach(self, scope: asgi.Scope) -> None:
        """Note what the handler finds on its way in, which is after all middlewares."""
        self.reached = True
        mounted = getattr(scope.get("route_handler"), "is_mount", False)
        self.hidden = mounted or scope.get(self._key) is not self.session

    def settling(self, scope: asgi.Scope, send: asgi.Send) -> asgi.Send:
        """Return a ``send`` that settles first, when the response starts."""

        async def settled(message: asgi.Message) -> None:
            if message["type"] in _STARTS:
                await self.settle(scope)
            await send(message)

        return settled

    async def settle(self, scope: asgi.Scope) -> None:
        """Carry out ``set_session`` and ``clear_session``, which replace the session in the scope."""
        session, held = self.session, scope.get(self._key)
        if held is session or self._is_foreign(scope, held):
            return
        scope[self._key] = session
        await replace(session, held)

    def _is_foreign(self, scope: asgi.Scope, held: object) -> bool:
        if self.reached:
            return self.hidden
        # The handler was not reached: a middleware answered. An authentication that refuses puts Empty there.
        return isinstance(held, Mapping) or _has_sessions_of_litestar(scope.get("route_handler"))


def _has_sessions_of_litestar(handler: Any) -> bool:
    """Return whether a route has Litestar's own session middleware, or an authentication that brings it."""
    for middleware in handler.resolve_middleware() if handler is not None else ():
        if isinstance(middleware, DefineMiddleware):
            made: Any = middleware.middleware
            config = getattr(middleware.kwargs.get("config"), "session_backend_config", None)
            if config is not None and not isinstance(config, SessionConfig):
                return True
            if isinstance(made, type) and issubclass(made, LitestarSessionMiddleware) and made is not Around:
                return True
    return False


@contextmanager
def outside(scope: asgi.Scope, key: str, send: asgi.Send) -> Iterator[asgi.Send]:
    """Give a ``send`` with which a session middleware outside of ours finds its own session when a response starts."""
    outer = scope.get(key)
    if any(outer is held for held in scope.get("limpet", ())):
        yield send
        return

    async def sending(message: asgi.Message) -> None:
        if message["type"] in _STARTS:
            ours, scope[key] = scope[key], outer
            try:
                await send(message)
            finally:
                scope[key] = ours
        else:
            await send(message)

    try:
        yield sending
    finally:
        scope[key] = outer
