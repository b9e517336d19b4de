"""What is answered when the engine raises in a handler: Litestar makes responses of exceptions before we see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar import MediaType, Request, Response

from limpet.errors import SessionBusy, SessionConflict, SessionEnded, SessionLimitReached, StoreUnavailable

__all__ = ["ANSWERS"]

_OVERTAKEN: Final = "The session was changed or ended by another request. Load the page again.\n"
_SAID: Final[Mapping[type[Exception], tuple[int, str]]] = {
    StoreUnavailable: (503, "The session store is not available. Try again in a moment.\n"),
    SessionBusy: (503, "The session is busy with another request. Try again in a moment.\n"),
    SessionConflict: (409, _OVERTAKEN),
    SessionEnded: (409, _OVERTAKEN),
    SessionLimitReached: (409, "You are signed in on as many devices as allowed. Sign out on one of them first.\n"),
}


def _answer_to(kind: type[Exception]) -> Callable[[Request[Any, Any, Any], Exception], Response[str]]:
    status, text = _SAID[kind]

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        headers = {"cache-control": "no-store"}
        if status == 503:
            headers["retry-after"] = str(getattr(error, "retry_after", 1))
        return Response(text, status_code=status, headers=headers, media_type=MediaType.TEXT)

    return answer


ANSWERS: Final = {kind: _answer_to(kind) for kind in _SAID}
