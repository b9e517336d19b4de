"""What is answered when the engine raises in a handler: Litestar makes responses of exceptions before we see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import MediaType, Request, Response

from limpet.errors import SessionConflict, SessionEnded, StoreUnavailable

__all__ = ["ANSWERS"]


def _unavailable(request: Request[Any, Any, Any], error: StoreUnavailable) -> Response[str]:
    return Response(
        "The session store is not available. Try again in a moment.\n",
        status_code=503,
        headers={"retry-after": str(error.retry_after), "cache-control": "no-store"},
        media_type=MediaType.TEXT,
    )


def _overtaken(request: Request[Any, Any, Any], error: SessionConflict | SessionEnded) -> Response[str]:
    return Response(
        "The session was changed or ended by another request. Load the page again.\n",
        status_code=409,
        headers={"cache-control": "no-store"},
        media_type=MediaType.TEXT,
    )


ANSWERS: Final[Mapping[type[Exception], Callable[..., Response[str]]]] = {
    StoreUnavailable: _unavailable,
    SessionConflict: _overtaken,
    SessionEnded: _overtaken,
}
