"""The engine behind BlackSheep's two store methods, for code that calls them itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from blacksheep.messages import Request, Response
from blacksheep.server.websocket import WebSocket
from blacksheep.sessions import SessionMiddleware as BlackSheepMiddleware
from blacksheep.sessions.abc import SessionStore as BlackSheepStore

from limpet._caching import mark_response
from limpet._inline import Inline
from limpet.adapters.blacksheep._abc import SessionStore
from limpet.adapters.blacksheep._session import Session
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.manager import SessionManager
from limpet.runtime import AsyncioRuntime

__all__ = ["ManagedSessionStore", "SessionMiddleware"]


class ManagedSessionStore(SessionStore):
    """A `SessionManager` in the shape of a BlackSheep store. `use_sessions` takes the manager out and uses it directly.

    Args:
        manager: The manager.

    Attributes:
        manager: The same.
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
        before, engine = list(response.headers), self.manager.engine
        marked = mark_response(before, engine.vary, token, session.accessed, engine.no_store)
        for name in {name for name, _ in before}:
            response.headers.remove(name)
        response.headers.add_many(marked)


class SessionMiddleware(BlackSheepMiddleware):
    """Sessions by a middleware, for ``app.middlewares``. `Application.use_sessions` does more and is the way to begin.

    BlackSheep runs its middlewares around routes: pages that no route answers and handlers that raise save nothing.

    Args:
        store: Where sessions are kept: a `SessionStore` such as `CookieSessionStore`, or one of the application's own.

    Raises:
        ConfigurationError: It is no such object; a key or a URL belongs in ``app.use_sessions(...)``.
    """

    def __init__(self, store: BlackSheepStore | SessionStore) -> None:
        if not isinstance(store, BlackSheepStore):
            raise ConfigurationError(
                f"SessionMiddleware takes a SessionStore object, not {type(store).__name__}: with a key, a store's URL "
                "or a SessionManager call app.use_sessions(...) instead"
            )
        super().__init__(store)
        given: Any = store  # to type checkers BlackSheep's stores and ours have nothing in common
        self._managed: Any = given if isinstance(given, ManagedSessionStore) else None

    async def __call__(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Load the session, run the rest, and save."""
        if self._managed is None or isinstance(request, WebSocket):
            return await super().__call__(request, handler)
        session = request.session = await self._managed.load(request)
        response = await handler(request)
        await self._managed.save(request, response, session)  # a session that was only read may be due for a touch
        return response
