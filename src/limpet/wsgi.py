"""`SessionMiddleware` for any WSGI application, on threads, greenlets or processes.

A request: find the token, run the application, read the session at its first use, save it at ``start_response``, at the
end of the body and at ``close()`` (PEP 3333).

WSGI has no WebSockets. `CSRFMiddleware` is for ASGI; a WSGI framework has a guard of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, TypeAlias

from limpet._blocking import drive
from limpet._core.session import backend_of, state_of
from limpet._core.state import ACCESSED, CLOSED, PASSIVE, PENDING
from limpet._doors import BlockingSession, Pairs
from limpet._environ import Environ, headers_of, is_cross_site, mount_of, path_of, visit_of
from limpet._serving import (
    SAFE,
    SAME_PATHS,
    TEST_HOSTS,
    TWICE,
    as_text,
    path_patterns,
    share_a_cookie,
    share_device_paths,
    spare_device_paths,
    warn_about_http,
)
from limpet._sweeper import Sweeper
from limpet.contract import ClientStore, Store
from limpet.errors import Answer, ConfigurationError, LimpetError, StoreUnavailable, answer_to
from limpet.events import CLIENT
from limpet.manager import SessionManager
from limpet.refusals import answer_error

__all__ = ["BlockingSession", "SessionMiddleware", "headers_of", "session_in"]

StartResponse: TypeAlias = Callable[..., Any]
WSGIApp: TypeAlias = Callable[[Any, Any], Iterable[bytes]]

log: logging.Logger = logging.getLogger("limpet")

_PURPOSES = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_MOZ", "HTTP_X_PURPOSE")  # by which a browser says "prefetch"

_ALL = "limpet.sessions"  # where in an environ the sessions of all managers are


class SessionMiddleware:
    """Gives every request its session, in ``environ["limpet.session"]``.

    Args:
        app: The application.
        manager: A `SessionManager`, or what one is made of: a store or its URL. None: from the environment.
        exclude: Paths without sessions: ``"/health"`` is that path and all below it; or compiled patterns that
            match from the start of the path.
        lazy: Read the session at its first use; requests that do not use it then cost nothing. False: read it before
            the application runs.
        passive: Paths whose requests do not count as activity, such as one that a page polls; written as ``exclude``.
        environ_key: The name in the environ, for several managers in one application.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it: on a thread of its own,
            after a request. None: never.
    """

    make: Callable[[Any], BlockingSession] = BlockingSession
    """What makes the session of a request; an adapter may give it a class of its own."""

    def __init__(
        self,
        app: WSGIApp,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = True,
        passive: Iterable[str | re.Pattern[str]] = (),
        environ_key: str = "limpet.session",
        sweep_interval: float | None = 60.0,
    ) -> None:
        self.app = app
        self.manager: SessionManager = manager if isinstance(manager, SessionManager) else SessionManager(manager)
        self._exclude = path_patterns(exclude, "exclude")
        if self.manager.guard is not None:
            spare_device_paths(self._exclude, self.manager.guard.endpoints.paths)
        self._passive = path_patterns(passive, "passive")
        self._lazy = lazy
        self._environ_key = environ_key
        self._sweeper = Sweeper(self.manager, sweep_interval)
        self._told: set[str] = set()
        engine = self.manager.engine
        wanted = engine.importers or engine.description is not None or engine.binder is not None
        self._needs_all = engine.reads_cookies is False or bool(wanted)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Run the application with a session in its environ."""
        if (_ALL in environ or self._exclude) and self._is_excluded(environ):
            return self.app(environ, start_response)
        session = self.begin(environ)
        key = self._environ_key
        environ[key] = session
        environ[_ALL] = (*environ.get(_ALL, ()), session)
        exchange = _Exchange(self, environ, session, start_response)
        guard = self.manager.guard
        answer = None if guard is None else drive(guard.answer(visit_of(environ), session))
        if answer is not None:
            return exchange.answered(answer)
        body: Iterable[bytes] | None = None
        failure: BaseException | None = None
        try:
            body = self.app(environ, exchange.start)
        except BaseException as error:  # noqa: BLE001 - judged below
            failure = error
        if environ.get(key) is not session:
            self._tell_of_a_hidden_session(environ.get(key))
        if failure is not None:
            if not exchange.fail(failure):
                raise failure
            body = ()
        assert body is not None
        return exchange.sent(body)

    def begin(self, environ: Environ) -> BlockingSession:
        """Return the session of a request, read unless it is to be read at its first use."""
        manager = self.manager
        engine = manager.engine
        if self._needs_all or not environ.keys().isdisjoint(_PURPOSES):
            headers = headers_of(environ)
        else:
            line = environ.get("HTTP_COOKIE")
            headers = [(b"cookie", line.encode("latin-1"))] if line else []
        session: Any = engine.begin(headers, self.make)
        state = state_of(session)
        if engine.description is not None:
            engine.note_client(session, {"headers": headers, "client": (environ.get("REMOTE_ADDR", ""), 0)})
        if not state.ids and environ["REQUEST_METHOD"] not in SAFE and is_cross_site(environ):
            engine.note_cross_site(session)
        if self._passive and any(pattern.match(path_of(environ)) for pattern in self._passive):
            state.flags |= PASSIVE
        if state.loaded == PENDING and not self._lazy:
            try:  # noqa: SIM105 - a context manager takes a microsecond
                drive(engine.load(session))
            except StoreUnavailable:  # kept, and raised at first use: a route without sessions stays up
                pass
        return session  # type: ignore[no-any-return]

    def ended(self) -> None:
        """A request has ended: sweep what expired, if it is time."""
        self._sweeper.note()

    def check_test_client(self, environ: Environ) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""
        if "http" in self._told or not self.manager.cookie.secure or environ.get("wsgi.url_scheme") != "http":
            return
        if environ.get("SERVER_NAME") in TEST_HOSTS:
            self._told.add("http")
            warn_about_http(self.manager.cookie_name)

    def _say_once(self, word: str, text: str, about: object) -> None:
        if word not in self._told:
            self._told.add(word)
            log.warning(text, about)

    def _is_excluded(self, environ: Environ) -> bool:
        for session in environ.get(_ALL, ()):
            other = backend_of(session)
            if other is self.manager.engine:
                return True  # the middleware was added twice
            if share_a_cookie(self.manager.engine, other):
                self._say_once("twice", TWICE, self.manager.cookie_name)
                return True
            if share_device_paths(self.manager.engine, other, environ.get("SCRIPT_NAME")):
                self._say_once("paths", SAME_PATHS, self.manager.guard and self.manager.guard.endpoints.registration)
        path = path_of(environ) if self._exclude else ""
        return any(pattern.match(path) for pattern in self._exclude)

    def _tell_of_a_hidden_session(self, found: object) -> None:
        kind = f"{type(found).__module__}.{type(found).__qualname__}"
        if kind not in self._told:
            self._told.add(kind)
            log.warning(
                "environ[%r] holds a %s in place of the session when the application returns: something inside has "
                "assigned to it, which changes nothing (write session.clear() and session.update(...) instead)",
                self._environ_key,
                kind,
            )


