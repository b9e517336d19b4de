"""Settings of a visitor, with the names of FastMVC's session middleware.

Run it with ``LIMPET_DEV=1 uvicorn examples.fastmvc_app:app`` and open http://127.0.0.1:8000/. Set SECRET_KEY to
what ``limpet keygen`` prints.
"""

from __future__ import annotations

import os
import secrets
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from limpet.adapters.fastmvc import CSRFMiddleware, SessionConfig, SessionMiddleware, csrf_token

THEMES = ("light", "dark")
PAGE = """<!doctype html>
<title>Settings</title>
<body class="{theme}">
<h1>Hello, {name}. Visit {visits}</h1>
<form method="post" action="/settings">
<input type="hidden" name="csrf_token" value="{token}">
<input name="name" value="{name}">
<select name="theme"><option>light<option>dark</select>
<button>Save</button>
</form>
<form method="post" action="/forget">
<input type="hidden" name="csrf_token" value="{token}"><button>Forget me</button>
</form>
"""

config = SessionConfig(
    secret_key=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32),  # without one: new at each start
    max_age=7 * 24 * 3600,
    exclude_paths={"/health"},
)
app = FastAPI()
app.add_middleware(CSRFMiddleware, exclude_paths={"/health"})
app.add_middleware(SessionMiddleware, config=config, store="sqlite:///settings.db")


@app.get("/", response_class=HTMLResponse)
async def show(request: Request) -> str:
    session = request.state.session
    session.set("visits", session.get("visits", 0) + 1)
    return PAGE.format(
        theme=session.get("theme", THEMES[0]),
        name=escape(session.get("name", "stranger"), quote=True),
        visits=session["visits"],
        token=csrf_token(request),
    )


@app.post("/settings")
async def save(request: Request, name: Annotated[str, Form()], theme: Annotated[str, Form()]) -> RedirectResponse:
    session = request.state.session
    session.set("name", name)
    if theme in THEMES:
        session.set("theme", theme)
    else:
        session.delete("theme")
    return RedirectResponse("/", 303)


@app.post("/forget")
async def forget(request: Request) -> RedirectResponse:
    request.state.session.clear()  # the row and the cookie are gone
    return RedirectResponse("/", 303)


@app.get("/health")
async def health() -> str:
    return "ok"
