"""Test clients that can seed and read the session of an application.

::

    c = client(app)
    with c.session() as session:
        session.login("ann")
    assert c.get("/me").json() == {"name": "ann"}

What is written so goes through the application's own manager into its own store, and the client holds the cookie.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

from starlette.testclient import TestClient, WebSocketTestSession

from limpet._core.session import Session, state_of
from limpet._core.state import CLOSED
from limpet._serving import warn_about_http
from limpet.asgi import PROBE, ASGIApp, Message, Receive, Scope, Send
from limpet.errors import ConfigurationError
from limpet.manager import SessionManager
from limpet.testing._asgi import Lifespan, WebSocket, WebSocketClosed

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    try:
        import httpx2 as httpx
    except ModuleNotFoundError:  # Starlette before 1.3 brings its test client over httpx
        import httpx

__all__ = ["AsyncSessionClient", "SessionClient", "WebSocketClosed", "async_client", "client"]

BASE_URL = "https://testserver"
"""Not http: a client drops a Secure cookie there."""

_Client: TypeAlias = "httpx.Client | httpx.AsyncClient"


def client(app: ASGIApp, manager: SessionManager | None = None, **options: Any) -> SessionClient:
    """Return a test client for an ASGI application.

    Args:
        app: The application.
        manager: Whose sessions `SessionClient.session` opens. None: that of the application's own middleware.
        options: As for ``starlette.testclient.TestClient``; ``base_url`` is ``https://testserver``.
    """
    return SessionClient(app, manager, **options)


def async_client(app: ASGIApp, manager: SessionManager | None = None, **options: Any) -> AsyncSessionClient:
    """Return a test client for coroutines, over the running event loop.

    Args:
        app: The application.
        manager: Whose sessions `AsyncSessionClient.session` opens. None: that of the application's own middleware.
        options: As for ``httpx2.AsyncClient``, and ``raise_server_exceptions``.
    """
    return AsyncSessionClient(app, manager, **options)


class SessionClient(TestClient):
    """Starlette's test client, for any ASGI application, which also opens the session; see `client`."""

    __test__ = False

    def __init__(
        self, app: ASGIApp, manager: SessionManager | None = None, *, base_url: str = BASE_URL, **options: Any
    ) -> None:
        super().__init__(app, base_url, **options)
        self._manager = manager

    @contextmanager
    def session(self, manager: SessionManager | None = None) -> Iterator[Session]:
        """Open the session that this client's next request would have; on leaving, save it and keep the cookie.

        Nothing is saved when the block raises, and nothing is written when it only looks.

        Args:
            manager: Whose session, where the application has several managers.

        Raises:
            ConfigurationError: The application does not tell its manager, or has several.
        """
        with self._portal_factory() as portal:
            manager = manager or self._manager or portal.call(_manager_of, self.app)
            request = _request(self, manager)
            session = manager.begin(_raw(request))
            portal.call(manager.load, session)
            yield session
            portal.call(_save, manager, session)
            _keep(self, manager, session, request)

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> WebSocketTestSession:
        """Return a WebSocket, for ``with``; over TLS as the requests are, and with this client's cookies."""
        session = super().websocket_connect(_socket_url(self, url), subprotocols, **options)
        return _KeepingSocket(self, session)


class _KeepingSocket(WebSocketTestSession):
    """Keeps the cookies that came with the acceptance, as a browser does."""

    def __init__(self, owner: SessionClient, session: WebSocketTestSession) -> None:
        super().__init__(session.app, session.scope, session.portal_factory)
        self._owner = owner

    def __enter__(self) -> Self:
        entered = super().__enter__()
        headers: Any = self.extra_headers
        _keep_cookies(self._owner, headers or (), self._owner.build_request("GET", "/"))
        return entered


