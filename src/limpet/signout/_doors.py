"""How a request comes in and an answer goes out: ASGI and WSGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from limpet._scopes import route_path
from limpet.signout._answers import Answer, Question

__all__ = ["MAX_BYTES", "question_of", "respond", "serve"]

MAX_BYTES: Final = 65_536
"""Of a body; a token with certificates in its header has some thousand."""
_DIGITS: Final = 20  # of a length: more than any body has, and few enough to be read as a number


async def serve(answer: Callable[[Question], Awaitable[Answer]], scope: Any, receive: Any, send: Any) -> None:
    """Answer one request of an ASGI server; whatever else a server says is left to others."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    body = bytearray()
    more = True
    while more and len(body) <= MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = await answer(
        Question(
            scope["method"],
            route_path(scope),
            scope.get("query_string", b"").decode("latin-1"),
            _media_type(headers.get(b"content-type", "")),
            headers.get(b"authorization", ""),
            bytes(body),
        )
    )
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in _sized(said)]
    await send({"type": "http.response.start", "status": said.status, "headers": pairs})
    await send({"type": "http.response.body", "body": said.body})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def question_of(environ: Any) -> Question:
    """Return the request of a WSGI server."""
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length.isdecimal():
        size = MAX_BYTES + 1 if len(length) > _DIGITS else min(int(length), MAX_BYTES + 1)
    else:
        size = MAX_BYTES + 1 if environ.get("wsgi.input_terminated") else 0
    return Question(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO") or "/",
        environ.get("QUERY_STRING", ""),
        _media_type(environ.get("CONTENT_TYPE", "")),
        environ.get("HTTP_AUTHORIZATION", ""),
        _read(environ["wsgi.input"], size),
    )


def respond(said: Answer, start_response: Any) -> Sequence[bytes]:
    """Send an answer by way of a WSGI server."""
    start_response(f"{said.status} {HTTPStatus(said.status).phrase}", list(_sized(said)))
    return [said.body]


def _read(stream: Any, size: int) -> bytes:
    body = b""
    while len(body) < size:
        piece = stream.read(size - len(body))
        if not piece:
            break
        body += piece
    return body


def _sized(said: Answer) -> tuple[tuple[str, str], ...]:
    if said.status == HTTPStatus.NO_CONTENT:  # RFC 9110, section 8.6
        return said.headers
    return (*said.headers, ("Content-Length", str(len(said.body))))


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
