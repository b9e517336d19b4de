"""One request and its response: commits at the right moments. What `limpet.asgi` is made of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, TypeAlias

from limpet._core import importing
from limpet._core.caching import mark_response
from limpet._core.protocols import Header
from limpet._core.session import Session
from limpet._core.standing import STARTED
from limpet.errors import (
    SessionBusy,
    SessionConflict,
    SessionEnded,
    SessionError,
    SessionLimitReached,
    StoreUnavailable,
)
from limpet.manager import SessionManager

__all__ = ["ASGIApp", "Exchange", "Http", "Message", "Receive", "Scope", "Send", "Socket"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
# Each framework has types of its own for a scope and its messages, so that an application of any of them is one.
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

log = logging.getLogger("limpet")

_REFUSALS: Final = (StoreUnavailable, SessionBusy, SessionConflict, SessionEnded, SessionLimitReached)
"""What is answered here, where the application does not."""
_SESSION_ENDED: Final = 1008  # RFC 6455, section 7.4.1: policy violation


class Middleware(Protocol):
    """What an exchange needs of the middleware that it belongs to."""

    manager: SessionManager
    close_sockets: float | None

    async def save(self, session: Session, failed: bool) -> None:
        """Commit what is not idle; once begun, a save is finished even if the request is cancelled."""

    def check_test_client(self, scope: Scope) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""


class Exchange:
    """One request and its response: commits at the right moments."""

    _started = False
    _failed = False
    _replaced = False

    def __init__(self, middleware: Middleware, scope: Scope, session: Session, send: Send) -> None:
        self._middleware = middleware
        self._scope = scope
        self._session = session
        self._send = send

    async def _save(self) -> bool:
        """Commit; False if an error was sent in place of this response."""
        try:
            await self._middleware.save(self._session, self._failed)
        except _REFUSALS as error:
            await self._refuse(error)
            return False
        return True

    def _begin(self, message: Message) -> None:
        """Add the headers that this response needs; from now on it has started."""
        session, middleware = self._session, self._middleware
        token = middleware.manager.header(session) if session._out is not None else None
        old: list[Header] = []
        if session._rare is not None:
            if session._anonymous_only:
                token = None
            if session._old is not None:
                old = importing.leftovers(session, token is not None)
        if token is not None:
            middleware.check_test_client(self._scope)
        elif old:
            token = old.pop()
        if token is not None or session._accessed:
            headers = message.get("headers") or ()
            message["headers"] = mark_response(headers, middleware.manager.vary, token, session._accessed)
            if old:
                message["headers"] += old
        self._started = True
        session._phase = STARTED

    async def _refuse(self, error: SessionError | StoreUnavailable) -> None:
        raise error

    async def end(self) -> None:
        """The application has returned: save what background tasks wrote."""
        if not self._started:
            self._failed = True  # it answered nothing, which the server turns into an error
        if not self._replaced:
            await self._save_late()

    async def _save_late(self) -> None:
        session = self._session
        wrote = session._written or session._exposed or session._ended
        if wrote and not self._middleware.manager.is_idle(session):
            await self._middleware.save(session, self._failed)

    async def fail(self, error: BaseException) -> bool:
        """The application raised: keep a logout, drop the rest; True if the error was answered here."""
        self._failed = True
        try:
            if not self._middleware.manager.is_idle(self._session):
                await self._middleware.save(self._session, True)
        except (StoreUnavailable, SessionConflict):
            log.warning("a logout could not be carried out: the request failed, and the store too")
        if isinstance(error, _REFUSALS) and not self._started:
            await self._refuse(error)
            return True
        return self._replaced and isinstance(error, Exception)

    async def stop(self) -> None:
        """Release what was begun beside the request."""


class Http(Exchange):
    """An http request."""

    def send(self, message: Message) -> Awaitable[None]:
        """Return what sends the message: the server's own coroutine, unless something is to be waited for first."""
        session = self._session
        kind = message["type"]
        if self._replaced:
            return _nothing()
        if kind == "http.response.start":
            self._failed = message["status"] >= 500
            if session._state and not session._accessed:  # nobody has touched it: nothing to save, nothing to say
                self._started, session._phase = True, STARTED
            else:
                manager = self._middleware.manager
                if not manager.is_idle(session) and (self._failed or not manager.reseal(session)):
                    return self._save_and_start(message)
                self._begin(message)
        elif (
            (session._written or session._exposed or session._rare is not None)
            and kind == "http.response.body"
            and self._started
            and not message.get("more_body", False)
        ):
            return self._save_and_end(message)
        return self._send(message)

    async def _save_and_start(self, message: Message) -> None:
        if await self._save():
            self._begin(message)
            await self._send(message)

    async def _save_and_end(self, message: Message) -> None:
        await self._save_late()
        await self._send(message)

    async def _refuse(self, error: Exception) -> None:
        if isinstance(error, StoreUnavailable):
            status, text = 503, b"The session store is not available. Try again in a moment.\n"
        elif isinstance(error, SessionBusy):
            status, text = 503, b"The session is busy with another request. Try again in a moment.\n"
        elif isinstance(error, SessionLimitReached):
            status, text = 409, b"You are signed in on as many devices as allowed. Sign out on one of them first.\n"
        else:
            status, text = 409, b"The session was changed or ended by another request. Load the page again.\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if status == 503:
            headers.append((b"retry-after", str(getattr(error, "retry_after", 1)).encode()))
        self._replaced = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})


