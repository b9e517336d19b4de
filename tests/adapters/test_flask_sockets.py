"""Sockets under Flask: a login over one would leave the browser with a cookie that is dead, so that it is refused.

Flask-SocketIO (``manage_session=False``) opens and saves the session for each event, with a response that nobody gets;
Flask-Sock saves it when the WebSocket has ended. Both are done here as they do it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient

from limpet import SessionClosed
from limpet.adapters.flask import Limpet

SECRET = "sF0cUAtE0CPdJkSJY3zJl8cUqZr5ck2qXr5tQbbY2Tg"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}
KINDS = pytest.mark.parametrize("kind", ["memory:", "cookie:"])


def site(kind: str) -> flask.Flask:
    app = flask.Flask("sockets")
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    Limpet(app, kind)

    @app.route("/put/<value>")
    def put(value: str) -> str:
        flask.session["cart"] = value
        return value

    @app.route("/login/<name>")
    def login(name: str) -> str:
        flask.session["_user_id"] = name
        return name

    @app.route("/keys")
    def keys() -> list[str]:
        return sorted(flask.session)

    @app.route("/watch/<word>", websocket=True)
    def watch(word: str) -> flask.Response:
        WORDS[word]()
        return flask.Response()

    @app.route("/stream/<word>")
    def stream(word: str) -> flask.Response:
        def body() -> Iterator[str]:
            yield "begun"
            WORDS[word]()

        len(flask.session)
        return flask.Response(flask.stream_with_context(body()))

    return app


WORDS: dict[str, Callable[[], Any]] = {
    "write": lambda: flask.session.update(seen=1),
    "login": lambda: flask.session.update(_user_id="ann"),
    "login(": lambda: flask.session.login("ann"),  # type: ignore[attr-defined]
    "logout": lambda: flask.session.pop("_user_id"),
    "regenerate": lambda: flask.session.regenerate(),  # type: ignore[attr-defined]
}


def manager_of(app: flask.Flask) -> Any:
    with app.app_context():
        return app.extensions["limpet"].manager


def listed(app: flask.Flask) -> list[Any]:
    sessions: list[Any] = manager_of(app).blocking.sessions_of("ann")
    return sessions


def event(browser: FlaskClient, word: str, transport: dict[str, str]) -> None:
    """Do what Flask-SocketIO does with an event."""
    app, cookie = browser.application, browser.get_cookie("session")
    came = transport if cookie is None else {**transport, "Cookie": f"session={cookie.value}"}
    with app.test_request_context("/socket.io/", headers=came):
        session, request = flask.session._get_current_object(), flask.request  # type: ignore[attr-defined]
        request.sid, request.namespace, request.event = "x", "/", {"message": word}  # type: ignore[attr-defined]
        WORDS[word]()
        if session.modified:
            app.session_interface.save_session(app, session, app.response_class())


def watched(browser: FlaskClient, word: str, transport: dict[str, str]) -> None:
    browser.get(f"/watch/{word}", headers={**UPGRADE, **transport})


WAYS = pytest.mark.parametrize(
    ("way", "transport"), [(event, {}), (event, UPGRADE), (watched, {})], ids=["polling", "event", "websocket"]
)


@WAYS
@KINDS
@pytest.mark.parametrize("word", ["login", "login(", "regenerate"])
def test_a_login_over_a_socket_leaves_the_session_as_it_is(
    kind: str, word: str, way: Callable[..., None], transport: dict[str, str]
) -> None:
    """It cannot hand out the new id: it says so, and the browser keeps its session."""
    browser = site(kind).test_client()
    browser.get("/put/tea")
    with pytest.raises(SessionClosed, match="no cookie can be sent over a socket"):
        way(browser, word, transport)
    assert browser.get("/keys").json == ["cart"]


@WAYS
def test_a_logout_over_a_socket_is_one(way: Callable[..., None], transport: dict[str, str]) -> None:
    browser = site("memory:").test_client()
    browser.get("/put/tea")
    browser.get("/login/ann")
    way(browser, "logout", transport)
    assert browser.get("/keys").json == []
    assert listed(browser.application) == []


@WAYS
def test_a_logout_that_a_cookie_would_survive_is_refused(way: Callable[..., None], transport: dict[str, str]) -> None:
    browser = site("cookie:").test_client()
    browser.get("/login/ann")
    with pytest.raises(SessionClosed, match="over a socket"):
        way(browser, "logout", transport)


@WAYS
@KINDS
def test_a_write_over_a_socket(
    kind: str, way: Callable[..., None], transport: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is saved into a session that is there; without one, nothing is stored that no browser could ever find."""
    app = site(kind)
    stranger, browser = app.test_client(), app.test_client()
    browser.get("/put/tea")
    way(browser, "write", transport)
    assert browser.get("/keys").json == (["cart"] if kind == "cookie:" else ["cart", "seen"])
    with caplog.at_level(logging.WARNING, "limpet"):
        way(stranger, "write", transport)
        way(stranger, "write", transport)
    assert stranger.get_cookie("session") is None
    if kind != "cookie:":
        (told,) = caplog.records
        assert told.message.endswith("with a request of HTTP before it; what was written is lost")
        assert len(manager_of(app).store._records) == 1


def test_a_login_in_a_stream_is_refused_as_well(tmp_path: Path) -> None:
    """The headers are gone: a key that logs somebody in is no way around what `login` refuses there."""
    browser = site(f"sqlite:///{tmp_path}/sessions.db").test_client()
    browser.get("/put/tea")
    with pytest.raises(SessionClosed, match="a new id cannot be handed out any more"):
        _ = browser.get("/stream/login").text
    assert browser.get("/keys").json == ["cart"]


def test_a_logout_in_a_stream_ends_the_session(tmp_path: Path) -> None:
    browser = site(f"sqlite:///{tmp_path}/sessions.db").test_client()
    browser.get("/put/tea")
    browser.get("/login/ann")
    assert browser.get("/stream/logout").text == "begun"
    assert browser.get("/keys").json == []
    assert listed(browser.application) == []
