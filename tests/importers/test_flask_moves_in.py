"""A Flask application moves in by one line, and nobody is logged out: from Flask's own sessions and Flask-Session's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import flask_login
import pytest
import redis
from cachelib import FileSystemCache
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from markupsafe import Markup

from limpet import ConfigurationError
from limpet.adapters.flask import Limpet

SECRET = "AjGcYwKsR3F0yV8mQ2bXn6pLtE9dHuZo"
UNTIL = date(2100, 1, 1)
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
Configure = Callable[[flask.Flask], None]


class User(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def make_app(configure: Configure) -> flask.Flask:
    """Return an application with Flask-Login, whose sessions nobody has taken over yet."""
    app = flask.Flask("moving")
    app.secret_key = SECRET
    configure(app)
    flask_login.LoginManager(app).user_loader(User)

    @app.route("/login/<name>")
    def login(name: str) -> str:
        flask_login.login_user(User(name))
        flask.session["cart"] = [{"sku": "tea", "n": 2}]
        return ""

    @app.route("/moment")
    def moment() -> str:
        flask.session["moment"] = MOMENT
        return ""

    @app.route("/me")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def me() -> dict[str, Any]:
        return {"name": flask_login.current_user.id, "cart": flask.session["cart"]}

    @app.route("/logout")
    def logout() -> str:
        flask_login.logout_user()
        return ""

    return app


def nothing(app: flask.Flask) -> None:
    """Leave the sessions to Flask."""


@pytest.fixture(params=["flask", "redis", "redis json", "redis signed", "cachelib", "sqlalchemy"])
def configure(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Configure]:
    """Return what configures an application, old or new, for sessions of each kind."""
    kind, _, how = request.param.partition(" ")
    config: dict[str, Any] = {"SESSION_TYPE": kind}
    if how == "json":
        config["SESSION_SERIALIZATION_FORMAT"] = "json"
    if how == "signed":
        config["SESSION_USE_SIGNER"] = True
    if kind == "redis":
        config["SESSION_KEY_PREFIX"] = f"{request.getfixturevalue('redis_prefix')}session:"
        config["SESSION_REDIS"] = redis.Redis.from_url(request.getfixturevalue("redis_url"))
    elif kind == "cachelib":
        config["SESSION_CACHELIB"] = FileSystemCache(str(tmp_path / "cache"))

    opened: list[tuple[flask.Flask, SQLAlchemy]] = []

    def configure(app: flask.Flask) -> None:
        app.config.update({} if kind == "flask" else config)
        if kind == "sqlalchemy":
            app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/app.db"
            app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
            opened.append((app, app.config["SESSION_SQLALCHEMY"]))

    yield configure
    for app, database in opened:
        with app.app_context():
            database.engine.dispose()
    if "SESSION_REDIS" in config:
        config["SESSION_REDIS"].close()


def begin(configure: Configure) -> str:
    """Log in to the application as it was; return the cookie."""
    old = make_app(configure)
    if "SESSION_TYPE" in old.config:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Flask-Session's, of its signer
            Session(old)
    browser = old.test_client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # datetime.utcnow in Flask-Session
        browser.get("/moment")
        browser.get("/login/ann")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    return cookie.value


@pytest.mark.parametrize("store", ["memory:", "sqlite:///{folder}/sessions.db", "cookie:"])
def test_nobody_is_logged_out(configure: Configure, store: str, tmp_path: Path) -> None:
    """The user stays logged in, with the cart; the cookie is a new one of the same name; a logout is final."""
    value = begin(configure)
    app = make_app(configure)
    limpet = Limpet(app, store.format(folder=tmp_path), old_until=UNTIL)
    browser = app.test_client()
    browser.set_cookie("session", value)
    assert browser.get("/me").json == {"name": "ann", "cart": [{"sku": "tea", "n": 2}]}
    moved = browser.get_cookie("session")
    assert moved is not None
    assert moved.value != value
    with browser.session_transaction() as held:
        moment = held["moment"]  # JSON makes a text of it, as it did before the move
        moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        assert abs(moment - MOMENT) < timedelta(seconds=1)
    assert browser.get("/me").status_code == 200
    if store != "cookie:":
        with app.app_context():
            assert len(limpet.manager.blocking.sessions_of("ann")) == 1
    browser.get("/logout")
    assert browser.get("/me").status_code == 401
    if store != "cookie:":
        browser.set_cookie("session", value)
        assert browser.get("/me").status_code == 401


def test_a_stranger_is_not_let_in(configure: Configure) -> None:
    """A cookie that the old sessions would not have accepted is nobody's."""
    value = begin(configure)
    app = make_app(configure)
    Limpet(app, "memory:", old_until=UNTIL)
    other = "A" if value[-5] != "A" else "B"  # not the last: some of its bits may stand for nothing
    for wrong in (value[:-5] + other + value[-4:], "x" * 43, "*", "session:" + value):
        browser = app.test_client()
        browser.set_cookie("session", wrong)
        assert browser.get("/me").status_code == 401


