"""Between the engine and BlackSheep: the ASGI middleware, WebSockets, and errors that have an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from blacksheep.contents import Content
from blacksheep.messages import Request, Response
from blacksheep.server.websocket import WebSocket, WebSocketDisconnectError
from blacksheep.sessions.abc import SessionStore

from limpet._core.session import state_of
from limpet._core.state import STARTED
from limpet.adapters._answers import AnsweredInside, content_type, extra_headers, refuse
from limpet.adapters._sockets import note_failure
from limpet.adapters.blacksheep._session import Session
from limpet.asgi import Scope
from limpet.errors import ANSWERED
from limpet.transports import CookieTransport

__all__ = ["ERROR_HANDLERS", "Middleware", "SocketMiddleware"]

log = logging.getLogger("limpet")


class Middleware(AnsweredInside):
    """`limpet.asgi.SessionMiddleware` with sessions that have BlackSheep's words."""

    make = Session.of
    _warned_insecure = False

    def check_test_client(self, scope: Scope) -> None:
        """Warn once if a cookie that needs no https goes out over https."""
        super().check_test_client(scope)
        manager = self.manager
        if self._warned_insecure or scope.get("scheme") not in {"https", "wss"} or manager.cookie.secure:
            return
        if isinstance(manager.engine.transport, CookieTransport):
            self._warned_insecure = True
            log.warning(
                "the session cookie %r goes out over https without Secure, so that http would carry it too: "
                "use_sessions(..., cookie=CookiePolicy(name=%r)) makes it Secure",
                manager.cookie_name,
                manager.cookie_name,
            )


class SocketMiddleware:
    """Puts the session on WebSockets, which BlackSheep makes without asking the application, and notes how they end."""

    def __init__(self, store: SessionStore | None) -> None:
        self._store = store

    async def __call__(self, request: Request, handler: Callable[[Request], Awaitable[Any]]) -> Any:
        """Run the rest."""
        if not isinstance(request, WebSocket):
            return await handler(request)
        scope: Any = request.scope
        if self._store is not None:
            request.session = session = await self._store.load(request)
            if isinstance(session, Session):
                state_of(session).phase = STARTED  # there is no response to save to
        elif "session" in scope:
            request.session = scope["session"]
        try:
            return await handler(request)
        except WebSocketDisconnectError:
            raise  # the client hung up, which is no failure
        except Exception as error:
            note_failure(scope, error)
            if isinstance(error, ANSWERED) and not request.accepted:
                return None  # closed by the one outside, with the code that such an error has
            raise


async def _answer(app: Any, request: Request, error: Exception) -> Response:
    scope: Any = getattr(request, "scope", None) or {}
    sessions = [*scope.get("limpet", ())]
    if not sessions:  # one that `Application.handle` made, where no middleware was around it
        with suppress(TypeError):  # there is none
            sessions += [each for each in (request.session,) if isinstance(each, Session)]
    answer = refuse(sessions, error, scope)
    headers = [(name.encode(), value.encode()) for name, value in extra_headers(answer).items()]
    return Response(answer.status, headers, Content(content_type(answer).encode(), answer.body))


ERROR_HANDLERS: Final = dict.fromkeys(ANSWERED, _answer)
"""How a request ends whose handler let one of these pass."""
