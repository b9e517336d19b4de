"""A decorator of views that asks for a recent login."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import flask

from limpet.adapters._challenge import HEADER, REFUSAL, challenge

__all__ = ["fresh_login"]

P = ParamSpec("P")
R = TypeVar("R")


def fresh_login(
    minutes: float | None = 5, *, level: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R | flask.Response]]:
    """Let a view run only for somebody who logged in at most so long ago.

    ::

        @app.post("/account/delete")
        @fresh_login(minutes=5)
        def delete() -> str: ...

    Everybody else gets 401, with the challenge that says how old a login may be, and of which level.

    Args:
        minutes: How long a login is fresh. None: however old it is.
        level: The ``acr`` that it has to have, or a higher one; see `limpet.Session.is_fresh`.

    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; RFC 9470, section 3, for the challenge.
    """
    headers = {HEADER: challenge(minutes, level)}

    def decorate(view: Callable[P, R]) -> Callable[P, R | flask.Response]:
        @wraps(view)
        def guarded(*args: P.args, **options: P.kwargs) -> R | flask.Response:
            if not flask.session.is_fresh(minutes, level=level):  # type: ignore[attr-defined]
                return flask.Response(REFUSAL, 401, headers, content_type="text/plain; charset=utf-8")
            answer: R = flask.current_app.ensure_sync(view)(*args, **options)
            return answer

        return guarded

    return decorate
