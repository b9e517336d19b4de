"""A note board on BlackSheep: everybody has notes, and whoever logs in has a name on them.

Run it with ``uvicorn examples.blacksheep_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from html import escape

from blacksheep import FromForm, Request, Response
from blacksheep.server.responses import html, see_other

from limpet.adapters.blacksheep import Application, get, get_session, post

PAGE = """<!doctype html>
<title>Notes</title>
<h1>{who}: {visits} visits</h1>
<ul>{notes}</ul>
<form method="post" action="/notes"><input name="text"> <button>Note</button></form>
<form method="post" action="/login"><input name="text"> <button>Log in</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
"""


class Line:
    """What each of the forms sends."""

    def __init__(self, text: str = "") -> None:
        self.text = text


app = Application()
app.use_sessions("sqlite:///notes.db")  # many machines: postgresql://... or redis://..., and nothing else changes


@get("/")
def board(request: Request) -> Response:
    session = get_session(request)
    visits = session.increment("visits")  # exact, also when two tabs load at once
    notes = "".join(f"<li>{escape(note)}" for note in session.get("notes", []))
    return html(PAGE.format(who=escape(session.subject or "Nobody"), visits=visits, notes=notes))


@post("/notes")
def note(request: Request, form: FromForm[Line]) -> Response:
    request.session.setdefault("notes", []).append(form.value.text)  # a nested change is saved without a word
    return see_other("/")


@post("/login")
def login(request: Request, form: FromForm[Line]) -> Response:
    get_session(request).login(form.value.text)  # a new id; the old one is dead at once
    return see_other("/")


@post("/logout")
def logout(request: Request) -> Response:
    get_session(request).logout()
    return see_other("/")
