"""aiohttp.web.

::

    app = web.Application()
    setup(app, manager="sqlite:///sessions.db")

    async def add(request: web.Request) -> web.Response:
        session = await get_session(request)
        session.setdefault("cart", []).append(request.match_info["item"])
        return web.json_response(session["cart"])

`get_session` and `new_session` are called as those of aiohttp-session, and the session has its words (``new``,
``identity``, ``created``, ``empty``, ``max_age``, ``changed()``, ``invalidate()``) beside those of `limpet.Session`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from limpet import asgi
from limpet._core.session import Session, backend_of, state_of
from limpet._scopes import loaded
from limpet._serving import as_text, no_session
from limpet.adapters._answers import AnsweredInside, refuse
from limpet.csrf import CSRFMiddleware
from limpet.errors import ANSWERED, MissingDependency
from limpet.manager import SessionManager

try:
    from aiohttp import hdrs, web
    from aiohttp.payload import AsyncIterablePayload

    from limpet.adapters._aiohttp_session import lend
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.aiohttp", "aiohttp") from _error

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

    from limpet.contract import ClientStore, Store

__all__ = ["AiohttpSession", "csrf_middleware", "get_session", "new_session", "setup"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_SPOKEN: Final = (hdrs.VARY, hdrs.CACHE_CONTROL)
_VISIT: Final = "limpet.aiohttp"  # in the scope of a request
MANAGERS: Final = web.AppKey("limpet.managers", tuple[SessionManager, ...])  # for `limpet doctor --app`


def _key(name: str) -> Any:
    """Return a key for a request; a string gives a warning where aiohttp has a class for them."""
    make: Any = getattr(web, "RequestKey", None)
    return name if make is None else make(name, dict)


_SCOPE: Final = _key("limpet.scope")
_VISITS: Final = _key("limpet.visits")


class AiohttpSession(Session):
    """The session of a request, with the words of aiohttp-session's.

    Ids are always random and made by limpet: there is no ``set_new_identity``.
    """

    __slots__ = ()

    @property
    def new(self) -> bool:
        """Whether it begins with this request: nothing is stored, here or by the library that it comes from."""
        legacy = state_of(self).legacy
        return self.is_new and (legacy is None or legacy.imported is None)

    @property
    def identity(self) -> str | None:
        """`Session.public_id`: for lists and revocation, useless as a cookie. None: nothing is stored yet."""
        return self.public_id

    @property
    def created(self) -> int | None:
        """When it began, in seconds since 1970. None: nothing is stored yet."""
        return None if self.created_at is None else int(self.created_at.timestamp())

    @property
    def empty(self) -> bool:
        """Whether it holds no key."""
        return not len(self)

    @property
    def max_age(self) -> int | None:
        """Seconds from its beginning until it ends if nobody uses it; None: never. To set it is `expire_in`."""
        if self.expires_at is None or self.created_at is None:
            return None
        return round((self.expires_at - self.created_at).total_seconds())

    @max_age.setter
    def max_age(self, seconds: int | None) -> None:
        self.expire_in(seconds)

    def changed(self) -> None:
        """Do nothing: what changed is found by comparing, nested changes too."""

    def invalidate(self) -> None:
        """Empty the session and end it: what `clear` does."""
        self.clear()


class _Sessions(AnsweredInside):
    """`limpet.asgi.SessionMiddleware`, around the handler of one request."""

    make = AiohttpSession


class _Visit:
    """One request on its way through the middleware, which knows it as ASGI messages.

    Attributes:
        response: What the handler answered; what is sent in its place, after a refusal; None: it is not known yet.
        raised: The answer that the handler raised.
    """

    def __init__(self, request: web.Request, handler: _Handler) -> None:
        self._request = request
        self._handler = handler
        self._begin: asgi.Message | None = None  # the message that starts the handler's own response
        self._refusal: web.Response | None = None
        self._to_session: asgi.Send = self.send
        self.response: web.StreamResponse | None = None
        self.raised: web.HTTPException | None = None

    async def run(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run the handler, and start the response that it returned or raised, unless it has done so itself."""
        self._request[_SCOPE] = scope
        self._to_session = send
        self.response = None
        try:
            answer: Any = await self._handler(self._request)
        except web.HTTPException as found:  # an answer, not a failure
            self.raised, answer = found, found
        except ANSWERED as refused:
            if scope["type"] != "websocket" or self._begin is not None:
                raise
            await self._refuse_socket(scope, refused)
            return
        except Exception:
            begun: Any = self.response
            if isinstance(begun, web.WebSocketResponse) and begun.closed:
                await receive()  # the client hung up, or was made to
            raise
        if not isinstance(answer, web.StreamResponse):
            self.response = answer  # aiohttp says what is wrong with it
            return
        await self.start(answer)
        if isinstance(answer, web.Response) and isinstance(answer.body, AsyncIterablePayload):
            await answer.prepare(self._request)  # the application makes the body while it is sent
            await answer.write_eof()

    async def start(self, response: web.StreamResponse) -> None:
        """Save the session and add its headers to a response that is about to start; once.

        Raises:
            OSError: An error is sent in place of this response.
        """
        if self._begin is not None:
            if self.response is None:
                self.response = response
            return
        self.response = response
        kind = "http.response.start"
        if self._request[_SCOPE]["type"] == "websocket":
            kind = (
                "websocket.accept" if isinstance(response, web.WebSocketResponse) else "websocket.http.response.start"
            )
        pairs = ((name, value) for name in _SPOKEN for value in response.headers.getall(name, ()))
        headers = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs]
        self._begin = {"type": kind, "status": response.status, "headers": headers}
        await self._to_session(self._begin)
        if self._refusal is not None:
            raise OSError("an error was sent in place of this response, and the rest of it goes nowhere")

    async def send(self, message: asgi.Message) -> None:
        """Take what the session's middleware sends."""
        kind = message["type"]
        if message is self._begin:
            assert self.response is not None
            for name in _SPOKEN:
                self.response.headers.popall(name, None)
            for name, value in message["headers"]:
                self.response.headers.add(name.decode(), value.decode("utf-8", "surrogateescape"))
        elif kind.endswith("response.start"):
            self._refusal = web.Response(status=message["status"], headers=as_text(message["headers"]))
        elif kind == "http.response.body" and self._refusal is not None:
            self._refusal.body = message["body"]
            self._take_place()
        elif kind == "websocket.close":
            await self._close(message)

    async def _close(self, message: asgi.Message) -> None:
        """Close a WebSocket whose session has ended; before its acceptance there is only the refusal by status."""
        socket = self.response
        if isinstance(socket, web.WebSocketResponse) and socket.prepared:
            await socket.close(code=message["code"], message=message["reason"].encode())
            return
        status = 503 if message["code"] == _TRY_AGAIN else 409
        self._refusal = web.Response(status=status, headers={hdrs.CACHE_CONTROL: "no-store"})
        self._take_place()

    def _take_place(self) -> None:
        """Let the refusal be what is sent, in the encoding for which the connection may have been prepared already."""
        refusal, replaced = self._refusal, self.response
        assert refusal is not None
        if replaced is not None and replaced.prepared and replaced.headers.get(hdrs.TRANSFER_ENCODING) == "chunked":
            refusal.headers.popall(hdrs.CONTENT_LENGTH, None)
            refusal.enable_chunked_encoding()
            if hdrs.CONTENT_ENCODING in replaced.headers:
                refusal.headers[hdrs.CONTENT_ENCODING] = replaced.headers[hdrs.CONTENT_ENCODING]
        self.response, self.raised = refusal, None

    async def _refuse_socket(self, scope: asgi.Scope, error: Exception) -> None:
        """Answer a WebSocket that is not accepted because of an error of the session, as another request would be."""
        answer = refuse(scope.get("limpet", ()), error, scope)
        await self.start(web.Response(status=answer.status, headers=as_text(answer.headers), body=answer.body))


