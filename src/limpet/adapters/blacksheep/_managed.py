"""The engine behind BlackSheep's two store methods, for code that calls them itself."""

from __future__ import annotations

from contextlib import suppress

from blacksheep.messages import Request, Response

from limpet._core.caching import mark_response
from limpet._core.inline import Inline
from limpet.adapters.blacksheep._session import Session
from limpet.adapters.blacksheep.sessions.abc import SessionStore
from limpet.errors import StoreUnavailable
from limpet.manager import SessionManager
from limpet.runtime import AsyncioRuntime

__all__ = ["ManagedSessionStore"]


class ManagedSessionStore(SessionStore):
    """A `SessionManager` in the shape of a BlackSheep store. `use_sessions` takes the manager out and uses it directly.

    Args:
        manager: The manager.
    """

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        if isinstance(manager.runtime, Inline):
            manager.runtime = AsyncioRuntime()

    async def load(self, request: Request) -> Session:
        """Return the session of this request. If the store does not answer, using the session raises that."""
        session = self.manager.begin([(name.lower(), value) for name, value in request.headers], Session.of)
        assert isinstance(session, Session)
        with suppress(StoreUnavailable):  # kept, and raised when the handler uses the session
            await self.manager.load(session)
        return session

    async def save(self, request: Request, response: Response, session: Session) -> None:
        """Save what changed, and put the cookie and the caching headers on the response.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self.manager.commit(session, failed=response.status >= 500)
        token = self.manager.header(session)
        before = list(response.headers)
        marked = mark_response(before, self.manager.engine.vary, token, session.accessed)
        for name in {name for name, _ in before}:
            response.headers.remove(name)
        response.headers.add_many(marked)
