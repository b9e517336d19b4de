"""A decorator of Nexios' routes that asks for a recent login."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from nexios.exceptions import HTTPException
from nexios.http.request import HTTPConnection

from limpet._scopes import loaded
from limpet.adapters._challenge import HEADER, REFUSAL, challenge
from limpet.adapters.nexios._requests import get_session

__all__ = ["fresh_login"]


def fresh_login(
    minutes: float | None = 5, *, level: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a handler be called for who logged in at most so long ago; written below the route, as ``@auth()`` is.

    ::

        @app.post("/account/delete")
        @fresh_login(minutes=5)
        async def delete(req, res): ...

    Everybody else gets 401 (``HTTPException``), with the challenge that says how old a login may be, and of
    which level.

    Args:
        minutes: How long a login is fresh. None: however old it is.
        level: The ``acr`` that it has to have, or a higher one; see `limpet.Session.is_fresh`.

    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; RFC 9470, section 3, for the challenge.
    """
    headers = {HEADER: challenge(minutes, level)}

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handler)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            connection = next(each for each in (*args, *kwargs.values()) if isinstance(each, HTTPConnection))
            session = await loaded(get_session(connection))
            if not session.is_fresh(minutes, level=level):
                raise HTTPException(401, REFUSAL, headers)
            result = handler(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return guarded

    return decorate