_TRY_AGAIN: Final = 1013  # RFC 6455's registry of close codes: "try again later"


async def _run(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    visit: _Visit = scope[_VISIT]
    await visit.run(scope, receive, send)


async def _hung_up() -> asgi.Message:
    return {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def setup(
    app: web.Application,
    manager: SessionManager | Store | ClientStore | str | None = None,
    *,
    exclude: Iterable[str | re.Pattern[str]] = (),
    **settings: Any,
) -> SessionManager:
    """Give an application its sessions, around the middlewares that it has already, and return their manager.

    Args:
        app: The application, or a sub-application.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Paths without sessions, as for `limpet.asgi.SessionMiddleware`.
        settings: Others of its settings: ``lazy``, ``passive``, ``sweep_interval``, ``close_sockets``.

    Raises:
        ConfigurationError: A setting cannot work.
    """
    sessions = _Sessions(_run, manager, exclude=exclude, **settings)

    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        visit = _Visit(request, handler)
        lend(request, get_session, sessions.manager, AiohttpSession)
        request[_VISITS] = {**request.get(_VISITS, {}), sessions: visit}
        scope = {**(request.get(_SCOPE) or _scope_of(request)), _VISIT: visit}
        try:
            await sessions(scope, _hung_up, visit.send)
        finally:
            request[_VISITS] = {other: each for other, each in request[_VISITS].items() if other is not sessions}
        if visit.raised is not None:
            raise visit.raised
        return cast("web.StreamResponse", visit.response)

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        visit: _Visit | None = request.get(_VISITS, {}).get(sessions)
        if visit is not None:
            await visit.start(response)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        await sessions.startup()
        yield
        await sessions.shutdown()

    app[MANAGERS] = (*app.get(MANAGERS, ()), sessions.manager)
    app.middlewares.insert(0, middleware)
    app.on_response_prepare.append(prepare)
    app.cleanup_ctx.append(lifespan)
    return sessions.manager


def csrf_middleware(
    manager: SessionManager | None = None,
    *,
    header: str = "X-CSRF-Token",
    field: str = "csrf_token",
    **settings: Any,
) -> Middleware:
    """Return the middleware that refuses, with 403, what the visitor did not mean: `limpet.csrf` for aiohttp.

    ::

        setup(app, manager="sqlite:///sessions.db")
        app.middlewares.append(csrf_middleware())

    A token for a form is ``limpet.csrf.csrf_token(await get_session(request))``. A form is read as a whole in search
    of the field (``request.post()``, which gives the handler the same); whoever reads ``request.multipart()`` sends
    the token in the header.

    Args:
        manager: Whose session, where the application has several managers.
        header: The request header of the token.
        field: The form field of the token.
        settings: As for `limpet.csrf.CSRFMiddleware`: ``exempt``, ``trusted_origins``, ``on_refused``.

    Raises:
        ConfigurationError: As for `limpet.csrf.CSRFMiddleware`.
    """

    async def pass_on(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "limpet.passed"})

    guard = CSRFMiddleware(pass_on, manager=manager, header=header, field=field, **settings)
    name = header.lower().encode()

    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        scope = request.get(_SCOPE) or _scope_of(request)
        if request.method not in ("GET", "HEAD") and request.content_type in _FORMS and header not in request.headers:
            token = (await request.post()).get(field)
            if isinstance(token, str):
                scope = {**scope, "headers": [*scope["headers"], (name, token.encode("latin-1", "replace"))]}
        sent: list[asgi.Message] = []

        async def send(message: asgi.Message) -> None:
            sent.append(message)

        await guard(scope, _hung_up, send)
        start = sent[0]
        if start["type"] == "limpet.passed":
            return await handler(request)
        if start["type"] == "websocket.close":
            return web.Response(status=403)
        headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in start["headers"]]
        return web.Response(status=start["status"], headers=headers, body=sent[1]["body"])

    return middleware


