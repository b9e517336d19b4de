"""Flask.

::

    app = Flask(__name__)
    Limpet(app, manager="redis://localhost:6379/0")

    @app.post("/cart/<item>")
    def add(item: str) -> list[str]:
        session.setdefault("cart", []).append(item)    # flask.session, or the one of this module, which has types
        return session["cart"]

``app.config`` says what it says to Flask and to Flask-Session: ``SECRET_KEY``, ``SESSION_COOKIE_*``,
``PERMANENT_SESSION_LIFETIME``, ``SESSION_REFRESH_EACH_REQUEST``, ``SESSION_TYPE``, ``SESSION_PERMANENT``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from limpet.errors import ANSWERED, MissingDependency

try:
    import click
    import flask
    import flask.cli
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.flask", "flask") from _error

from limpet._core.session import state_of
from limpet._core.state import OPEN
from limpet._serving import as_text
from limpet.adapters.flask._fresh import fresh_login
from limpet.adapters.flask._interface import SessionInterface
from limpet.adapters.flask._session import FlaskSession, current_session
from limpet.refusals import answer_error

if TYPE_CHECKING:
    from limpet.contract import ClientStore, Store
    from limpet.manager import SessionManager

__all__ = ["FlaskSession", "Limpet", "SessionInterface", "fresh_login", "session"]

session: FlaskSession = cast(FlaskSession, flask.session)
"""``flask.session``, with the types of what is here."""


class Limpet:
    """The extension: gives the sessions of an application to limpet.

    Args:
        app: The application; None: `init_app` is called later, for one or several.
        manager: As for `SessionInterface`, and so are all the others.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        manager: SessionManager | Store | ClientStore | str | None = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        passive: Iterable[str | re.Pattern[str]] = (),
        subject_key: str | None = "_user_id",
        old_until: date | None = None,
        sweep_interval: float | None = 60.0,
        **options: Any,
    ) -> None:
        self._make: Callable[[], SessionInterface] = partial(
            SessionInterface,
            manager,
            exclude=exclude,
            passive=passive,
            subject_key=subject_key,
            old_until=old_until,
            sweep_interval=sweep_interval,
            **options,
        )
        self._app = app
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Take over the sessions of an application. Its configuration is read at its first request."""
        interface = self._make()
        app.session_interface = interface
        app.extensions["limpet"] = self
        for kind in ANSWERED:
            app.register_error_handler(kind, _answer)
        flask.got_request_exception.connect(_drop_failed, app)
        app.teardown_request(_leave)
        cleanup = flask.cli.with_appcontext(_cleanup)
        app.cli.command("session_cleanup", help="Delete expired sessions from the store.")(cleanup)

    @property
    def manager(self) -> SessionManager:
        """The manager of the current application: ``limpet.manager.blocking.revoke_all("ann")``.

        Outside of an application context it is that of the application that ``Limpet(app)`` was made with.

        Raises:
            RuntimeError: There is neither, or the application has other sessions by now.
        """
        app = flask.current_app if flask.has_app_context() else self._app
        if app is None:
            raise RuntimeError(
                "no application context says whose manager this is: ask for it in a request or in "
                "`with app.app_context():`, or make the extension with its application, Limpet(app)"
            )
        interface = app.session_interface
        if not isinstance(interface, SessionInterface):
            raise RuntimeError(f"the sessions of {app.name} are not limpet's: call init_app, and nothing after it")
        return interface.manager_for(app)


def _answer(error: Exception) -> flask.Response:
    """Answer an error of the engine that a view let pass; nothing that the request wrote is saved."""
    current = current_session()
    make = None if current is None else current.middleware.manager.on_refused
    answer = answer_error(make, error, flask.request.environ)
    assert answer is not None
    if current is not None:
        current.failed = True
    return flask.Response(answer.body, answer.status, as_text(answer.headers))


def _drop_failed(app: flask.Flask, **about: Any) -> None:
    """Keep the logout of a request whose error Flask hands on to the server or to a test, and drop the rest."""
    current = current_session()
    if current is not None and state_of(current.inner).phase == OPEN:
        current.failed = True
        current.middleware.manager.blocking.fail(current.inner)


def _leave(error: BaseException | None) -> None:
    """Let go of a request that was not saved: its error went on to the server, or a function after the view failed."""
    current = current_session()
    if current is not None and state_of(current.inner).phase == OPEN:
        current.middleware.ended()


def _cleanup() -> None:
    extension: Limpet = flask.current_app.extensions["limpet"]
    click.echo(f"{extension.manager.blocking.sweep()} expired sessions were deleted")
