"""Between the engine and BlackSheep: the ASGI middleware, WebSockets, and errors that have an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from blacksheep.contents import TextContent
from blacksheep.messages import Request, Response
from blacksheep.server.websocket import WebSocket, WebSocketDisconnectError
from blacksheep.sessions.abc import SessionStore

from limpet._core.session import state_of
from limpet._core.state import STARTED
from limpet.adapters.blacksheep._session import Session
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send, SessionMiddleware
from limpet.errors import SessionConflict, SessionEnded, StoreUnavailable
from limpet.transports import CookieTransport

__all__ = ["ERROR_HANDLERS", "HandlerFailed", "Middleware", "SocketMiddleware", "run_socket"]

log = logging.getLogger("limpet")

_FAILURE: Final = "limpet.failure"
_ANSWERED: Final = (StoreUnavailable, SessionConflict, SessionEnded)


class HandlerFailed(Exception):
    """The handler of a WebSocket raised; BlackSheep has logged it.

    Attributes:
        close: What BlackSheep sends then, to be sent once the session knows of the failure.
    """

    close: Message | None = None


class Middleware(SessionMiddleware):
    """`SessionMiddleware` with sessions that have BlackSheep's words."""

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
            if isinstance(error, _ANSWERED) and not request.accepted:
                scope[_FAILURE] = error
                return None  # closed by the one outside, with the code that such an error has
            scope[_FAILURE] = HandlerFailed()
            raise


async def run_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run BlackSheep on a WebSocket, and raise if its handler did, which BlackSheep keeps to itself.

    Raises:
        HandlerFailed: The handler raised.
        StoreUnavailable: It did so before it accepted; likewise `SessionConflict` and `SessionEnded`.
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


async def _unavailable(app: Any, request: Request, error: Exception) -> Response:
    seconds = error.retry_after if isinstance(error, StoreUnavailable) else 1
    text = "The session store is not available. Try again in a moment.\n"
    return _answer(503, b"retry-after", str(seconds).encode(), text)


async def _conflict(app: Any, request: Request, error: Exception) -> Response:
    text = "The session was changed or ended by another request. Load the page again.\n"
    return _answer(409, b"cache-control", b"no-store", text)


def _answer(status: int, name: bytes, value: bytes, text: str) -> Response:
    return Response(status, [(name, value)], TextContent(text))


ERROR_HANDLERS: Final = {StoreUnavailable: _unavailable, SessionConflict: _conflict, SessionEnded: _conflict}
"""How a request ends whose handler let one of these pass."""
