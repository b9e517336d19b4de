"""Reading application cookies, signed and plain."""

from __future__ import annotations

from typing import Any, cast

import nexios.http
from nexios.http.request import HTTPConnection

from limpet._cookies import values
from limpet._core.session import backend_of
from limpet._wire import tokens
from limpet.adapters.nexios._words import Session, UnusableSession
from limpet.asgi import session_in
from limpet.errors import ConfigurationError, SessionError
from limpet.manager import SessionManager
from limpet.sealers.signed import SignedSealer

__all__ = ["InvalidCookie", "Request", "get_session", "manager_of", "read_cookie", "sealer_for"]


class InvalidCookie(SessionError, ValueError):
    """A cookie that was not signed by this application under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the cookie {name!r} was not signed by this application under this name")
        self.name = name


class Request(nexios.http.Request):
    """The framework's request, which also reads signed cookies."""

    @property
    def session(self) -> Session:  # type: ignore[override]  # the framework's says its own class
        """The session of this request."""
        session: Any = super().session
        return cast("Session", session)

    def get_cookie(self, name: str, default: Any = None, *, signed: bool = False) -> Any:
        """Return a cookie's value, or the default when there is none.

        Args:
            name: The cookie's name.
            default: What an absent cookie gives.
            signed: Return what ``set_cookie(..., signed=True)`` was given, checked. For the session's own cookie:
                the id in it, or its whole value where it holds the session itself.

        Raises:
            InvalidCookie: It was not signed by this application under this name.
        """
        return read_cookie(self, name, default, signed=signed)


def read_cookie(request: nexios.http.Request, name: str, default: Any = None, *, signed: bool = False) -> Any:
    """Return a cookie's value as `Request.get_cookie` does, where a request is the framework's own: in a middleware.

    Raises:
        InvalidCookie: It was not signed by this application under this name.
    """
    if not signed:
        return request.cookies.get(name, default)
    if name not in request.cookies:
        return default
    manager = manager_of(request)
    sealer = sealer_for(manager, name)
    for token in values(request.scope["headers"], name.encode()):
        data = sealer.open(token)
        if data is not None:
            return data.decode()
        if name == manager.cookie_name:
            if not manager.engine.is_server_side:
                if manager.engine.client.unseal(token) is not None:
                    return token
            elif (raw := manager.engine.ids.verify(token)) is not None:
                return tokens.encode_id(raw)
    raise InvalidCookie(name)


def get_session(connection: HTTPConnection) -> Session:
    """Return the session of a request or a WebSocket: ``req.session`` with its type.

    Raises:
        ConfigurationError: There is none, or its settings cannot work.
    """
    session: Any = connection.scope.get("session")
    if isinstance(session, UnusableSession):
        session.refuse()
    found = session_in(connection.scope)
    assert isinstance(found, Session)
    return found


def manager_of(connection: HTTPConnection) -> SessionManager:
    """Return the manager of the sessions of a request or a WebSocket.

    Raises:
        ConfigurationError: There is none, or its settings cannot work.
    """
    manager = backend_of(get_session(connection)).owner
    assert isinstance(manager, SessionManager)
    return manager


def sealer_for(manager: SessionManager, name: str) -> SignedSealer:
    """Return what signs the application's cookie of this name: never what signs a session.

    Raises:
        ConfigurationError: There is no secret key.
    """
    if manager.keyring is None:
        raise ConfigurationError("signed cookies need secret_key: make one with `limpet keygen`")
    return SignedSealer(manager.keyring, purpose="cookie", name=name, clock=manager.clock)
