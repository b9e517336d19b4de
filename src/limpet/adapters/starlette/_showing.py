"""Between a session middleware and its application: the session is shown as a dict."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable
from typing import Any, Final

from limpet import asgi
from limpet._core.session import Session
from limpet.adapters._dict import DictSession

__all__ = ["Showing"]

_PLAIN: Final = frozenset({dict, OrderedDict, defaultdict})
_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Showing:
    """Runs an application with a `DictSession` in its scope.

    Args:
        app: The application.
        scope_key: The name in the scope and its state.
    """

    def __init__(self, app: asgi.ASGIApp, scope_key: str = "session") -> None:
        self.app = app
        self._key = scope_key

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Show the session, and give it back what was changed whenever it may be saved."""
        key = self._key
        session: Any = scope.get(key) if scope["type"] in ("http", "websocket") else None
        if session is None or not isinstance(session, Session) or DictSession in type(session).__mro__:
            await self.app(scope, receive, send)  # the lifespan, a path without sessions
            return
        shown, held = DictSession(session), scope["limpet"]
        scope[key] = scope["state"][key] = shown
        scope["limpet"] = (*held[:-1], shown)

        def sending(message: asgi.Message) -> Awaitable[None]:
            if message["type"] in _STARTS:
                self._settle(scope, shown)
            return send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self._settle(scope, shown)
            scope["state"][key], scope["limpet"] = session, held
            if scope.get(key) is shown:
                scope[key] = session

    def _settle(self, scope: asgi.Scope, shown: DictSession) -> None:
        held: Any = scope.get(self._key)
        if type(held) in _PLAIN and _is_the_applications():
            shown.replace(held)
            scope[self._key] = shown
        shown.push()


def _is_the_applications() -> bool:
    """Whether a plain dict in the scope can be nothing but the application's work.

    An older middleware of Starlette keeps its sessions in such a dict; a newer one has a class for them. Its module is
    not imported to find out: it needs itsdangerous, which Starlette does not require. Where nobody else has imported
    it, nobody runs it.
    """
    theirs = sys.modules.get("starlette.middleware.sessions")
    return theirs is None or hasattr(theirs, "Session")
