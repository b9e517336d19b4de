"""Speak ASGI to an application without a server: its lifespan, and one WebSocket.

Source: the ASGI specification, "Lifespan Protocol" and "HTTP & WebSocket ASGI Message Format".
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from limpet.asgi import ASGIApp, Message

__all__ = ["Lifespan", "WebSocket", "WebSocketClosed"]


class _Talk:
    """One scope: what is sent to the application and what it sends, until it returns."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        self._app = app
        self._scope = scope
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._from_app.put)
        finally:
            self._from_app.put_nowait(None)

    def _begin(self, message: Message) -> None:
        self._task = asyncio.create_task(self._run())
        self._to_app.put_nowait(message)

    async def _next(self) -> Message | None:
        """Return what the application sends next, None once it has returned; raise what it raised."""
        message = await self._from_app.get()
        if message is None:
            self._from_app.put_nowait(None)
            await self._end()
        return message

    async def _end(self) -> None:
        assert self._task is not None
        await self._task


class Lifespan(_Talk):
    """Starts an application up on entering and shuts it down on leaving.

    Attributes:
        state: What the application puts into ``scope["state"]`` for its requests.

    Raises:
        RuntimeError: The application says that it failed to start or to stop.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        super().__init__(
            app, {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        )

    async def __aenter__(self) -> Self:
        self._begin({"type": "lifespan.startup"})
        await self._expect("lifespan.startup")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        await self._expect("lifespan.shutdown")
        await self._end()

    async def _expect(self, phase: str) -> None:
        message = await self._next()
        if message is not None and message["type"] != f"{phase}.complete":
            await self._end()  # a framework raises the cause after having said that it failed
            raise RuntimeError(f"the application answered {phase} with {message['type']}: {message.get('message', '')}")


class WebSocketClosed(Exception):
    """The application closed the WebSocket, or refused it.

    Attributes:
        code: The close code (RFC 6455, section 7.4), or the HTTP status of a refusal.
        reason: What the application said why, if it did.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the application closed the WebSocket with {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class WebSocket(_Talk):
    """One WebSocket, for ``async with``: accepted on entering, closed by the client on leaving.

    Attributes:
        headers: The headers of the acceptance.

    Raises:
        WebSocketClosed: The application did not accept it.
    """

    headers: list[tuple[bytes, bytes]]

    async def __aenter__(self) -> Self:
        self._begin({"type": "websocket.connect"})
        message = await self._receive()
        self.headers = list(message.get("headers") or ())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": ""})
        try:
            await self._end()
        except Exception as left:
            # Every framework has a class of its own for a client that went away, and handlers seldom catch it.
            if "disconnect" not in type(left).__name__.lower():
                raise

    async def send(self, text: str) -> None:
        """Send a text message."""
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> str:
        """Return the next text message.

        Raises:
            WebSocketClosed: The application closed it instead.
        """
        text: str = (await self._receive())["text"]
        return text

    async def _receive(self) -> Message:
        message = await self._next()
        if message is None:
            raise WebSocketClosed(1006)
        if message["type"] == "websocket.close":
            raise WebSocketClosed(message.get("code", 1000), message.get("reason") or "")
        if message["type"] == "websocket.http.response.start":
            raise WebSocketClosed(message["status"])
        return message
