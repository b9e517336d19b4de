"""Starlette.

::

    app = Starlette(routes=..., middleware=[Middleware(SessionMiddleware, manager="sqlite:///sessions.db")])

    async def add(request: Request) -> Response:
        session = get_session(request)          # request.session is the same object, typed as a dict
        session.setdefault("cart", []).append(request.path_params["item"])

With ``lazy=True`` write ``session = await get_session(request).load()``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from limpet import asgi
from limpet._core.session import Session
from limpet.errors import MissingDependency

try:
    import starlette as _starlette

    from limpet.adapters.starlette._arguments import refuse_unknown
    from limpet.adapters.starlette._showing import Showing
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.starlette", "starlette") from _error

del _starlette

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from limpet.contract import ClientStore, Store
    from limpet.manager import SessionManager

__all__ = ["Session", "SessionMiddleware", "get_session"]


class SessionMiddleware(asgi.SessionMiddleware):
    """`limpet.asgi.SessionMiddleware`, with a session that is a dict in ``request.session``, as Starlette's own is.

    Args:
        app: The application.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: As for `limpet.asgi.SessionMiddleware`, and so are all the others.
    """

    if not TYPE_CHECKING:  # a checker sees the arguments below, and finds those that there are not

        def __new__(cls, *args: Any, **given: Any) -> SessionMiddleware:
            """Refuse the arguments of other middlewares with what to write instead."""
            refuse_unknown(cls, given)
            return super().__new__(cls)

    def __init__(
        self,
        app: asgi.ASGIApp,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        scope_key: str = "session",
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
    ) -> None:
        super().__init__(
            Showing(app, scope_key),
            manager,
            exclude=exclude,
            lazy=lazy,
            passive=passive,
            scope_key=scope_key,
            sweep_interval=sweep_interval,
            close_sockets=close_sockets,
        )


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
    return asgi.session_in(connection.scope, manager, scope_key)