async def get_session(request: web.Request, manager: SessionManager | None = None) -> AiohttpSession:
    """Return the session of a request, read from the store.

    Args:
        request: The request.
        manager: Whose session, where the application has several managers.

    Raises:
        ConfigurationError: There is none: this path is excluded, or `setup` was not called.
        StoreUnavailable: The store does not answer.
    """
    sessions: list[Any] = request.get(_SCOPE, {}).get("limpet", [])
    for session in reversed(sessions):
        if manager is None or backend_of(session) is manager.engine:
            found: AiohttpSession = session
            return await loaded(found)
    raise no_session("call setup(app), and take this path out of exclude=...", sessions)


async def new_session(request: web.Request, manager: SessionManager | None = None) -> AiohttpSession:
    """Return the session of a request after ending what was there: empty, and with a new id once it is written to.

    Args:
        request: The request.
        manager: Whose session, where the application has several managers.

    Raises:
        ConfigurationError: There is none: this path is excluded, or `setup` was not called.
        StoreUnavailable: The store does not answer.
    """
    session = await get_session(request, manager)
    session.clear()
    return session


def _scope_of(request: web.Request) -> dict[str, Any]:
    """Return what a server that speaks ASGI would say of a request."""
    headers = request.headers
    is_socket = request.method == "GET" and headers.get(hdrs.UPGRADE, "").lower() == "websocket"
    return {
        "type": "websocket" if is_socket else "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "root_path": "",
        "query_string": request.rel_url.raw_query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None if request.remote is None else (request.remote, 0),
        "server": None,
    }
