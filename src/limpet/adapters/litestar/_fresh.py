"""A guard of Litestar that asks for a recent login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from litestar.exceptions import NotAuthorizedException

from limpet._scopes import loaded
from limpet.adapters._challenge import HEADER, REFUSAL, challenge
from limpet.adapters.litestar._held import get_session

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from limpet.manager import SessionManager

__all__ = ["fresh_login"]

Guard: TypeAlias = "Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]"


def fresh_login(minutes: float | None = 5, *, level: str | None = None, manager: SessionManager | None = None) -> Guard:
    """Return the guard that lets in who logged in at most so long ago.

    ::

        @post("/account/delete", guards=[fresh_login(minutes=5)])
        async def delete(session: SessionDep) -> None: ...

    Everybody else gets 401 (`NotAuthorizedException`), with the challenge that says how old a login may be, and of
    which level. As any guard, it may stand on a controller, a router or the application.

    Args:
        minutes: How long a login is fresh. None: however old it is.
        level: The ``acr`` that it has to have, or a higher one; see `limpet.Session.is_fresh`.
        manager: Whose session, where the application has several managers.

    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; RFC 9470, section 3, for the challenge.
    """
    headers = {HEADER: challenge(minutes, level)}

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        session = await loaded(get_session(connection, manager))
        if not session.is_fresh(minutes, level=level):
            raise NotAuthorizedException(REFUSAL, headers=headers)

    return guard