def test_nothing_is_read_after_the_end_date(configure: Configure) -> None:
    """From then on the old cookie means nothing."""
    value = begin(configure)
    app = make_app(configure)
    Limpet(app, "memory:", old_until=date(2020, 1, 1))
    browser = app.test_client()
    browser.set_cookie("session", value)
    assert browser.get("/me").status_code == 401


def test_markup_stays_markup(tmp_path: Path) -> None:
    """A message that was flashed before the move is shown after it as it would have been."""
    old = make_app(nothing)
    browser = old.test_client()
    with browser.session_transaction() as held:
        held["_flashes"] = [("message", Markup("<b>hi</b>"))]
    cookie = browser.get_cookie("session")
    assert cookie is not None
    app = make_app(nothing)
    Limpet(app, "memory:", old_until=UNTIL)
    browser = app.test_client()
    browser.set_cookie("session", cookie.value)
    with browser.session_transaction() as held:
        assert [(kind, type(text)) for kind, text in held["_flashes"]] == [("message", Markup)]


def test_sessions_that_cannot_be_read_are_refused_in_words() -> None:
    """The setting is refused at the first request, with what to write instead."""

    def memcached(app: flask.Flask) -> None:
        app.config.update(SESSION_TYPE="memcached", PROPAGATE_EXCEPTIONS=True)

    app = make_app(memcached)
    Limpet(app, "memory:", old_until=UNTIL)
    with pytest.raises(ConfigurationError, match="FlaskSessionRecords"):
        app.test_client().get("/me")


def test_a_logout_leaves_the_browser_the_session_that_goes_on(configure: Configure, tmp_path: Path) -> None:
    """The old cookie has the name of the new one: nothing deletes it after the new one is set.

    For as long as sessions moved in, whoever logged out lost their basket, and the message that they are logged out.
    """
    token, app = begin(configure), make_app(configure)
    Limpet(app, f"sqlite:///{tmp_path}/sessions.db", old_until=UNTIL)

    @app.route("/cart")
    def cart() -> list[Any]:
        found: list[Any] = flask.session.get("cart", [])
        return found

    browser = app.test_client()
    browser.set_cookie("session", token)
    for moved in (False, True):  # in the request that moves the session in, and after it
        if moved:
            browser.get("/login/bob")
        answer = browser.get("/logout")
        assert len(answer.headers.getlist("Set-Cookie")) == 1
        assert browser.get("/cart").json == [{"sku": "tea", "n": 2}]
        assert browser.get("/me").status_code == 401
    stale = app.test_client()
    stale.set_cookie("session", token)
    assert stale.get("/me").status_code == 401


@pytest.mark.parametrize("page", ["/me", "/moment"], ids=["reads", "writes"])
def test_a_page_and_its_pictures_leave_the_browser_the_new_cookie(
    configure: Configure, page: str, tmp_path: Path
) -> None:
    """They are all sent with the old cookie, of which the first response makes a new one: it stays."""
    token, app = begin(configure), make_app(configure)
    Limpet(app, f"sqlite:///{tmp_path}/sessions.db", old_until=UNTIL)

    @app.before_request
    def last() -> None:
        flask.session.permanent = True  # Flask then sends the cookie with every response

    sent = [app.test_client() for _ in range(3)]
    for browser in sent:
        browser.set_cookie("session", token)
    first, *later = [browser.get(page) for browser in sent]
    assert len(first.headers.getlist("Set-Cookie")) == 1
    assert [answer.headers.getlist("Set-Cookie") for answer in later] == [[], []]
    assert sent[0].get("/me").json == {"name": "ann", "cart": [{"sku": "tea", "n": 2}]}
