"""Litestar's names for a session backend, over a `SessionManager`: for ``SessionAuth`` and Litestar's test client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from litestar.middleware import DefineMiddleware
from litestar.middleware.session.base import BaseBackendConfig, BaseSessionBackend, SessionMiddleware

from limpet.adapters.litestar._data import replace

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.types import Message

    from limpet._core.session import Session
    from limpet.asgi import ASGIApp
    from limpet.manager import SessionManager

__all__ = ["Around", "SessionBackend", "SessionConfig"]


class SessionBackend(BaseSessionBackend["SessionConfig"]):
    """Reads and writes the session of a connection outside of a request, as Litestar's test client does."""

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """Return None: the id is for the browser alone. See `Session.public_id`."""
        return None

    async def load_from_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> dict[str, Any]:
        """Return what is in the session whose cookie the connection brings."""
        return dict(await self._session(connection))

    async def store_in_message(
        self, scope_session: Any, message: Message, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> None:
        """Replace what is in the session, or end it (``Empty``), and add the header that the browser needs."""
        session, manager = await self._session(connection), self.config.manager
        await replace(session, scope_session)
        await manager.commit(session)
        header = manager.header(session)
        if header is not None:
            headers: Any = cast("dict[str, Any]", message).setdefault("headers", [])
            headers.append(header)

    async def _session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
        # The test client's connection has cookies and no headers.
        name, cookies, headers = self.config.key, connection.cookies, list(connection.scope["headers"])
        if not headers and name in cookies:
            headers = [(b"cookie", f"{name}={cookies[name]}".encode("latin-1"))]
        return await self.config.manager.begin(headers).load()


class SessionConfig(BaseBackendConfig[SessionBackend]):
    """What Litestar reads of the configuration of a session backend.

    Attributes:
        manager: Whose sessions.
    """

    _backend_class = SessionBackend

    def __init__(self, manager: SessionManager, around: Callable[[ASGIApp], ASGIApp], exclude_opt_key: str) -> None:
        self.manager = manager
        self._around = around
        self.key: str = manager.cookie_name
        self.exclude: str | list[str] | None = None
        self.exclude_opt_key = exclude_opt_key
        cookie = manager.cookie
        self.path: str = cookie.path
        self.domain: str | None = cookie.domain
        self.samesite: Literal["lax", "strict", "none"] = cookie.same_site
        self.secure: bool = cookie.secure
        self.httponly: bool = cookie.http_only

    @property
    def middleware(self) -> DefineMiddleware:
        """The middleware of the plugin."""
        return DefineMiddleware(Around, backend=self._backend_class(config=self))


class Around(SessionMiddleware[SessionBackend]):
    """What the middleware of the plugin is to Litestar and its plugins, which look for a class of this kind.

    There are no objects of it: what it makes is the route with sessions around it.
    """

    def __new__(
        cls, app: Any, backend: SessionBackend | None = None, around: Callable[[ASGIApp], ASGIApp] | None = None
    ) -> Any:
        """Return a route with sessions around it."""
        if around is None:
            assert backend is not None
            around = backend.config._around
        return around(app)
