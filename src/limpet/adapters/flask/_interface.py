"""What Flask asks of its sessions: to be opened when a request begins, and saved with the response."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask.sessions import NullSession
from flask.sessions import SessionInterface as Contract
from werkzeug.http import http_date

from limpet import wsgi
from limpet._blocking import drive
from limpet._checks import interval
from limpet._core.session import state_of
from limpet._core.state import ACCESSED, CLOSED, ENDED, OPEN, OVER, READY, STARTED, WRITTEN
from limpet._environ import mount_of
from limpet._serving import hand_out, path_patterns
from limpet.adapters.flask._body import LateBody
from limpet.adapters.flask._devices import serve_devices
from limpet.adapters.flask._messages import mark_headers, replace, this_request, token_of
from limpet.adapters.flask._moving import old_sessions
from limpet.adapters.flask._session import PLACE, FlaskSession, current_session
from limpet.adapters.flask._settings import FlaskCookie, Settings, Stores, build, glance, is_plain
from limpet.adapters.flask._sockets import is_over_a_socket
from limpet.contract import ClientStore, Store, supports
from limpet.environment import secrets_from_environment
from limpet.errors import LimpetError, SessionClosed, StoreUnavailable, answer_to
from limpet.manager import SessionManager

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin

    from limpet.protocols import Header

__all__ = ["SessionInterface"]

log = logging.getLogger("limpet")
_NO_COOKIE: Final = (
    "no cookie can be sent over a socket: begin the session, and log in, with a request of HTTP before it"
)
_ASKED: Final = frozenset(
    {
        "get_settings",
        "get_cookie_name",
        "get_cookie_domain",
        "get_cookie_path",
        "get_cookie_httponly",
        "get_cookie_secure",
        "get_cookie_samesite",
        "get_cookie_partitioned",
    }
)
_MANAGERS: Final = 64  # an application has one, unless it gives cookies names by the request


class Excluded(NullSession):
    """Stands for the session on a path that has none."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this path is excluded from sessions: take it out of exclude=...")

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class SessionInterface(Contract):
    """A ``flask.sessions.SessionInterface``. `Limpet` sets it; ``app.session_interface = SessionInterface()`` will do.

    What a subclass overrides of ``get_cookie_*``, ``get_expiration_time`` and ``should_set_cookie`` is asked as Flask
    asks it.

    Args:
        manager: A `SessionManager`, whose own settings then hold; or a store or its URL, and the configuration of the
            application decides the rest. None: ``LIMPET_STORE`` or ``SESSION_TYPE`` of the configuration, else as for
            `SessionManager`.
        exclude: Paths without sessions: ``"/health"`` is that path and all below it; or compiled patterns.
        passive: Paths whose requests do not count as activity; written as ``exclude``.
        subject_key: The key that says who is logged in: ``"_user_id"`` is Flask-Login's. When the application sets it,
            the session becomes that subject's, as by `Session.login`; when it takes it out, the login has ended and
            what else is there moves to a new session. None: only `Session.login` does.
        old_until: Until then, the sessions that the application had without limpet are taken over, so that nobody has
            to log in again: Flask's own, or those of its ``SESSION_TYPE``. A date, or a time with a zone.
        sweep_interval: Seconds between two sweeps of expired records, for stores that need it. None: never.
        options: For `SessionManager`, where none is given: ``policy``, ``importers``, ``devices``, ``encrypt``, ….
    """

    session_class: type[FlaskSession] = FlaskSession

    def __init__(
        self,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        passive: Iterable[str | re.Pattern[str]] = (),
        subject_key: str | None = "_user_id",
        old_until: date | None = None,
        sweep_interval: float | None = 60.0,
        **options: Any,
    ) -> None:
        if isinstance(manager, SessionManager) and (options or old_until is not None):
            raise TypeError(f"{', '.join(options) or 'old_until'}: give the SessionManager what it needs for that")
        self._given = manager if isinstance(manager, SessionManager) else None
        self._stores = Stores(None if isinstance(manager, SessionManager) else manager)
        self._exclude = path_patterns(exclude, "exclude")
        self._passive = passive
        self._subject_key = subject_key
        self._old_until = old_until
        interval("sweep_interval", sweep_interval, none="to leave it out")  # the first request is too late
        self._sweep_interval = sweep_interval
        self._options = options
        self._made: dict[Settings | None, wsgi.SessionMiddleware] = {}
        self._last: tuple[object, wsgi.SessionMiddleware] | None = None  # what `glance` saw, and what came of it
        self._plain: dict[type[Flask], bool] | None = {} if self._given is None and _asks_as_it_is(type(self)) else None
        self._told_of_sockets = False

    # -- settings

    def manager_for(self, app: Flask) -> SessionManager:
        """Return the manager of an application, as it is configured now.

        Raises:
            ConfigurationError: A setting cannot work.
        """
        return self._middleware(app).manager

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name of the cookie: the manager's, if one was given, else ``SESSION_COOKIE_NAME``."""
        return super().get_cookie_name(app) if self._given is None else self._given.cookie_name

    def get_settings(self, app: Flask) -> Settings:
        """Return what the configuration of an application says now."""
        config = app.config
        secret = app.secret_key
        fallbacks = config.get("SECRET_KEY_FALLBACKS") or ()  # Flask 3.1 and later
        partitioned = getattr(self, "get_cookie_partitioned", None)  # Flask 3.1 and later
        return Settings(
            (secret, *fallbacks) if secret else (),
            self.get_cookie_name(app),
            self.get_cookie_domain(app),
            self.get_cookie_path(app),
            self.get_cookie_httponly(app),
            self.get_cookie_secure(app),
            self.get_cookie_samesite(app),
            bool(partitioned and partitioned(app)),
            app.permanent_session_lifetime,
            config["SESSION_REFRESH_EACH_REQUEST"],
            config.get("SESSION_SERIALIZATION_FORMAT") == "json",
            bool(app.testing or app.debug),
        )

    def _middleware(self, app: Flask) -> wsgi.SessionMiddleware:
        """Return what serves an application, as it is configured now. Equal settings share one."""
        plain, seen = self._plain, None
        if plain is not None and _ASKED.isdisjoint(self.__dict__):  # a test may have put another one there
            kind = type(app)
            if kind not in plain:
                plain[kind] = is_plain(kind)
            seen = glance(app.config) if plain[kind] else None
            if seen is not None and (last := self._last) is not None and last[0] == seen:
                return last[1]
        found = self._look_up(app)
        if seen is not None:
            self._last = seen, found
        return found

    def _look_up(self, app: Flask) -> wsgi.SessionMiddleware:
        settings = self.get_settings(app) if self._given is None else None
        found = self._made.get(settings)
        if found is None:
            manager = self._given
            if settings is not None:
                manager = self._build(app, settings)
            if len(self._made) >= _MANAGERS:
                self._made.clear()
            found = self._made[settings] = wsgi.SessionMiddleware(
                app, manager, exclude=self._exclude, passive=self._passive, sweep_interval=self._sweep_interval
            )
            serve_devices(app, found.manager)
        return found

    def _build(self, app: Flask, settings: Settings) -> SessionManager:
        options = dict(self._options)
        if self._old_until is not None:
            old = old_sessions(app.config, settings, self._old_until, self._subject_key)
            options["importers"] = [*options.get("importers", ()), *old]
        return build(settings, self._stores.find(app.config, settings.is_trial), options)

    # -- a request

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """Return the session of a request; nothing is read before it is used.

        None where there can be none: for sessions in cookies the application needs a ``SECRET_KEY``.
        """
        if self._exclude and any(pattern.match(request.path) for pattern in self._exclude):
            return Excluded()
        if not app.secret_key and self._lacks_a_secret(app):
            return None
        config, middleware = app.config, self._middleware(app)
        session = self.session_class(
            middleware.begin(request.environ),
            middleware=middleware,
            subject_key=self._subject_key,
            starts_permanent=config.get("SESSION_PERMANENT", config.get("SESSION_TYPE") not in (None, "null")),
        )
        request.environ.setdefault(PLACE, session)  # a test may open another one beside it
        return session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save the session and put into the response what it needs for that.

        A response with a status of 500 or more saves nothing but a logout. If the save fails because the store does
        not answer, or because of what another request did, the response becomes the answer to that error.
        """
        if not isinstance(session, FlaskSession):  # it could not be opened, and this answers the error that said why
            return
        inner, engine, request = session.inner, session.middleware.manager.engine, this_request()
        state = state_of(inner)
        if session.refused:  # it was answered before the application saw it
            return
        if state.phase != OPEN:  # an error page in the place of a response of which nothing was sent yet
            for name, value in session.sent:
                response.headers.add(name, value)
            return
        if is_over_a_socket(request):
            self._save_over_a_socket(app, session, request)
            return
        failure: LimpetError | None = None
        tokens: list[Header] = []
        session.failed = session.failed or response.status_code >= 500
        try:
            tokens = self._save(app, session, request)
        except LimpetError as error:
            if answer_to(error) is None or current_session() is not session:
                raise
            failure = error
        if failure is not None:
            session.failed = session.refused = True
            replace(response, app.make_response(app.handle_user_exception(failure)))
            tokens = hand_out(engine, state)
        accessed, cookies = bool(state.flags & ACCESSED), bool(tokens)
        state.phase = STARTED
        if engine.binder is not None and not session.refused:
            tokens = [*tokens, *engine.binder.headers(state, mount_of(request.environ))]
        if tokens or accessed:
            session.sent = mark_headers(response.headers, engine, tokens, accessed)
        if cookies:
            session.middleware.check_test_client(request.environ)
        if response.is_streamed and not response.direct_passthrough:
            response.response = LateBody(response.response, partial(_save_late, session))
        response.call_on_close(partial(_end, session))

    def regenerate(self, session: SessionMixin) -> None:
        """Change the id of a session and keep what is in it, as Flask-Session does; call it when somebody logs in."""
        if session:
            session.regenerate()  # type: ignore[attr-defined]

    # -- steps

    def _save_over_a_socket(self, app: Flask, session: FlaskSession, request: Request) -> None:
        """Save what needs no cookie. The rest is lost, as with Flask's own sessions, unless it is a login or a logout.

        Raises:
            SessionClosed: Somebody logged in, or out of a session that lives in its cookie.
        """
        state_of(session.inner).phase = STARTED
        changed_hands = session.changes_hands
        try:
            self._save(app, session, request)
        except SessionClosed as error:
            if changed_hands:
                raise SessionClosed(_NO_COOKIE) from error
            if not self._told_of_sockets:
                self._told_of_sockets = True
                log.warning("%s; what was written is lost", _NO_COOKIE)
        finally:
            session.middleware.ended()

    def _lacks_a_secret(self, app: Flask) -> bool:
        if self._given is not None or "secret" in self._options or secrets_from_environment():
            return False
        return supports(self._stores.find(app.config, app.testing or app.debug), ClientStore)

    def _save(self, app: Flask, session: FlaskSession, request: Request) -> list[Header]:
        """Save, and return the headers that hand out tokens."""
        inner, manager, failed = session.inner, session.middleware.manager, session.failed
        state, engine = state_of(inner), manager.engine
        if not failed or engine.policy.save_on_error:
            session.settle()
        if state.loaded != READY and not state.flags & (ACCESSED | ENDED):
            if not _is_to_be_read(app, request):
                return []
            try:
                drive(engine.load(inner))
            except StoreUnavailable:  # a route without sessions stays up
                return []
        before, written = state.stored, bool(state.flags & (WRITTEN | ENDED))
        manager.blocking.commit(inner, failed=failed)
        session.settled(changed=written or _version(before) != _version(state.stored))
        tokens, untouched = hand_out(engine, state), ~state.flags & ACCESSED
        if failed or state.stored is None or state.flags & OVER or not isinstance(engine.transport, FlaskCookie):
            return tokens
        if not tokens and self._is_sent_again(app, session) and (state.stored is not before or _is_live(session)):
            token = token_of(state, engine, request)
            tokens = [] if token is None else [engine.transport.write(token, None)]
        expires = self.get_expiration_time(app, session) if tokens else None
        state.flags &= ~untouched  # what is asked here is not the request's doing
        if expires is None:
            return tokens
        name, value = tokens[0]
        return [(name, b"%b; Expires=%b" % (value, http_date(expires).encode())), *tokens[1:]]

    def _is_sent_again(self, app: Flask, session: FlaskSession) -> bool:
        """Tell whether the cookie of a session that keeps its id goes out all the same, as `should_set_cookie` says.

        A cookie that holds the session itself does so only if the request wrote to it: else a slow page would take back
        what a quicker one has written since.
        """
        is_server_side = session.middleware.manager.engine.is_server_side
        return (is_server_side or session.modified) and self.should_set_cookie(app, session)


def _asks_as_it_is(kind: type[SessionInterface]) -> bool:
    """Tell whether an interface of this class asks an application's configuration, and nothing else."""
    return all(getattr(kind, name, None) is getattr(SessionInterface, name, None) for name in _ASKED)


