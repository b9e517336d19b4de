"""Flask-Login, unchanged: its user in the session, its "remember me" beside it, and what limpet adds."""

from __future__ import annotations

from pathlib import Path

import flask
import flask_login
import pytest

from limpet.adapters.flask import FlaskSession
from tests.packages.flask_site import KINDS, make_app


class User(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def site(kind: str, folder: Path, protection: str = "strong") -> flask.Flask:
    """Return an application whose users log in at ``/login/<name>``."""
    app = make_app(kind, folder)
    manager = flask_login.LoginManager(app)
    manager.session_protection = protection
    manager.user_loader(User)

    @app.route("/login/<name>")
    def login(name: str) -> str:
        flask_login.login_user(User(name), remember="remember" in flask.request.args)
        return "in"

    @app.route("/logout")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def logout() -> str:
        flask_login.logout_user()
        return "out"

    @app.route("/me")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def me() -> str:
        name: str = flask_login.current_user.id
        return name

    @app.route("/danger")
    @flask_login.fresh_login_required  # type: ignore[untyped-decorator]
    def danger() -> str:
        return "done"

    @app.route("/cart")
    def cart() -> str:
        flask.session["cart"] = flask.session.get("cart", 0) + 1
        return str(flask.session["cart"])

    return app


@KINDS
def test_in_and_out(kind: str, tmp_path: Path) -> None:
    """The cart of a visitor comes along at the login and stays after the logout, which ends the login for good."""
    app = site(kind, tmp_path)
    browser = app.test_client()
    assert browser.get("/me").status_code == 401
    assert browser.get("/cart").text == "1"
    visitor = browser.get_cookie("session")
    assert browser.get("/login/ann").text == "in"
    user = browser.get_cookie("session")
    assert visitor is not None
    assert user is not None
    assert user.value != visitor.value
    assert browser.get("/me").text == "ann"
    assert browser.get("/danger").text == "done"
    assert browser.get("/cart").text == "2"
    assert browser.get("/logout").text == "out"
    assert browser.get("/me").status_code == 401
    assert browser.get("/cart").text == "3"
    if kind != "cookie:":
        for old in (visitor, user):
            browser.set_cookie("session", old.value)
            assert browser.get("/me").status_code == 401
            assert browser.get("/cart").text == "1"


@KINDS
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # Flask-Login's own, from 3.12 on
def test_remembered(kind: str, tmp_path: Path) -> None:
    """Its own long-lived cookie begins a session anew, which is not fresh."""
    browser = site(kind, tmp_path, "basic").test_client()
    browser.get("/login/ann?remember")
    browser.delete_cookie("session")
    assert browser.get("/me").text == "ann"
    assert browser.get("/danger").status_code == 401
    assert browser.get("/logout").text == "out"
    assert browser.get("/me").status_code == 401


@pytest.mark.parametrize("kind", ["memory:", "sqlite:///{folder}/sessions.db"])
def test_the_sessions_of_a_user_are_found_and_ended(kind: str, tmp_path: Path) -> None:
    """Flask-Login knows no list of devices; with limpet's sessions there is one, without a line of its own."""
    app = site(kind, tmp_path)
    phone, laptop = app.test_client(), app.test_client()
    phone.get("/login/ann")
    laptop.get("/login/ann")
    with app.app_context():
        sessions = app.extensions["limpet"].manager.blocking
        assert len(sessions.sessions_of("ann")) == 2
        with laptop.session_transaction() as held:
            assert isinstance(held, FlaskSession)
            assert sessions.revoke_all("ann", except_=held.sid) == 1
    assert phone.get("/me").status_code == 401
    assert laptop.get("/me").text == "ann"


@KINDS
def test_a_stolen_cookie_on_another_machine(kind: str, tmp_path: Path) -> None:
    """Strong protection empties a session that comes from another browser, as under Flask's own sessions."""
    browser = site(kind, tmp_path).test_client()
    browser.get("/login/ann", headers={"User-Agent": "a"})
    assert browser.get("/me", headers={"User-Agent": "a"}).text == "ann"
    assert browser.get("/me", headers={"User-Agent": "b"}).status_code == 401
    assert browser.get("/me", headers={"User-Agent": "a"}).status_code == 401
