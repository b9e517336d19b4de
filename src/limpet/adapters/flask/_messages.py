"""The request and the response of Flask: what is read of the one, and put into the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import request as current_request
from werkzeug.datastructures import Headers

from limpet._core.engine import Engine
from limpet._core.state import FORWARDED, SessionState
from limpet._doors import SPOKEN, said

if TYPE_CHECKING:
    from flask import Request, Response

    from limpet.protocols import Header

__all__ = ["mark_headers", "replace", "this_request", "token_of"]


def this_request() -> Request:
    """Return the current request itself: what stands for it in `flask` looks it up at each use."""
    found: Request = current_request._get_current_object()  # type: ignore[attr-defined]
    return found


def token_of(state: SessionState, engine: Engine, request: Request) -> str | None:
    """Return the token by which a client knows a session that is stored, and none of which is on its way to it."""
    if state.stored is not None and state.stored.raw:
        token = state.ids[0] if len(state.ids) == 1 else ""
        came_with_it = token and not state.flags & FORWARDED and engine.ids.current(token)
        return token if came_with_it else engine.ids.present(state.stored.raw)
    if engine.is_server_side:
        return None  # another request, which moved the same old session, has handed it out
    line = request.environ.get("HTTP_COOKIE")
    found: Sequence[str] = engine.transport.read([(b"cookie", line.encode("latin-1"))]) if line else ()
    return found[0] if found else None


def mark_headers(headers: Headers, engine: Engine, tokens: Sequence[Header], accessed: bool) -> list[tuple[str, str]]:
    """Add to the headers of a response what it needs for its session; return that."""
    spoken = [pair for pair in headers if pair[0].lower() in SPOKEN]
    for name, _ in spoken:
        headers.remove(name)
    marked = said(spoken, engine.vary, tokens, accessed, engine.no_store)
    headers[len(headers) :] = marked  # in one go: `add` looks at each name, too
    return [pair for pair in marked if pair not in spoken] if spoken else marked


def replace(response: Response, other: Response) -> None:
    """Let a response be another one, which stays the object that it is."""
    close = getattr(response.response, "close", None)
    if close is not None:
        close()
    response.direct_passthrough = False
    response.status = other.status
    response.headers = Headers(other.headers)
    response.response = other.response
