"""Litestar.

::

    @post("/cart/{item:str}")
    async def add(item: str, session: SessionDep) -> list[str]:
        session.setdefault("cart", []).append(item)
        return session["cart"]

    app = Litestar([add], plugins=[SessionPlugin("sqlite:///sessions.db")])

``request.session`` is the same object. ``request.set_session({...})`` puts other data into the session and
``request.clear_session()`` ends it, as with Litestar's own middleware; so does the opt-out of a route,
``@get("/health", skip_session=True)``.

Litestar looks for the route before it runs any middleware: its answers 404 and 405 have no session, not even in an
exception handler. Where that is wanted, put `limpet.asgi.SessionMiddleware` around the whole application, with the
manager of the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from limpet import asgi
from limpet._core.session import Session
from limpet.adapters.litestar._fresh import fresh_login
from limpet.adapters.litestar._plugin import SessionPlugin

if TYPE_CHECKING:
    from typing import Any

    from litestar.connection import ASGIConnection

    from limpet.manager import SessionManager

__all__ = ["Session", "SessionDep", "SessionPlugin", "fresh_login", "get_session"]

SessionDep = NamedDependency[SkipValidation[Session]]
"""The session of a request or a WebSocket, loaded; the parameter's name is that of the dependency, ``session``."""


def get_session(connection: ASGIConnection[Any, Any, Any, Any], manager: SessionManager | None = None) -> Session:
    """Return the session of a request or a WebSocket, also after ``set_session``.

    Args:
        connection: The request or WebSocket.
        manager: Whose session, where the application has several managers.

    Raises:
        ConfigurationError: The plugin is missing, or this route is excluded.
    """
    scope = cast("asgi.Scope", connection.scope)
    held: tuple[Session, ...] = scope.get("limpet", ())
    return held[0] if manager is None and len(held) == 1 else asgi.session_in(scope, manager)
