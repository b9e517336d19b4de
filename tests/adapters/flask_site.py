"""A Flask application for the tests of its adapter."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import flask
import pytest
from packaging.version import Version

from limpet.adapters.flask import Limpet, session
from limpet.keyring import generate_secret
from limpet.stores.memory import MemoryStore
from limpet.testing._adapter_site import WatchedStore

__all__ = ["SECRET", "Site", "asks_for_it", "cookies", "token"]

SECRET = generate_secret()
asks_for_it = pytest.mark.skipif(
    Version(version("flask")) < Version("3.1.3"),
    reason="before 3.1.3 Flask does not tell a session that it is asked for",
)


class Site:
    """An application, its store, and routes that do what their query says.

    Attributes:
        app: The application.
        store: Its store, which counts calls and can fail.
        limpet: The extension.
    """

    def __init__(self, **settings: Any) -> None:
        self.app = app = flask.Flask("site")
        app.secret_key = SECRET
        self.store = WatchedStore(MemoryStore())
        self.limpet = Limpet(app, self.store, **settings)

        @app.route("/set/<key>/<value>")
        def set_(key: str, value: str) -> str:
            session[key] = value
            return ""

        @app.route("/get/<key>")
        def get(key: str) -> dict[str, Any]:
            return {"value": session.get(key)}

        @app.route("/all")
        def all_() -> dict[str, Any]:
            return dict(session)

        @app.route("/untouched")
        def untouched() -> str:
            return ""

    def calls(self) -> list[str]:
        """Return the store's calls since the last time."""
        calls, self.store.calls = self.store.calls, []
        return calls


def cookies(response: Any) -> list[str]:
    """Return the ``Set-Cookie`` lines of a response."""
    found: list[str] = response.headers.getlist("Set-Cookie")
    return found


def token(browser: Any) -> str:
    """Return the value of the session's cookie."""
    found: str = browser.get_cookie("session").value
    return found
