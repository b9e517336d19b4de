"""One request and its response: commits at the right moments. What `limpet.asgi` is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from limpet._caching import mark_response
from limpet._core.engine import Engine
from limpet._core.session import Session, state_of
from limpet._core.state import ACCESSED, ENDED, EXPOSED, LAPSED, OVER, PASSIVE, STARTED, WRITTEN, SessionState
from limpet._native import mypyc_attr
from limpet._serving import as_mount, hand_out
from limpet.errors import LimpetError, SessionClosed, StoreUnavailable, answer_to
from limpet.manager import SessionManager
from limpet.protocols import Header
from limpet.refusals import answer_error
from limpet.runtime import AsyncioRuntime

__all__ = ["ASGIApp", "Exchange", "Host", "Http", "Message", "Receive", "Scope", "Send", "Socket"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
# Each framework has types of its own for a scope and its messages, so that an application of any of them is one.
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


_SESSION_ENDED: Final = 1008  # RFC 6455, section 7.4.1: policy violation


_WROTE: Final = WRITTEN | EXPOSED | ENDED


@mypyc_attr(allow_interpreted_subclasses=True)
class Host:
    """What an exchange needs of the middleware that it belongs to."""

    def __init__(self, manager: SessionManager, close_sockets: float | None) -> None:
        self.manager = manager
        self.close_sockets = close_sockets

    def check_test_client(self, scope: Scope) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""

    def note_passive(self, scope: Scope) -> None:
        """Note that requests of this path do not count as activity."""


class Exchange:
    """One request and its response: commits at the right moments."""

    _started = False
    _failed = False
    _replaced = False
    _unsaved = False

    def __init__(
        self, middleware: Host, engine: Engine, scope: Scope, session: Session, receive: Receive, send: Send
    ) -> None:
        self._middleware = middleware
        self._engine = engine
        self._scope = scope
        self._session = session
        self._state: SessionState = state_of(session)
        self._receive: Receive = receive
        self._send: Send = send

    async def _save(self, failed: bool) -> None:
        """Commit what is not idle; once begun, a save is finished even if the request is cancelled."""
        engine = self._engine
        runtime = None if engine.kept is None or engine.storage.immediate else engine.runtime
        if isinstance(runtime, AsyncioRuntime):
            await runtime.finish(engine.commit(self._session, failed=failed))
        else:
            await engine.commit(self._session, failed=failed)

    async def _save_and_start(self, message: Message) -> bool:
        """Commit and start the response; False if an error was sent in its place."""
        refused: LimpetError | None = None
        try:
            await self._save(self._failed)
        except LimpetError as error:
            if answer_to(error) is None:
                raise
            refused = error
        if refused is not None:
            self._unsaved = isinstance(refused, StoreUnavailable) and refused.waited
            await self._refuse(refused)
            return False
        self._begin(message)
        await self._send(message)
        return True

    def _begin(self, message: Message) -> None:
        """Add the headers that this response needs; from now on it has started."""
        state, middleware, engine = self._state, self._middleware, self._engine
        tokens: list[Header] = []
        if state.out is not None or state.legacy is not None:
            tokens = hand_out(engine, state)
            if tokens:
                middleware.check_test_client(self._scope)
        if engine.binder is not None:
            tokens += engine.binder.headers(state, as_mount(self._scope.get("root_path")))
        accessed = bool(state.flags & ACCESSED)
        if tokens or accessed:
            headers = message.get("headers") or ()
            token = tokens[0] if tokens else None
            marked = mark_response(headers, engine.vary, token, accessed, engine.no_store)
            if len(tokens) > 1:
                marked += tokens[1:]
            message["headers"] = marked
        if state.flags & PASSIVE:
            middleware.note_passive(self._scope)
        self._started = True
        state.phase = STARTED

    async def _refuse(self, error: LimpetError) -> None:
        raise error

    async def end(self) -> None:
        """The application has returned: save what background tasks wrote."""
        if not self._started:
            self._failed = True  # it answered nothing, which the server turns into an error
        if not self._replaced:
            await self._save_late()

    async def _save_late(self) -> None:
        state = self._state
        if state.flags & _WROTE and not state.flags & OVER and not self._engine.is_idle(state):
            await self._save(self._failed)

    async def fail(self, error: BaseException) -> bool:
        """The application raised: keep a logout, drop the rest; True if the error was answered here."""
        self._failed = True
        state = self._state
        try:
            idle = state.created is None and self._engine.is_idle(state)
            if not idle and not self._unsaved:  # one time limit is enough
                await self._save(True)
        except LimpetError as problem:  # what the application raised says more than what came of it
            self._engine.emitter.log.warning(
                "failed", "a request failed, and what it leaves in its session could not be kept: %s", problem
            )
        if isinstance(error, LimpetError) and answer_to(error) is not None and not self._started:
            await self._refuse(error)
            return True
        return self._replaced and isinstance(error, Exception)

    async def stop(self) -> None:
        """Release what was begun beside the request."""


class Http(Exchange):
    """An http request."""

    def send(self, message: Message) -> Awaitable[object]:
        """Return what sends the message: the server's own coroutine, unless something is to be waited for first."""
        state = self._state
        kind = message["type"]
        if self._replaced:
            return _stop_application()
        if kind == "http.response.start":
            self._failed = message["status"] >= 500
            if state.loaded and not state.flags & ACCESSED:  # not touched: nothing to save, nothing to say
                self._started, state.phase = True, STARTED
            elif not self._engine.is_idle(state) or (self._failed and state.created):
                return self._save_and_start(message)
            else:
                self._begin(message)
        elif (
            (state.flags & _WROTE or state.leaving is not None)
            and kind == "http.response.body"
            and self._started
            and not message.get("more_body", False)
        ):
            return self._save_and_end(message)
        return self._send(message)

    def receive(self) -> Awaitable[Message]:
        """Return what waits for the next message; after an error was sent in place of the response, none comes."""
        return _disconnected() if self._replaced else self._receive()

    async def _save_and_end(self, message: Message) -> None:
        await self._save_late()
        await self._send(message)

    async def _refuse(self, error: LimpetError) -> None:
        engine, answer = self._engine, answer_error(self._middleware.manager.on_refused, error, self._scope)
        assert answer is not None
        headers = [
            *answer.headers,
            *engine.headers(self._session),
        ]  # an id that may be the only one goes out all the same
        self._replaced = True
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})


