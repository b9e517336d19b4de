"""Serves an aiohttp application, on a real server of aiohttp's, to clients that speak ASGI."""

from __future__ import annotations

import asyncio
import io
from http.client import HTTPResponse
from itertools import count
from typing import Any, Final

from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from limpet.asgi import Message, Receive, Scope, Send

__all__ = ["Served"]

_NUMBER: Final = b"x-number-of-the-request"
_HEADERS: Final = 2 << 20  # bytes: aiohttp's own limit keeps from sessions what is to be seen here
_OF_THE_CLIENT: Final = frozenset({b"connection", b"content-length", b"transfer-encoding", b"accept-encoding"})


class Served:
    """An ASGI application that hands what it is asked to an aiohttp application, over HTTP.

    The response goes out once the handler has returned, so that a test sees what was saved.
    """

    def __init__(self, app: web.Application) -> None:
        self._numbers = count()
        self._running: dict[str, asyncio.Event] = {}

        @web.middleware
        async def note(request: web.Request, handler: Any) -> Any:
            over = self._running[request.headers[_NUMBER.decode()]] = asyncio.Event()
            try:
                return await handler(request)
            finally:
                over.set()

        app.middlewares.insert(0, note)
        self._runner = web.AppRunner(app, max_field_size=_HEADERS, max_line_size=_HEADERS, shutdown_timeout=1)
        self._port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a WebSocket, or the life of the server."""
        if scope["type"] == "lifespan":
            await receive()
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self._port = self._runner.addresses[0][1]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._runner.cleanup()
            await send({"type": "lifespan.shutdown.complete"})
            return
        number = str(next(self._numbers))
        headers = [header for header in scope["headers"] if header[0] not in _OF_THE_CLIENT]
        headers.append((_NUMBER, number.encode()))
        path = scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        if scope["type"] == "http":
            await self._serve(scope["method"], path, headers, receive, send)
            await self._handled(number)
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._converse(path, headers, receive, send)
            await self._handled(number)

    async def _handled(self, number: str) -> None:
        over = self._running.pop(number, None)  # None: the server has answered by itself
        if over is not None:
            await asyncio.wait_for(over.wait(), 30)

    async def _serve(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send
    ) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = [f"{method} {path} HTTP/1.1".encode(), *(b"%b: %b" % header for header in headers)]
        lines += [b"connection: close", b"content-length: %d" % len(body), b"", body]
        writer.write(b"\r\n".join(lines))
        received: Any = _Received(await reader.read())
        answer = HTTPResponse(received, method=method)
        writer.close()
        answer.begin()
        found = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": found})
        await send({"type": "http.response.body", "body": answer.read(), "more_body": True})

    async def _converse(self, path: str, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
        await receive()
        url = f"ws://127.0.0.1:{self._port}{path}"
        additional = [(name.decode(), value.decode("latin-1")) for name, value in headers if name != b"host"]
        try:
            async with connect(url, additional_headers=additional, proxy=None, compression=None) as socket:
                assert socket.response is not None
                found = [(name.lower().encode(), value.encode()) for name, value in socket.response.headers.raw_items()]
                await send({"type": "websocket.accept", "headers": found})
                hears = asyncio.create_task(_hear(socket, send))
                while (message := await receive())["type"] == "websocket.receive":
                    await socket.send(message["text"])
                await socket.close()
                await hears
        except InvalidStatus as refused:
            status = refused.response.status_code
            await send({"type": "websocket.http.response.start", "status": status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})


class _Received:
    """What was received, for a reader of HTTP that wants a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """Return the bytes as a file."""
        return io.BytesIO(self._data)


async def _hear(socket: Any, send: Send) -> None:
    code = 1006
    try:
        while True:
            message: Message = {"type": "websocket.send", "text": await socket.recv()}
            await send(message)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd is not None else code
    await send({"type": "websocket.close", "code": code, "reason": ""})