async def _nothing() -> None:
    """Send nothing: this response was replaced by another."""


class Socket(Exchange):
    """A WebSocket."""

    _gone = False  # the client hung up, or was made to
    _cut = False  # it was made to, because the session ended
    _watch: asyncio.Task[None] | None = None
    _next: asyncio.Future[Message] | None = None
    _receive: Receive

    def receive_from(self, receive: Receive) -> Receive:
        """Return what the application receives through."""
        self._receive = receive
        return self.receive

    async def receive(self) -> Message:
        """Return the next message."""
        message = await (self._receive() if self._watch is None else self._receive_watched(self._watch))
        if message["type"] == "websocket.disconnect":
            self._gone = True
        return message

    async def _receive_watched(self, watch: asyncio.Task[None]) -> Message:
        """Return the next message, or the disconnect that the end of the session is."""
        if self._next is None:  # one that an earlier call waited for, and gave up, is still to come
            self._next = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._next, watch), return_when=asyncio.FIRST_COMPLETED)
        if not self._next.done():
            return {"type": "websocket.disconnect", "code": _SESSION_ENDED, "reason": ""}
        message, self._next = self._next, None
        return message.result()

    async def _watch_over(self, interval: float) -> None:
        """Close the socket once its session is over; a store that does not answer does not end it."""
        session, had_one = self._session, False
        while True:
            await asyncio.sleep(interval)
            had_one = had_one or session._raw is not None
            try:
                over = had_one and not await session.is_live()
            except StoreUnavailable:
                continue
            if over and not self._gone:
                self._cut = self._gone = True
                await self._send({"type": "websocket.close", "code": _SESSION_ENDED, "reason": "the session has ended"})
            if over:
                return

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if self._cut:
            raise ConnectionAbortedError("the session has ended, and its WebSocket was closed")
        if message["type"] == "websocket.accept":
            if not await self._start(message, 101):
                return
            if self._middleware.close_sockets is not None and self._middleware.manager.is_server_side:
                self._watch = asyncio.create_task(self._watch_over(self._middleware.close_sockets))
        elif message["type"] == "websocket.http.response.start":
            if not await self._start(message, message["status"]):
                return
        elif message["type"] == "websocket.close":
            # Before the acceptance, this refuses the connection, and nothing can hand out a cookie.
            self._started, self._session._phase = True, STARTED
            await self._save_late()
        await self._send(message)

    async def stop(self) -> None:
        """Stop watching over the session."""
        waiting: list[asyncio.Future[Any]] = [
            each for each in (self._watch, self._next) if each is not None and not each.done()
        ]
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def fail(self, error: BaseException) -> bool:
        """A client that hung up is no failure of the handler: what it wrote is saved."""
        if self._gone and isinstance(error, Exception):
            await self._save_late()
            return False
        return await super().fail(error)

    async def _start(self, message: Message, status: int) -> bool:
        self._failed = status >= 500
        if not self._middleware.manager.is_idle(self._session) and not await self._save():
            return False
        self._begin(message)
        return True

    async def _refuse(self, error: Exception) -> None:
        self._replaced = True
        code = 1013 if isinstance(error, (StoreUnavailable, SessionBusy)) else 1011  # try again later; internal error
        await self._send({"type": "websocket.close", "code": code, "reason": ""})
