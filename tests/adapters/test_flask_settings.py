"""A Flask application is served as its configuration is at each request, although it is not read anew each time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import flask
import pytest
from flask.sessions import SessionInterface as Contract

from limpet.adapters.flask import Limpet, SessionInterface
from limpet.keyring import generate_secret
from tests.adapters.flask_site import SECRET, Site

CHANGES: dict[str, Any] = {
    "SECRET_KEY": generate_secret(),
    "SECRET_KEY_FALLBACKS": [generate_secret()],
    "SESSION_COOKIE_NAME": "other",
    "SESSION_COOKIE_DOMAIN": "example.org",
    "SESSION_COOKIE_PATH": "/shop",
    "APPLICATION_ROOT": "/app",
    "SESSION_COOKIE_HTTPONLY": False,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Strict",
    "SESSION_COOKIE_PARTITIONED": True,
    "PERMANENT_SESSION_LIFETIME": timedelta(hours=1),
    "SESSION_REFRESH_EACH_REQUEST": False,
    "SESSION_SERIALIZATION_FORMAT": "json",
    "TESTING": True,
    "DEBUG": True,
}
"""Every setting that a manager is made of, and another value of it."""
if not hasattr(Contract, "get_cookie_partitioned"):  # Flask 3.1 and later
    del CHANGES["SESSION_COOKIE_PARTITIONED"]


def interface_of(app: flask.Flask) -> SessionInterface:
    found = app.session_interface
    assert isinstance(found, SessionInterface)
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_changes_holds_from_the_next_request_on(name: str) -> None:
    """A manager is kept as long as the configuration says the same, and is there again when it does."""
    app = Site().app
    interface, before = interface_of(app), app.config.get(name)
    first = interface.manager_for(app)
    assert interface.manager_for(app) is first
    app.config[name] = CHANGES[name]
    second = interface.manager_for(app)
    assert second is not first
    assert interface.manager_for(app) is second
    app.config[name] = before
    assert interface.manager_for(app) is first


def test_a_list_of_former_secrets_may_change_in_place() -> None:
    """What is appended to it counts, although it is the same list."""
    app = Site().app
    app.config["SECRET_KEY_FALLBACKS"] = former = [generate_secret()]
    first = interface_of(app).manager_for(app)
    former.append(generate_secret())
    assert interface_of(app).manager_for(app) is not first


def test_what_a_subclass_overrides_is_asked_each_time() -> None:
    """An application whose cookie has a name by the request has it with the same configuration."""

    class Named(SessionInterface):
        name = "one"

        def get_cookie_name(self, app: flask.Flask) -> str:
            return self.name

    app = flask.Flask("named")
    app.secret_key = SECRET
    app.session_interface = interface = Named("memory:")
    assert interface.manager_for(app).cookie_name == "one"
    interface.name = "two"
    assert interface.manager_for(app).cookie_name == "two"


def test_what_is_put_in_the_place_of_a_method_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests do it: on the interface that serves, for a while."""
    app = Site().app
    interface = interface_of(app)
    first = interface.manager_for(app)
    with monkeypatch.context() as patch:
        patch.setattr(interface, "get_cookie_name", lambda app: "other")
        assert interface.manager_for(app).cookie_name == "other"
    assert interface.manager_for(app) is first


def test_what_a_class_of_applications_overrides_is_asked_each_time() -> None:
    """Its secret may come from elsewhere than the configuration."""

    class Rotating(flask.Flask):
        current = SECRET

        @property
        def secret_key(self) -> str:  # type: ignore[override]
            return self.current

    app = Rotating("rotating")
    app.config["SECRET_KEY"] = SECRET
    Limpet(app, "memory:")
    first = interface_of(app).manager_for(app)
    app.current = generate_secret()
    assert interface_of(app).manager_for(app) is not first


def test_applications_of_one_interface_are_told_apart() -> None:
    """Each has its own settings, in turns."""
    one, other = Site().app, flask.Flask("other")
    other.secret_key = SECRET
    other.config["SESSION_COOKIE_NAME"] = "other"
    other.session_interface = interface = interface_of(one)
    assert [interface.manager_for(app).cookie_name for app in (one, other) * 2] == ["session", "other"] * 2
