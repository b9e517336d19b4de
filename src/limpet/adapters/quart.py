"""Quart.

::

    app = Quart(__name__)
    Limpet(app, manager="sqlite:///sessions.db")

    @app.get("/add/<item>")
    async def add(item: str) -> dict[str, list[str]]:
        session.setdefault("cart", []).append(item)      # quart.session, as before
        return {"cart": session["cart"]}

`quart.session` is the session: what Quart and its extensions ask of one (``permanent``, ``new``, ``modified``), and
`limpet.Session` beside it: ``session.login(...)``, ``session.increment(...)``, ``await session.save()``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from limpet import _flashes as flashes
from limpet import asgi
from limpet._core.session import Session, backend_of, state_of
from limpet._core.state import PENDING, STARTED
from limpet.adapters._answers import AnsweredInside, content_type, extra_headers, refuse
from limpet.adapters._marks import MarkedSession
from limpet.adapters._sockets import HandlerFailed, note_failure, run_socket
from limpet.errors import ANSWERED, ConfigurationError, MissingDependency
from limpet.manager import SessionManager

try:
    from quart import Quart, Response, has_request_context, has_websocket_context, request, websocket
    from quart.globals import request_ctx, websocket_ctx
    from quart.sessions import SessionInterface
    from quart.signals import got_websocket_exception
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.quart", "quart") from _error

if TYPE_CHECKING:
    from limpet.contract import ClientStore, Store

__all__ = ["Limpet", "QuartSession", "SessionMiddleware", "get_session"]


_SERVED = "limpet.quart"  # in the scope of a request that came through the middleware


class QuartSession(MarkedSession):
    """The session of a request, with the attributes that Quart's own has."""

    __slots__ = ()

    @property
    def new(self) -> bool:
        """Whether nothing of it is stored yet."""
        return self.is_new

    @property
    def permanent(self) -> bool:
        """What the application has noted; how long a session lives is the policy's matter."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)

    def pop(self, key: str, /, *default: Any, **named: Any) -> Any:
        """Remove a key and return its value, or the default; messages as Quart reads them.

        Raises:
            KeyError: There is neither.
        """
        value = super().pop(key, *default, **named)
        return flashes.pairs(value) if key == flashes.KEY else value


class SessionMiddleware(AnsweredInside):
    """`limpet.asgi.SessionMiddleware`, with sessions as Quart's users know them."""

    make = QuartSession

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run the application with a session in its scope."""
        scope[_SERVED] = True
        failure: HandlerFailed | None = None
        try:
            await super().__call__(scope, receive, send)
        except HandlerFailed as error:
            failure = error
        if failure is not None and failure.close is not None:
            await send(failure.close)


class _Interface(SessionInterface):
    """Hands out the session that the middleware began; outside of it, as in a test's own context, one of its own."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    async def open_session(self, app: Quart, request: Any) -> Any:
        """Return the session of a request or a WebSocket."""
        for session in request.scope.get("limpet", ()):
            if backend_of(session) is self._manager.engine:
                return session
        if _SERVED in request.scope:
            return None  # the path is excluded: Quart puts a session there that says so when it is used
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()]
        session = self._manager.begin(headers, QuartSession)
        if state_of(session).loaded == PENDING:
            await self._manager.load(session)
        return session

    async def save_session(self, app: Quart, session: Any, response: Any) -> None:
        """Save one of its own; those of the middleware are saved when the response starts."""
        scope: Any = request.scope if has_request_context() else {}
        if response is None or any(each is session for each in scope.get("limpet", ())):
            return
        await self._manager.commit(session, failed=response.status_code >= 500)
        for name, value in self._manager.headers(session):
            response.headers.add(name.decode(), value.decode("latin-1"))
        state_of(session).phase = STARTED


class Limpet:
    """Gives a Quart application its sessions.

    Args:
        app: The application; None: call `init_app` later.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        settings: As for `limpet.asgi.SessionMiddleware`: ``exclude``, ``lazy``, ``passive``, ``sweep_interval``,
            ``close_sockets``.
    """

    def __init__(
        self,
        app: Quart | None = None,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        **settings: Any,
    ) -> None:
        self.manager: SessionManager = manager if isinstance(manager, SessionManager) else SessionManager(manager)
        self._settings: dict[str, Any] = {"exclude": exclude, **settings}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart) -> None:
        """Put the middleware around an application, and its sessions into `quart.session`."""
        inside: Any = app
        inside.asgi_app = SessionMiddleware(_Inside(app.asgi_app), self.manager, **self._settings)
        inside.session_interface = _Interface(self.manager)
        _write_sessions(app.json)
        for kind in ANSWERED:
            app.register_error_handler(kind, _answered)
        got_websocket_exception.connect(_note, app)


class _Inside:
    """Quart, which keeps to itself how the handler of a WebSocket ended."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] == "websocket":
            await run_socket(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _write_sessions(provider: Any) -> None:
    """Let the JSON of an application, ``tojson`` in its templates too, know a session as the dict that it holds."""
    default: Callable[[Any], Any] | None = getattr(provider, "default", None)
    if default is None:
        return  # one of the application's own, which has its own way

    def with_sessions(value: Any) -> Any:
        return dict(value) if isinstance(value, Session) else default(value)

    provider.default = with_sessions


async def _note(_: Quart, exception: Exception) -> None:
    scope: Any = websocket.scope
    note_failure(scope, exception)


async def _answered(error: Exception) -> Response:
    if has_websocket_context():
        raise error  # the middleware closes it
    scope: Any = request.scope
    answer = refuse(scope.get("limpet", ()), error, scope)
    return Response(answer.body, answer.status, extra_headers(answer), content_type=content_type(answer))


def get_session() -> Session:
    """Return the session of this request, with its type.

    Raises:
        ConfigurationError: There is none: this path is excluded, or the application has no `Limpet`.
    """
    here: Any = websocket_ctx if has_websocket_context() else request_ctx
    held = here.session
    if isinstance(held, Session):
        return held
    raise ConfigurationError("this request has no session: call Limpet(app), and take this path out of exclude=...")
