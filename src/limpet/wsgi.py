"""`SessionMiddleware` for any WSGI application, on threads, greenlets or processes.

A request: find the token, run the application, read the session at its first use, save it when the first part of the
body is there, at its end and at ``close()``. Until the first part a server sends nothing (PEP 3333).

WSGI has no WebSockets. `CSRFMiddleware` is for ASGI; a WSGI framework has a guard of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from limpet._blocking import drive
from limpet._checks import flag
from limpet._core.session import backend_of, state_of
from limpet._core.state import PASSIVE, PENDING
from limpet._doors import BlockingSession
from limpet._environ import Environ, headers_of, is_cross_site, path_of, visit_of
from limpet._serving import (
    SAFE,
    SAME_PATHS,
    TEST_HOSTS,
    TWICE,
    no_session,
    path_patterns,
    share_a_cookie,
    share_device_paths,
    spare_device_paths,
    warn_about_http,
)
from limpet._sweeper import Sweeper
from limpet._wsgi_exchange import StartResponse, WSGIExchange
from limpet.contract import ClientStore, Store
from limpet.errors import StoreUnavailable
from limpet.events import CLIENT
from limpet.manager import SessionManager

__all__ = ["BlockingSession", "SessionMiddleware", "headers_of", "session_in"]

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
        flag("lazy", lazy)
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
        try:
            session = self.begin(environ)
            guard = self.manager.guard
            answer = None if guard is None else drive(guard.answer(visit_of(environ), session))
        except BaseException:  # it ends here, before the application has run
            self.ended()
            raise
        key = self._environ_key
        environ[key] = session
        environ[_ALL] = (*environ.get(_ALL, ()), session)
        exchange = WSGIExchange(self, environ, session, start_response)
        if answer is not None:
            exchange.answered(answer)
            return exchange.sent(())
        body: Iterable[bytes] | None = None
        failure: BaseException | None = None
        try:
            body = self.app(environ, exchange.start)
            if type(body) in (list, tuple):
                exchange.go()
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
        """A request has ended: its thread serves others. Sweep what expired, if it is time."""
        CLIENT.set(None)
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
    raise no_session(
        "wrap the application in limpet.wsgi.SessionMiddleware, and take this path out of exclude=...",
        environ.get(_ALL, ()),
    )