def _is_to_be_read(app: Flask, request: Request) -> bool:
    """Tell whether a session that the request did not use is read for its deadline all the same.

    Files of the application are no activity, so that a page with forty of them costs one read.
    """
    endpoint = request.endpoint or ""
    return bool(app.config["SESSION_REFRESH_EACH_REQUEST"]) and endpoint.rpartition(".")[2] != "static"


def _end(session: FlaskSession) -> None:
    """Save what was written since the response was made: by its stream, by a function that runs after the request."""
    state, middleware = state_of(session.inner), session.middleware
    if state.flags & ~ACCESSED and not session.refused:
        session.settle()
        middleware.manager.blocking.end(session.inner, failed=session.failed)
    state.phase = CLOSED
    middleware.ended()


def _save_late(session: FlaskSession) -> None:
    session.settle()
    session.middleware.manager.blocking.save_late(session.inner, failed=session.failed)


def _is_live(session: FlaskSession) -> bool:
    """Tell whether a session has the id still with which its request came, so that it may be handed out again.

    Another request may have logged in meanwhile, and the browser have a newer cookie than the one that this one knows.
    """
    try:
        return drive(session.inner.is_live())
    except StoreUnavailable:
        return False


def _version(stored: Any) -> int | None:
    return None if stored is None else stored.record.version