class _Exchange:
    """One request and its response: saves at the right moments.

    Attributes:
        answer: What was sent in the place of the application's response, after an error of ours; None: nothing was.
    """

    __slots__ = ("_doors", "_environ", "_failed", "_marked", "_middleware", "_server", "_session", "answer")

    def __init__(
        self, middleware: SessionMiddleware, environ: Environ, session: BlockingSession, server: StartResponse
    ) -> None:
        self._middleware = middleware
        self._doors = middleware.manager.blocking
        self._environ = environ
        self._session = session
        self._server = server
        self._failed = False
        self._marked: tuple[Pairs, Pairs] | None = None  # the headers of the application, and those that were sent
        self.answer: Answer | None = None

    def start(self, status: str, headers: Pairs, exc_info: Any = None) -> Callable[[bytes], object]:
        """Save, and start the response; the ``start_response`` that the application is given."""
        if self.answer is not None:
            return _discard
        more = () if exc_info is None else (exc_info,)
        if self._marked is not None:  # an error page in the place of a response of which nothing was sent yet
            self._failed = True
            ours = [pair for pair in self._marked[1] if pair not in self._marked[0]]
            return self._server(status, [*headers, *ours], *more)  # type: ignore[no-any-return]
        self._failed = int(status[:3]) >= 500
        refused: LimpetError | None = None
        marked: Pairs = []
        try:
            prefix = mount_of(self._environ)
            marked = self._doors.start(self._session, int(status[:3]), headers, prefix=prefix)
        except LimpetError as error:
            if answer_to(error) is None:
                raise
            refused = error
        if refused is not None:
            self._refuse(refused)
            return _discard
        self._marked = headers, marked
        if len(marked) > len(headers) and any(name == "Set-Cookie" for name, _ in marked[len(headers) :]):
            self._middleware.check_test_client(self._environ)
        return self._server(status, marked, *more)  # type: ignore[no-any-return]

    def sent(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server sends: the body, whose end is the end of the session."""
        if self.answer is not None:
            _close(body)
            self.finish()
            return [self.answer.body]
        if type(body) in (list, tuple) and self._marked is not None:  # nothing of the application runs any more
            self.finish()
            return body
        return _Body(body, self)

    def save_late(self) -> None:
        """Save what the body wrote, before the server tells the client that it is complete."""
        self._doors.save_late(self._session, failed=self._failed)

    def fail(self, error: BaseException) -> bool:
        """The application raised: keep a logout, drop the rest; True if the error was answered here."""
        state = state_of(self._session)
        if self.answer is None and state.phase != CLOSED:
            self._doors.fail(self._session)
            if isinstance(error, LimpetError) and answer_to(error) is not None and self._marked is None:
                self._refuse(error)
        self._close()
        return self.answer is not None and isinstance(error, Exception)

    def finish(self) -> None:
        """Nothing of this request runs any more."""
        state = state_of(self._session)
        if state.phase == CLOSED:
            return
        try:
            if self._marked is None:
                self._failed = True  # it answered nothing, which the server turns into an error
            if self.answer is None and (state.flags & ~ACCESSED or state.leaving is not None):
                self.save_late()
        finally:
            self._close()

    def _close(self) -> None:
        state = state_of(self._session)
        if state.phase != CLOSED:
            state.phase = CLOSED
            if self._middleware.manager.engine.description is not None:
                CLIENT.set(None)  # the thread serves others after this
            self._middleware.ended()

    def _refuse(self, error: LimpetError) -> None:
        manager = self._middleware.manager
        answer = answer_error(manager.on_refused, error, self._environ)
        assert answer is not None
        tokens = manager.engine.headers(self._session)  # an id that may be the only one goes out
        self.answered(answer._replace(headers=(*answer.headers, *tokens)))

    def answered(self, answer: Answer) -> Iterable[bytes]:
        """Send an answer of ours; return its body."""
        self.answer = answer
        self._server(f"{answer.status} {HTTPStatus(answer.status).phrase}", as_text(answer.headers))
        return [answer.body]


class _Body:
    """A body that the application makes while it is sent."""

    __slots__ = ("_body", "_exchange", "_over", "_parts")

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._parts: Iterator[bytes] | None = None
        self._over = False

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        exchange = self._exchange
        failure: BaseException | None = None
        part: bytes | None = None
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            part = next(self._parts, None)
            if part is None and exchange.answer is None:
                exchange.save_late()
        except BaseException as error:  # noqa: BLE001 - judged below
            failure = error
        if failure is not None and not exchange.fail(failure):
            self._over = True
            raise failure
        if exchange.answer is not None:
            self._over = True
            return exchange.answer.body
        if part is None:
            self._over = True
            raise StopIteration
        return part

    def close(self) -> None:
        """End the request: the server calls this whether the body was sent as a whole or not."""
        try:
            _close(self._body)
        finally:
            self._exchange.finish()


def session_in(
    environ: Environ, manager: SessionManager | None = None, environ_key: str = "limpet.session"
) -> BlockingSession:
    """Return the session that a `SessionMiddleware` put into an environ.

    Args:
        environ: The WSGI environ of the request.
        manager: Whose session, where an application has several managers.
        environ_key: The middleware's ``environ_key``, when no manager is given.

    Raises:
        ConfigurationError: There is none: the middleware is missing, or this path is excluded.
    """
    if manager is None:
        session = environ.get(environ_key)
        if isinstance(session, BlockingSession):
            return session
    for each in environ.get(_ALL, ()):
        if manager is not None and backend_of(each) is manager.engine:
            found: BlockingSession = each
            return found
    raise ConfigurationError(
        "this request has no session: wrap the application in limpet.wsgi.SessionMiddleware, and take this path out of "
        "exclude=..."
    )


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _discard(data: bytes) -> None:
    """Take what an application writes after an error was sent in the place of its response."""
