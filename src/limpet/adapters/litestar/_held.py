"""The session of a request, whatever stands in its place in the scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from limpet import asgi

if TYPE_CHECKING:
    from typing import Any

    from litestar.connection import ASGIConnection

    from limpet._core.session import Session
    from limpet.manager import SessionManager

__all__ = ["get_session"]


def get_session(connection: ASGIConnection[Any, Any, Any, Any], manager: SessionManager | None = None) -> Session:
    """Return the session of a request or a WebSocket, also after ``set_session`` and beside sessions of others.

    Args:
        connection: The request or WebSocket.
        manager: Whose session, where the application has several managers.

    Raises:
        ConfigurationError: The plugin is missing, or this route is excluded.
    """
    scope = cast("asgi.Scope", connection.scope)
    held: tuple[Session, ...] = scope.get("limpet", ())
    return held[0] if manager is None and len(held) == 1 else asgi.session_in(scope, manager)