async def _stop_application() -> None:
    """Stop an application whose response was replaced by another, as a server does whose client has gone.

    Raises:
        OSError: Always (ASGI specification, HTTP, "Disconnected Client - send exception").
    """
    raise OSError("an error was sent in place of this response, and the rest of it goes nowhere")


async def _disconnected() -> Message:
    return {"type": "http.disconnect"}


class Socket(Exchange):
    """A WebSocket."""

    _gone = False  # the client hung up, or was made to
    _cut = False  # it was made to, because the session ended
    _refused = False  # the application refused the connection, so that no cookie can be handed out
    _watch: asyncio.Task[None] | None = None
    _next: asyncio.Future[Message] | None = None

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
        state = self._state
        had_one = state.stored is not None
        while True:
            await asyncio.sleep(interval)
            had_one = had_one or state.stored is not None
            try:
                over = had_one and not await self._session.is_live()
            except StoreUnavailable:
                continue
            if over and not self._gone:
                self._cut = self._gone = True
                why = "its device is to be proven again" if state.flags & LAPSED else "the session has ended"
                await self._send({"type": "websocket.close", "code": _SESSION_ENDED, "reason": why})
            if over:
                return

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if self._cut:
            raise ConnectionAbortedError("the session has ended, and its WebSocket was closed")
        if message["type"] == "websocket.accept":
            watched = self._middleware.close_sockets is not None and self._engine.is_server_side
            if await self._start(message, 101) and watched:
                self._watch = asyncio.create_task(self._watch_over(self._middleware.close_sockets or 0.0))
            return
        if message["type"] == "websocket.http.response.start":
            await self._start(message, message["status"])
            return
        if message["type"] == "websocket.close":
            # Before the acceptance, this refuses the connection, and nothing can hand out a cookie.
            self._refused = self._refused or not self._started
            self._started, self._state.phase = True, STARTED
            try:
                await self._save_late()
            except SessionClosed:
                if not self._refused:
                    raise
                self._engine.drop_write(
                    self._state, "the WebSocket was refused, so that a new session could not be handed out"
                )
        await self._send(message)

    async def end(self) -> None:
        """A connection that was refused is settled: what could be saved is, and the rest was reported."""
        if not self._refused:
            await super().end()

    async def stop(self) -> None:
        """Stop watching over the session."""
        waiting: list[asyncio.Future[Any]] = [
            each for each in (self._watch, self._next) if each is not None and not each.done()
        ]
        for each in waiting:
            each.cancel()
        if waiting:
            await asyncio.gather(*waiting, return_exceptions=True)

    async def fail(self, error: BaseException) -> bool:
        """A client that hung up is no failure of the handler: what it wrote is saved."""
        if self._gone and isinstance(error, Exception):
            await self._save_late()
            return False
        return await super().fail(error)

    async def _start(self, message: Message, status: int) -> bool:
        self._failed = status >= 500
        if not self._engine.is_idle(self._state):
            return await self._save_and_start(message)
        self._begin(message)
        await self._send(message)
        return True

    async def _refuse(self, error: LimpetError) -> None:
        answer = answer_to(error)
        assert answer is not None
        self._replaced = True
        await self._send({"type": "websocket.close", "code": answer.close_code, "reason": ""})
