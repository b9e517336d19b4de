"""What is answered when the engine raises in a handler: Litestar makes responses of exceptions before we see them."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response

from limpet.adapters._answers import content_type, extra_headers, refuse
from limpet.errors import ANSWERED

__all__ = ["ANSWERS"]


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    scope: Any = request.scope
    answer = refuse(scope.get("limpet", ()), error, scope)
    kind, _, charset = content_type(answer).partition("; charset=")  # Litestar adds it to text by itself
    return Response(
        answer.body,
        status_code=answer.status,
        headers=extra_headers(answer),
        media_type=kind,
        encoding=charset or "utf-8",
    )


ANSWERS: Final = dict.fromkeys(ANSWERED, _answer)
