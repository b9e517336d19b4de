"""Shows what a copied cookie opens: asks for a page as somebody would who has the cookie and not the device."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request

from limpet import SessionManager
from limpet._cookies import find
from limpet.adapters.fastapi import SessionDep
from limpet.bound import BoundPolicy

__all__ = ["BOUND", "routes", "seen_by_a_copy"]

BOUND: Final = BoundPolicy(settle=2)
"""So that it can be seen at once that a copy opens nothing."""

_WHO: Final = "/who"
routes: APIRouter = APIRouter()


@routes.get(_WHO)
async def who(session: SessionDep) -> str | None:
    """Answer who is signed in."""
    session.passive()
    return session.subject


async def seen_by_a_copy(request: Request, manager: SessionManager) -> bool:
    """Tell whether the session cookie of a request opens its session without anything else that came with it."""
    name = manager.cookie_name
    values = find(request.scope["headers"], name.encode())
    headers = [(b"host", request.headers["host"].encode())]
    headers += [(b"cookie", f"{name}={value}".encode()) for value in values]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": request.scope["scheme"],
        "path": _WHO,
        "raw_path": _WHO.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),  # somebody else's address (RFC 5737)
        "server": request.scope.get("server"),
    }
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        body.extend(message.get("body", b""))

    await request.app(scope, receive, send)
    return bytes(body) != b"null"
