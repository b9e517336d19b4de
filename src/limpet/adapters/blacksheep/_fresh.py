"""A decorator of BlackSheep's request handlers that asks for a recent login."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from blacksheep.contents import TextContent
from blacksheep.messages import Request, Response

from limpet._scopes import loaded
from limpet.adapters._challenge import HEADER, REFUSAL, challenge
from limpet.adapters.blacksheep._application import get_session
from limpet.errors import ConfigurationError

__all__ = ["fresh_login"]

_REQUEST: Final = "fresh_login_request"  # the parameter that a handler without a request is given


def fresh_login(
    minutes: float | None = 5, *, level: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a handler be called for who logged in at most so long ago; written below the route, as ``@auth()`` is.

    ::

        @post("/account/delete")
        @fresh_login(minutes=5)
        async def delete(request: Request) -> Response: ...

    Everybody else gets 401, with the challenge that says how old a login may be, and of which level. The
    handler takes what it likes, a request or not, and may be a method of a controller.

    Args:
        minutes: How long a login is fresh. None: however old it is.
        level: The ``acr`` that it has to have, or a higher one; see `limpet.Session.is_fresh`.

    Raises:
        ConfigurationError: It decorates a handler that streams (an asynchronous generator).

    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; RFC 9470, section 3, for the challenge.
    """
    value = challenge(minutes, level).encode()

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(handler):
            raise ConfigurationError(
                f"fresh_login cannot decorate {handler.__qualname__}, which yields: ask session.is_fresh() in it"
            )
        signature = inspect.signature(handler)
        request = inspect.Parameter(_REQUEST, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Request)

        @wraps(handler)
        async def guarded(*args: Any) -> Any:
            session = await loaded(get_session(args[-1]))
            if not session.is_fresh(minutes, level=level):
                return Response(401, [(HEADER.encode(), value)], TextContent(REFUSAL))
            result = handler(*args[:-1])
            return await result if inspect.isawaitable(result) else result

        # BlackSheep reads the signature to know what to pass, and the annotations to know how.
        guarded.__dict__["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), request])
        guarded.__annotations__ = {**handler.__annotations__, _REQUEST: Request}
        return guarded

    return decorate
