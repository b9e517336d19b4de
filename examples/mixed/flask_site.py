"""The part of the site that is in Flask. Its forms have Flask-WTF's tokens."""

from __future__ import annotations

import html

import flask
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from examples.mixed.shared import PAGE, PEOPLE, SECRET, manager
from limpet.adapters.flask import Limpet, session

app = flask.Flask(__name__)
app.secret_key = SECRET
Limpet(app, manager())
CSRFProtect(app)


@app.get("/flask/")
def page() -> str:
    token = f'<input type="hidden" name="csrf_token" value="{generate_csrf()}">'
    who, count = html.escape(session.subject or "nobody"), session.get("count", 0)
    return PAGE.format(framework="Flask", path="flask", who=who, count=count, token=token)


@app.post("/flask/login")
def login() -> flask.typing.ResponseReturnValue:
    session.login(PEOPLE.get(flask.request.form["name"]) or flask.abort(403))
    return flask.redirect("/flask/", 303)


@app.post("/flask/add")
def add() -> flask.typing.ResponseReturnValue:
    session.increment("count")
    return flask.redirect("/flask/", 303)


@app.post("/flask/logout")
def logout() -> flask.typing.ResponseReturnValue:
    session.logout()
    return flask.redirect("/flask/", 303)
