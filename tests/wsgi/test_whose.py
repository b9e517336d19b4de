"""Whose device events name: what a thread does after a request was not done from that visitor's device."""

from __future__ import annotations

from typing import Any

import flask
import pytest

from limpet import SessionManager
from limpet.adapters.flask import Limpet
from limpet.contract import Record
from limpet.events import SessionRevoked
from limpet.stores import MemoryStore
from tests.wsgi.client import site


def devices(manager: SessionManager) -> list[Any]:
    """Return the devices that events of a revocation name, which is done on this thread and by no visitor."""
    named: list[Any] = []

    def note(event: Any) -> None:
        if isinstance(event, SessionRevoked):
            named.append(event.device)

    manager.listen(note)
    manager.blocking.revoke_all("ann")
    return named


@pytest.mark.parametrize("lazy", [True, False])
def test_a_load_that_breaks_off(lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the application runs, or in it, by an error that is not limpet's."""
    manager = SessionManager("memory:", devices=True)
    browser = site(lambda session: session.login("ann") if "a" not in session else None, manager, lazy=lazy)
    browser.get(HTTP_USER_AGENT="Eve")

    async def broken(*arguments: Any) -> Record | None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        for name in ("load", "load_many"):
            patch.setattr(MemoryStore, name, broken)
        with pytest.raises(ZeroDivisionError):
            browser.get(HTTP_USER_AGENT="Eve")
    assert devices(manager) == [None]


@pytest.mark.parametrize("where", ["view", "after", "socket"])
def test_a_request_of_flask_that_is_not_saved_as_usual(where: str) -> None:
    """Its error goes on to the server, a function after the view fails, or it was one over a socket."""
    app = flask.Flask("whose")
    app.config.update(SECRET_KEY="k" * 43, PROPAGATE_EXCEPTIONS=where == "view")
    Limpet(app, manager := SessionManager("memory:", devices=True, dev=True))

    @app.route("/login")
    def login() -> str:
        flask.session.login("ann")  # type: ignore[attr-defined]
        return ""

    @app.route("/view")
    @app.route("/after")
    def view() -> str:
        len(flask.session)
        if where == "view":
            raise ZeroDivisionError
        return ""

    @app.route("/socket", websocket=True)
    def socket() -> flask.Response:
        len(flask.session)
        return flask.Response()

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        if flask.request.path == "/after":
            raise ZeroDivisionError
        return response

    browser, agent = app.test_client(), {"User-Agent": "Eve"}
    browser.get("/login", headers=agent)
    if where == "view":
        with pytest.raises(ZeroDivisionError):
            browser.get("/view", headers=agent)
    elif where == "after":
        assert browser.get("/after", headers=agent).status_code == 500
    else:
        browser.get("/socket", headers=agent | {"Connection": "Upgrade", "Upgrade": "websocket"})
    assert devices(manager) == [None]
