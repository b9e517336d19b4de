"""A cinema on Flask: pick seats, log in with them, and see your other devices.

Run it with ``LIMPET_DEV=1 flask --app examples.flask_app run`` and open http://127.0.0.1:5000/.
"""

from __future__ import annotations

import os

from flask import Flask, flash, redirect, render_template_string, request
from markupsafe import Markup
from werkzeug.wrappers import Response

from limpet.adapters.flask import Limpet, session

SEATS = ["A1", "A2", "B1", "B2"]
PAGE = """<!doctype html>
<title>Cinema</title>
{% for message in get_flashed_messages() %}<p>{{ message }}</p>{% endfor %}
<h1>{{ session.get("name", "Stranger") }}: {{ session.get("seats", []) | length }} seats</h1>
{% for seat in seats %}
<form method="post" action="/seats/{{ seat }}"><button>{{ seat }}</button></form>
{% endfor %}
{% if session.get("name") %}
<p>Signed in on {{ devices }} devices</p>
<form method="post" action="/elsewhere"><button>Log out the others</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
{% else %}
<form method="post" action="/login"><input name="name" required><button>Log in</button></form>
{% endif %}
"""

app = Flask(__name__)
app.config.update(SECRET_KEY=os.environ.get("SECRET_KEY"), SESSION_COOKIE_SAMESITE="Lax")
limpet = Limpet(app, "sqlite:///cinema.db")  # many machines: redis://... or postgresql://...


@app.get("/")
def page() -> str:
    name = session.subject
    devices = len(limpet.manager.blocking.sessions_of(name)) if name else 0
    return render_template_string(PAGE, seats=SEATS, devices=devices)


@app.post("/seats/<seat>")
def take(seat: str) -> Response:
    if seat in SEATS and seat not in session.setdefault("seats", []):
        session["seats"].append(seat)  # two tabs at once: both seats are kept
        flash(Markup("<b>{}</b> is yours").format(seat))
    return redirect("/")


@app.post("/login")
def login() -> Response:
    name = request.form["name"].strip()  # a real application asks for a password here
    session.login(name)  # a new id, and the seats come along
    session["name"] = name
    return redirect("/")


@app.post("/elsewhere")
def elsewhere() -> Response:
    ended = limpet.manager.blocking.revoke_all(session.subject or "", except_=session.inner)
    flash(f"{ended} other sessions were ended")
    return redirect("/")


@app.post("/logout")
def logout() -> Response:
    session.logout()
    return redirect("/")
