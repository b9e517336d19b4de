"""`SessionMiddleware` for any ASGI application: http, WebSocket and lifespan."""

from __future__ import annotations

from typing import ClassVar

from limpet._exchange import ASGIApp, Message, Receive, Scope, Send
from limpet._middleware import Middleware
from limpet._scopes import PROBE, route_path, session_in
from limpet._startup import Startable

__all__ = [
    "PROBE",
    "ASGIApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "SessionMiddleware",
    "route_path",
    "session_in",
]


class SessionMiddleware(Middleware, metaclass=Startable):
    """Gives every request its session, in ``scope["session"]`` and ``scope["state"]["session"]``.

    Args:
        app: The application.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Paths without sessions: ``"/health"`` is that path and all below it; or compiled patterns that
            match from the start of the path.
        lazy: Read nothing until ``await session.load()``. Cookie sessions are always read at first use.
        passive: Paths whose requests do not count as activity, such as one that a page polls; written as ``exclude``.
            Here every request is left out; `Session.passive` is called when the session was read (unless ``lazy``), so
            that the first request of each path in a process counts.
        scope_key: The name in the scope and its state, for several managers in one application.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it. None: never.
        close_sockets: A WebSocket is closed (code 1008) within so many seconds after its session has ended, by logout,
            revocation, a change of id or its deadline, or after the proof of its device ran out (`limpet.bound`): one
            read for each open socket in that time. None: never; a handler can ask `Session.is_live`.
    """

    made_by_frameworks: ClassVar[bool] = True
    """Whether a framework makes the middleware when the server asks it to start; else an adapter does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session in its scope."""
        await self.serve(scope, receive, send)
