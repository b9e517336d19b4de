"""The Flask application that a real gunicorn serves: it answers as `tests.wsgi.workers` does."""

from __future__ import annotations

import os

import flask

from limpet.adapters.flask import Limpet, session

__all__ = ["app"]

app = flask.Flask(__name__)
app.config.update(SECRET_KEY="gunicorn" * 4 + "aB3dE5fG7hJ9kL", SESSION_COOKIE_NAME="sid")
limpet = Limpet(app, os.environ.get("LIMPET_TEST_STORE", "memory:"))

if os.environ.get("LIMPET_TEST_OPEN"):
    with app.app_context():
        limpet.manager.blocking.sessions_of("nobody")  # opens the store before the fork


@app.get("/")
def home() -> str:
    return ""


@app.get("/login")
def login() -> str:
    session["_user_id"] = "ann"  # as Flask-Login does
    return ""


@app.get("/add")
def add() -> str:
    return str(session.increment("n"))


@app.get("/key")
def key() -> str:
    session[flask.request.query_string.decode()] = True
    return ""


@app.get("/both")
def both() -> str:
    with session.exclusive("slow"):
        return str(session.increment("n"))


@app.get("/seen")
def seen() -> str:
    return str((session.get("n", 0), len(session)))


@app.get("/logout")
def logout() -> str:
    session.logout()
    return ""
