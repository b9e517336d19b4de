"""Starlette.

::

    app = Starlette(routes=..., middleware=[Middleware(SessionMiddleware, manager="sqlite:///sessions.db")])

    async def add(request: Request) -> Response:
        session = get_session(request)          # request.session is the same object, typed as a dict
        session.setdefault("cart", []).append(request.path_params["item"])

With ``lazy=True`` write ``session = await get_session(request).load()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._core.session import Session
from limpet.asgi import SessionMiddleware, session_in

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from limpet.manager import SessionManager

__all__ = ["Session", "SessionMiddleware", "get_session"]


def get_session(
    connection: HTTPConnection, manager: SessionManager | None = None, *, scope_key: str = "session"
) -> Session:
    """Return the session of a request or a WebSocket, also where an inner session middleware hides it.

    Args:
        connection: The request or WebSocket.
        manager: Whose session, where the application has several managers.
        scope_key: The middleware's ``scope_key``, when no manager is given.

    Raises:
        ConfigurationError: The middleware is missing, or this path is excluded.
    """
    if manager is None:
        kept = (connection.scope.get("state") or {}).get(scope_key)  # other session middlewares leave the state alone
        if isinstance(kept, Session):
            return kept
    return session_in(connection.scope, manager, scope_key)
