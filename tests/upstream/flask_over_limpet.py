"""A plugin for runs of the tests of Flask and of Flask-Session: the sessions of every application are limpet's.

What Flask's tests subclass and what its applications use by default is `Tried`, and Flask-Session's extension sets it;
nothing else is changed. Their secrets are a few letters long, which an application is refused that is neither tested
nor debugged.
"""

from __future__ import annotations

import os
import warnings

import flask
import flask.sessions
import flask_session
from _pytest import compat, monkeypatch

from limpet.adapters.flask import SessionInterface
from limpet.adapters.flask._settings import Settings
from limpet.errors import LimpetWarning


class Tried(SessionInterface):
    """The interface of `LIMPET_TRIED`, the URL of a store, for applications with any secret."""

    def __init__(self) -> None:
        super().__init__(os.environ["LIMPET_TRIED"])

    def get_settings(self, app: flask.Flask) -> Settings:
        """Return the settings, as those of an application that is being tested."""
        return super().get_settings(app)._replace(is_trial=True)


def extend(app: flask.Flask) -> None:
    """Do what ``flask_session.Session(app)`` does: set the interface of an application."""
    app.session_interface = Tried()


def pytest_configure() -> None:
    """Put limpet's interface in the place of Flask's."""
    warnings.simplefilter("ignore", LimpetWarning)
    if not hasattr(monkeypatch, "notset"):  # what Flask 3.1.3 calls it; pytest 9.1 has renamed it
        monkeypatch.notset = compat.NOTSET  # type: ignore[attr-defined]
    flask.sessions.SecureCookieSessionInterface = Tried  # type: ignore[assignment, misc]
    flask.Flask.session_interface = Tried()
    flask_session.Session = extend
