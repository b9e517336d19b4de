"""Serves a WSGI application to clients that speak ASGI: each request on a thread of its own, as a server would.

Source: PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from limpet.asgi import Message, Receive, Scope, Send

__all__ = ["Served"]

_THREADS: Final = 64


class Served:
    """An ASGI application over a WSGI application.

    The response goes out once the body has ended and its ``close()`` has returned, so that a test sees what was saved.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="limpet-wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; a WebSocket is refused, which WSGI has none of."""
        kind = scope["type"]
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        elif kind == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        environ = _environ(scope, body)
        loop = asyncio.get_running_loop()
        start, parts = await loop.run_in_executor(self._pool, self._run, environ)
        await send(start)
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _run(self, environ: dict[str, Any]) -> tuple[Message, list[bytes]]:
        started: list[Message] = []
        parts: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if started and exc_info is None:
                raise AssertionError("start_response was called twice")
            pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            started[:] = [{"type": "http.response.start", "status": int(status[:3]), "headers": pairs}]
            return parts.append

        body = self._app(environ, start_response)
        try:
            parts.extend(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return started[0], parts


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    server = scope.get("server") or ("testserver", 80)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client[0],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        if key in environ and key.startswith("HTTP_"):
            value = f"{environ[key]}{'; ' if name == 'COOKIE' else ','}{value}"
        environ[key] = value
    return environ
