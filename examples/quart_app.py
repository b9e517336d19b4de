"""A guest book on Quart: sign it, and see how often you came.

Run it with ``LIMPET_DEV=1 uvicorn examples.quart_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from quart import Quart, redirect, render_template_string, request, session

from limpet.adapters.quart import Limpet, get_session

PAGE = """<!doctype html>
<title>Guest book</title>
<h1>{{ name }}, visit {{ visits }}</h1>
{% for line in lines %}<p>{{ line }}</p>{% endfor %}
<form method="post" action="/sign"><input name="line" required><button>Sign</button></form>
<form method="post" action="/login"><input name="name" required><button>Log in</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
"""

app = Quart(__name__)
Limpet(app, manager="sqlite:///guests.db")


@app.get("/")
async def page() -> str:
    visits = get_session().increment("visits")
    name, lines = session.get("name", "Stranger"), session.get("lines", [])
    return await render_template_string(PAGE, name=name, visits=visits, lines=lines)


@app.post("/sign")
async def sign() -> object:
    form = await request.form
    session.setdefault("lines", []).append(form["line"])
    return redirect("/")


@app.post("/login")
async def login() -> object:
    form = await request.form
    get_session().login(form["name"])
    session["name"] = form["name"]
    return redirect("/")


@app.post("/logout")
async def logout() -> object:
    get_session().logout()
    return redirect("/")
