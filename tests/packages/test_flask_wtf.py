"""Flask-WTF, unchanged: its token against forged requests lies in the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.csrf import generate_csrf
from wtforms import StringField

from tests.packages.flask_site import KINDS, field, make_app


class Name(FlaskForm):  # type: ignore[misc]
    name = StringField("name")


def site(kind: str, folder: Path) -> flask.Flask:
    """Return an application with a form, and everything else protected too."""
    app = make_app(kind, folder)
    CSRFProtect(app)

    @app.route("/form", methods=["GET", "POST"])
    def form() -> Any:
        filled = Name()
        if filled.validate_on_submit():
            flask.session["name"] = filled.name.data
            return f"hello, {filled.name.data}"
        return flask.render_template_string("<form>{{ form.hidden_tag() }}</form>", form=filled)

    @app.route("/token")
    def token() -> str:
        text: str = generate_csrf()
        return text

    @app.post("/plain")
    def plain() -> str:
        return "done"

    return app


@KINDS
def test_a_form_is_accepted_from_its_own_session_alone(kind: str, tmp_path: Path) -> None:
    """With the token of the page it is, without one or with another visitor's it is refused."""
    app = site(kind, tmp_path)
    browser, stranger = app.test_client(), app.test_client()
    token = field(browser.get("/form").text, "csrf_token")
    assert browser.post("/form", data={"name": "ann", "csrf_token": token}).text == "hello, ann"
    assert browser.post("/form", data={"name": "ann"}).status_code == 400
    assert stranger.post("/form", data={"name": "ann", "csrf_token": token}).status_code == 400
    assert browser.get("/session").json == ["csrf_token", "name"]


@KINDS
def test_a_script_sends_the_token_in_a_header(kind: str, tmp_path: Path) -> None:
    """What is no form is protected by `CSRFProtect`."""
    browser = site(kind, tmp_path).test_client()
    token = browser.get("/token").text
    assert browser.post("/plain").status_code == 400
    assert browser.post("/plain", headers={"X-CSRFToken": token}).text == "done"
