"""Protection against requests that another site makes a visitor's browser send.

::

    app.add_middleware(CSRFMiddleware)                 # inside: added before SessionMiddleware
    app.add_middleware(SessionMiddleware, manager="sqlite:///sessions.db")

    <input type="hidden" name="csrf_token" value="{{ csrf_token(request) }}">

A request that may change something has to come from the application's own pages, as its ``Sec-Fetch-Site`` or
``Origin`` says, and to carry the token of its own session, in a header or in a form field.

Sources: OWASP Cross-Site Request Forgery Prevention Cheat Sheet; RFC 6454 (Origin); W3C Fetch Metadata.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from limpet import _form_tokens as form_tokens
from limpet._bounded_log import BoundedLog
from limpet._checks import whole
from limpet._core.session import Session, backend_of, state_of
from limpet._scopes import loaded
from limpet._serving import path_patterns
from limpet._wire import tokens
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send, route_path, session_in
from limpet.errors import Answer, ConfigurationError, MissingDependency
from limpet.policy import TOKEN
from limpet.refusals import OnRefused, Refusal, answer_with

if TYPE_CHECKING:
    from limpet.manager import SessionManager

__all__ = ["CSRFMiddleware", "csrf_token"]


_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
_FORMS: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class _Problem(NamedTuple):
    reason: str
    text: str


_FOREIGN: Final = _Problem("other-site", "it was sent by another site")
_UNKNOWN: Final = _Problem(
    "no-session", "this session has no form token: it has ended, or never began. Load the page again"
)
_MISSING: Final = "it carries no token: send it in the header {header} or in the form field {field}"
_WRONG: Final = _Problem(
    "token-wrong", "its token is not of this session, which may have begun after the page was loaded. Load it again"
)


class _Connection(Protocol):
    @property
    def scope(self) -> Any: ...


def csrf_token(
    connection: Session | Mapping[str, Any] | _Connection,
    manager: SessionManager | None = None,
    *,
    scope_key: str = "session",
) -> str:
    """Return a token for a form of this visitor: another text at each call, good as long as the session keeps its id.

    This is what creates a session for a visitor who has none, so ask for a token only where there is a form. After
    ``login()`` or ``regenerate()`` ask anew.

    Args:
        connection: A session, an ASGI scope, or the request of a framework (anything with a ``scope``).
        manager: Whose session, where the application has several managers.
        scope_key: The session middleware's ``scope_key``, when no manager is given.

    Raises:
        ConfigurationError: There is no session on this path.
        SessionClosed: The response has started, and there is no secret for a token yet.
    """
    if isinstance(connection, Session):
        return _mask(form_tokens.issue(backend_of(connection), connection))
    scope = connection if isinstance(connection, Mapping) else connection.scope
    session = _session(scope, manager, scope_key)
    return _mask(form_tokens.issue(backend_of(session), session))


class CSRFMiddleware:
    """Refuses requests that change something and that the visitor did not mean, with 403.

    GET, HEAD, OPTIONS and TRACE pass and create no session. Of WebSockets the origin is checked. Sessions that travel
    in a header of their own pass too: no browser sends them by itself.

    Args:
        app: The application; the session middleware is around this one.
        manager: Whose session, where the application has several managers.
        exempt: Paths that are not checked, such as a webhook that brings a signature: ``"/hooks"`` is that path and
            all below it; or compiled patterns.
        trusted_origins: Other origins whose pages may send requests, such as ``https://admin.example.com``. They
            need a token all the same. Also the application's own, where a proxy changes the Host header.
        header: The request header of the token.
        field: The form field of the token.
        max_form: Bytes of a form that are read in search of the field; put it first.
        scope_key: The session middleware's ``scope_key``, when no manager is given.
        on_refused: Makes the page for what is refused, see `limpet.refusals`. None: as the manager's ``on_refused``.

    Raises:
        ConfigurationError: An origin is no origin, or the header's name no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        manager: SessionManager | None = None,
        exempt: Iterable[str | re.Pattern[str]] = (),
        trusted_origins: Iterable[str] = (),
        header: str = "X-CSRF-Token",
        field: str = "csrf_token",
        max_form: int = 1 << 20,
        scope_key: str = "session",
        on_refused: OnRefused | None = None,
    ) -> None:
        self.app = app
        self._log = BoundedLog()
        self._on_refused = on_refused
        self._manager = manager
        self._scope_key = scope_key
        self._exempt = path_patterns(exempt, "exempt")
        self._trusted = _origins(trusted_origins)
        if not TOKEN.fullmatch(header):
            raise ConfigurationError(f"header={header!r} is no header name: use letters, digits and `-`")
        self._header = header.lower().encode()
        self._field = field.encode()
        whole("max_form", max_form, "bytes", least=0)
        self._max_form = max_form
        self._missing = _Problem("token-missing", _MISSING.format(header=header, field=field))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application, or answer in its place. Of any type, so that it is middleware for every framework."""
        kind = scope["type"]
        checked = kind == "websocket" or (kind == "http" and scope["method"] not in _SAFE)
        if not checked or any(pattern.match(route_path(scope)) for pattern in self._exempt):
            await self.app(scope, receive, send)
            return
        session = _session(scope, self._manager, self._scope_key)
        if _came_by_header(session):
            await self.app(scope, receive, send)
            return
        problem: _Problem | None
        if self._is_foreign(scope):
            problem = _FOREIGN
        elif kind == "websocket":
            problem = None
        else:
            problem, receive = await self._check(scope, receive, session)
        if problem is None:
            await self.app(scope, receive, send)
        else:
            asked = scope.get("method", "WebSocket"), scope["path"]
            self._log.warning("CSRF", "CSRF: %s %r was refused: %s", *asked, problem.text)
            if kind == "websocket":  # before the acceptance: a server says 403
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            else:
                await self._refuse(problem, session, scope, send)

    async def _refuse(self, problem: _Problem, session: Session, scope: Scope, send: Send) -> None:
        text = f"This request was refused: {problem.text}."
        body = f"{text}\n".encode()
        headers = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        )
        make = self._on_refused or getattr(backend_of(session).owner, "on_refused", None)
        refusal = Refusal(status=403, reason=problem.reason, text=text, scope=scope)
        answer = answer_with(make, refusal, Answer(403, headers, body, 1008))
        await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    def _is_foreign(self, scope: Scope) -> bool:
        """Tell whether a browser says that another site's page sent this. Programs that are no browsers say nothing."""
        origin = _one(scope, b"origin")
        if origin is not None and origin.lower() in self._trusted:
            return False
        site = _one(scope, b"sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        if origin is None:
            return False
        there = _origin(origin)
        if there is None:  # "null": a page that hides where it comes from
            return True
        # Behind a proxy the scheme is often that of the way to here: only https is known to be what the browser used.
        if scope.get("scheme") in ("https", "wss") and there[0] != "https":
            return True
        host = _origin(f"{there[0]}://{_one(scope, b'host') or ''}")
        return host is None or host[1:] != there[1:]

    async def _check(self, scope: Scope, receive: Receive, session: Session) -> tuple[_Problem | None, Receive]:
        """Return what is wrong with the token, if anything, and a ``receive`` that has the body for the application."""
        await loaded(session)
        secrets = form_tokens.accepted(session)
        if not secrets:
            return _UNKNOWN, receive
        token = _one(scope, self._header)
        content_type = _one(scope, b"content-type") or ""
        if token is None and content_type.partition(";")[0].strip().lower().encode() in _FORMS:
            body = _Body(receive)
            token = await body.find(self._field, content_type, self._max_form)
            receive = body.receive
        if token is None:
            return self._missing, receive
        secret = _unmask(token)
        matches = [compare_digest(secret, good) for good in secrets]  # all of them: the time tells nothing
        return (None if any(matches) else _WRONG), receive


class _Body:
    """A request body that is read up to a form field, and that the application then gets from its beginning."""

    def __init__(self, receive: Receive) -> None:
        self._source = receive
        self._read: deque[Message] = deque()

    async def receive(self) -> Message:
        return self._read.popleft() if self._read else await self._source()

    async def find(self, name: bytes, content_type: str, limit: int) -> str | None:
        """Return the first value of a field, or None if it is not within so many bytes."""
        try:
            from python_multipart.exceptions import FormParserError
            from python_multipart.multipart import Field, FormParser, parse_options_header
        except ModuleNotFoundError:
            raise MissingDependency("a CSRF token in a form field", "csrf") from None
        values: list[bytes] = []

        kind, parameters = parse_options_header(content_type)

        def on_field(field: Field) -> None:
            given = field.field_name or b""
            if kind != b"multipart/form-data":  # there the names come as they are
                given = unquote_to_bytes(given.replace(b"+", b" "))
            if given == name:
                values.append(field.value or b"")

        try:
            parser = FormParser(
                kind.decode("latin-1"),
                on_field,
                None,
                boundary=parameters.get(b"boundary"),
                config={"MAX_MEMORY_FILE_SIZE": 2 * limit},  # what is read here never goes to a disk
            )
            more = True
            while more and not values and limit > 0:
                message = await self._source()
                self._read.append(message)
                more = message["type"] == "http.request" and message.get("more_body", False)
                chunk = message.get("body", b"")
                parser.write(chunk[:limit])
                limit -= len(chunk)
            if not more and not values:
                parser.finalize()
        except FormParserError:
            return None  # no form, so no token in it
        return values[0].decode("latin-1") if values else None


def _came_by_header(session: Session) -> bool:
    """Tell whether the session travels in a header, which no other site can make a browser send.

    The session of another library, which an importer would take over, came in a cookie.
    """
    if backend_of(session).transport.vary.lower() == b"cookie":
        return False
    state = state_of(session)
    return state.legacy is None or bool(state.ids)


def _session(scope: Mapping[str, Any], manager: SessionManager | None, scope_key: str) -> Session:
    if manager is None and not isinstance(scope.get(scope_key), Session):
        held = scope.get("limpet", ())
        if len(held) == 1:  # a framework has put something else in its place, as Litestar's set_session does
            session: Session = held[0]
            return session
        if not held:
            raise ConfigurationError(
                f"there is no session on {scope.get('path')!r}: SessionMiddleware belongs around CSRFMiddleware (with "
                "add_middleware, add it last), and a path that it excludes belongs into exempt=... as well"
            )
    return session_in(dict(scope), manager, scope_key)


def _mask(secret: bytes) -> str:
    """Return the secret under a random pad, so that no two responses show the same bytes.

    Source: Gluck, Harris, Prado: "BREACH: Reviving the CRIME Attack", section 3.4.
    """
    pad = os.urandom(len(secret))
    return tokens.b64encode(pad + bytes(a ^ b for a, b in zip(pad, secret, strict=True)))


def _unmask(token: str) -> bytes:
    """Return the secret under a token; nothing, for what is no token."""
    data = tokens.b64decode(token) or b""
    if len(data) != 2 * form_tokens.SECRET_BYTES:
        return b""
    half = form_tokens.SECRET_BYTES
    return bytes(a ^ b for a, b in zip(data[:half], data[half:], strict=True))


def _one(scope: Scope, name: bytes) -> str | None:
    """Return the first value of a request header."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a serialized origin (RFC 6454, section 6.2), or None for what is none."""
    text = text.lower()
    if not _ORIGIN.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return None if not host else (parts.scheme, host, port or _DEFAULT_PORTS.get(parts.scheme))


def _origins(given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise ConfigurationError(f"trusted_origins={given!r} is one string: write trusted_origins=({given!r},)")
    for origin in (origins := list(given)):
        if _origin(origin) is None:
            raise ConfigurationError(
                f"trusted_origins has {origin!r}: an origin is scheme and host, such as https://admin.example.com, "
                "without a path"
            )
    return frozenset(origin.lower() for origin in origins)
