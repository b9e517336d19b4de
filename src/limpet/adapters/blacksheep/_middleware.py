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
from limpet.adapters._answers import TEXT, AnsweredInside, extra_headers, refuse
from limpet.adapters.blacksheep._session import Session
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send
from limpet.errors import ANSWERED
from limpet.transports import CookieTransport

__all__ = ["ERROR_HANDLERS", "HandlerFailed", "Middleware", "SocketMiddleware", "run_socket"]

log = logging.getLogger("limpet")

_FAILURE: Final = "limpet.failure"


class HandlerFailed(Exception):
    """The handler of a WebSocket raised; BlackSheep has logged it.

    Attributes:
        close: What BlackSheep sends then, to be sent once the session knows of the failure.
    """

    close: Message | None = None


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
            if isinstance(error, ANSWERED) and not request.accepted:
                scope[_FAILURE] = error
                return None  # closed by the one outside, with the code that such an error has
            scope[_FAILURE] = HandlerFailed()
            raise


async def run_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run BlackSheep on a WebSocket, and raise if its handler did, which BlackSheep keeps to itself.

    Raises:
        HandlerFailed: The handler raised.
        LimpetError: It did so before it accepted, with one of `limpet.errors.ANSWERED`.
    """

    async def hold_back(message: Message) -> None:
        failure = scope.get(_FAILURE)
        if isinstance(failure, HandlerFailed) and message["type"] == "websocket.close":
            failure.close = message
        else:
            await send(message)

    await app(scope, receive, hold_back)
    failure = scope.pop(_FAILURE, None)
    if failure is not None:
        raise failure


async def _answer(app: Any, request: Request, error: Exception) -> Response:
    scope: Any = getattr(request, "scope", None) or {}
    sessions = [*scope.get("limpet", ())]
    if not sessions:  # one that `Application.handle` made, where no middleware was around it
        with suppress(TypeError):  # there is none
            sessions += [each for each in (request.session,) if isinstance(each, Session)]
    answer = refuse(sessions, error)
    headers = [(name.encode(), value.encode()) for name, value in extra_headers(answer).items()]
    return Response(answer.status, headers, Content(TEXT.encode(), answer.body))


ERROR_HANDLERS: Final = dict.fromkeys(ANSWERED, _answer)
"""How a request ends whose handler let one of these pass."""
