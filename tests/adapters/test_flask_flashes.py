"""Flask: messages that two requests of one browser leave or show at once."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask.testing import FlaskClient

from limpet.adapters.flask import Limpet

BASE = "https://localhost"


@pytest.fixture
def app() -> Flask:
    """An application whose page `/during/<what>` is overtaken by another request of its browser."""
    made = Flask(__name__)
    made.config.update(SECRET_KEY="sF0cUAtE0CPdJkSJY3zJl8cUqZr5ck2qXr5tQbbY2Tg", SESSION_COOKIE_SECURE=True)
    Limpet(made, "memory:")

    @made.get("/leave/<text>")
    def leave(text: str) -> str:
        flash(text)
        return ""

    @made.get("/show")
    def show() -> Any:
        return get_flashed_messages()

    @made.get("/during/<what>/<path:other>")
    def during(what: str, other: str) -> Any:
        session.get("x")
        shown = get_flashed_messages() if what == "show" else []
        second = made.test_client()
        second.set_cookie("session", made.config["token"], domain="localhost", secure=True)
        second.get(f"/{other}", base_url=BASE)
        if what != "show":
            flash(what)
        return shown

    return made


@pytest.mark.parametrize(
    ("overtaken", "left"),
    [
        ("/during/a/leave/b", ["old", "b", "a"]),
        ("/during/show/leave/b", ["b"]),
        ("/during/a/show", ["a"]),
        ("/during/show/show", []),
    ],
)
def test_messages_of_two_requests_are_both_kept(app: Flask, overtaken: str, left: list[str]) -> None:
    """What was shown is not shown again, and what was left is not lost."""
    browser: FlaskClient = app.test_client()
    browser.get("/leave/old", base_url=BASE)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    app.config["token"] = cookie.value
    assert browser.get(overtaken, base_url=BASE).status_code == 200
    assert browser.get("/show", base_url=BASE).json == left
