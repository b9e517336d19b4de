"""The part of the site that has moved to FastAPI."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from examples.mixed.shared import PAGE, PEOPLE, manager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.csrf import CSRFMiddleware, csrf_token

app = FastAPI()
app.add_middleware(CSRFMiddleware)
app.add_middleware(SessionMiddleware, manager=manager())


@app.get("/fastapi/")
async def page(request: Request, session: SessionDep) -> HTMLResponse:
    token = f'<input type="hidden" name="csrf_token" value="{csrf_token(request)}">'
    who, count = html.escape(session.subject or "nobody"), session.get("count", 0)
    return HTMLResponse(PAGE.format(framework="FastAPI", path="fastapi", who=who, count=count, token=token))


@app.post("/fastapi/login")
async def login(session: SessionDep, name: Annotated[str, Form()]) -> RedirectResponse:
    if name not in PEOPLE:
        raise HTTPException(403, "nobody of that name")
    session.login(PEOPLE[name])
    return RedirectResponse("/fastapi/", 303)


@app.post("/fastapi/add")
async def add(session: SessionDep) -> RedirectResponse:
    session.increment("count")
    return RedirectResponse("/fastapi/", 303)


@app.post("/fastapi/logout")
async def logout(session: SessionDep) -> RedirectResponse:
    session.logout()
    return RedirectResponse("/fastapi/", 303)
