"""A dependency of FastAPI that asks for a recent login."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, HTTPException
from fastapi.requests import HTTPConnection

from limpet._core.session import Session
from limpet._scopes import loaded
from limpet.adapters._challenge import HEADER, REFUSAL, challenge
from limpet.adapters.starlette import get_session
from limpet.manager import SessionManager

__all__ = ["fresh_login"]


def fresh_login(minutes: float | None = 5, *, level: str | None = None, manager: SessionManager | None = None) -> Any:
    """Return the dependency that gives the session of somebody who logged in at most so long ago.

    ::

        @app.post("/account/delete")
        async def delete(session: Annotated[Session, fresh_login(minutes=5)]): ...

    Everybody else gets 401, with the challenge that says how old a login may be, and of which level.

    Args:
        minutes: How long a login is fresh. None: however old it is.
        level: The ``acr`` that it has to have, or a higher one; see `limpet.Session.is_fresh`.
        manager: Whose session, where the application has several managers.

    Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3; RFC 9470, section 3, for the challenge.
    """
    headers = {HEADER: challenge(minutes, level)}

    async def session(connection: HTTPConnection) -> Session:
        found = await loaded(get_session(connection, manager))
        if not found.is_fresh(minutes, level=level):
            raise HTTPException(401, REFUSAL, headers)
        return found

    return Depends(session)