class AsyncSessionClient(httpx.AsyncClient):
    """An asynchronous client for an ASGI application, which also opens the session; see `async_client`.

    ``async with`` starts the application up and shuts it down. Without, stores open on first use.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        manager: SessionManager | None = None,
        *,
        base_url: str = BASE_URL,
        raise_server_exceptions: bool = True,
        **options: Any,
    ) -> None:
        self.app = app
        self._manager = manager
        self._stack = AsyncExitStack()
        self.lifespan_state: dict[str, Any] | None = None
        transport = httpx.ASGITransport(self._with_state, raise_app_exceptions=raise_server_exceptions)
        super().__init__(transport=transport, base_url=base_url, **options)

    async def _with_state(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.lifespan_state is not None:
            scope["state"] = self.lifespan_state.copy()
        await self.app(scope, receive, send)

    async def __aenter__(self) -> Self:
        self.lifespan_state = (await self._stack.enter_async_context(Lifespan(self.app))).state
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await super().__aexit__(exc_type, exc_value, traceback)
        await self._stack.aclose()

    @asynccontextmanager
    async def session(self, manager: SessionManager | None = None) -> AsyncIterator[Session]:
        """Open the session that this client's next request would have; on leaving, save it and keep the cookie.

        Nothing is saved when the block raises, and nothing is written when it only looks.

        Args:
            manager: Whose session, where the application has several managers.

        Raises:
            ConfigurationError: The application does not tell its manager, or has several.
        """
        manager = manager or self._manager or await _manager_of(self.app)
        request = _request(self, manager)
        session = manager.begin(_raw(request))
        await manager.load(session)
        yield session
        await _save(manager, session)
        _keep(self, manager, session, request)

    @asynccontextmanager
    async def websocket_connect(self, url: str, headers: dict[str, str] | None = None) -> AsyncIterator[WebSocket]:
        """Open a WebSocket with this client's cookies.

        Raises:
            WebSocketClosed: The application does not accept it.
        """
        request = self.build_request("GET", _socket_url(self, url), headers=headers)
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": _raw(request),
            "client": ("testclient", 50000),
            "server": (request.url.host, request.url.port),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        async with WebSocket(self._with_state, scope) as socket:
            _keep_cookies(self, socket.headers, request)
            yield socket


async def _manager_of(app: ASGIApp) -> SessionManager:
    """Ask an application for its manager, by a scope that only `SessionMiddleware` answers."""
    scope: dict[str, Any] = {"type": PROBE, "managers": [], "path": "/", "headers": []}
    refusal: Exception | None = None
    try:
        await app(scope, _receive, _send)
    except Exception as error:  # noqa: BLE001 - what is behind the middleware does not know the scope and may say so
        refusal = error
    managers = list({id(manager): manager for manager in scope["managers"]}.values())
    if not managers:
        raise ConfigurationError(
            "no session middleware answers for this application: give the manager, as in client(app, manager=sessions)"
        ) from refusal
    if len(managers) > 1:
        raise ConfigurationError(
            f"this application has {len(managers)} session managers: say which, as in session(manager={managers[0]!r})"
        )
    found: SessionManager = managers[0]
    return found


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    """Drop it: an answer to a scope that does not exist is of no use."""


async def _save(manager: SessionManager, session: Session) -> None:
    if session.modified:
        await manager.commit(session)
    state_of(session).phase = CLOSED


def _request(client: _Client, manager: SessionManager) -> httpx.Request:
    return client.build_request("GET", manager.cookie.path)


def _raw(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in request.headers.raw]


def _keep(client: _Client, manager: SessionManager, session: Session, request: httpx.Request) -> None:
    """Keep the token as the client of a real response would."""
    header = manager.header(session)
    if header is None:
        return
    name, value = header
    if name == b"set-cookie":
        if manager.cookie.secure and request.url.scheme == "http":
            warn_about_http(manager.cookie_name)
        _keep_cookies(client, [header], request)
    elif value:
        client.headers[name.decode()] = value.decode()
    else:
        client.headers.pop(name.decode(), None)


def _keep_cookies(client: _Client, headers: Sequence[tuple[bytes, bytes]], request: httpx.Request) -> None:
    client.cookies.extract_cookies(httpx.Response(101, headers=list(headers), request=request))


def _socket_url(client: _Client, url: str) -> str:
    """Return the absolute URL of a WebSocket: TLS where the client has it, since Secure cookies go nowhere else."""
    if urlsplit(url).scheme:
        return url
    base = client.base_url
    return str(base.copy_with(scheme="wss" if base.scheme == "https" else "ws").join(url))
