"""A FastAPI application with NiceGUI in it, served by `test_nicegui` in a process of its own.

``NICEGUI_SESSIONS=ours`` adds the line that gives NiceGUI our sessions in the place of its own, ``replaced`` the one
that puts the middleware with Starlette's arguments in the place of Starlette's.
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

from fastapi import FastAPI, Request
from nicegui import app as nicegui_app
from nicegui import background_tasks, storage, ui

from limpet import CookiePolicy, SessionManager
from limpet.adapters.fastapi import Session, SessionDep, SessionMiddleware, session_of
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn

__all__ = ["app"]

SECRET = "a secret of a test that is long enough to be one, 0123456789"
NOTED: dict[str, Any] = {}

app = FastAPI()
manager = SessionManager("memory:", cookie=CookiePolicy(name="ours", secure=False))
app.add_middleware(SessionMiddleware, manager=manager)


@app.get("/login/{name}")
async def login(name: str, session: SessionDep) -> None:
    session["user_id"] = name


@app.get("/logout")
async def logout(session: SessionDep) -> None:
    session.logout()


@app.get("/data")
async def data(session: SessionDep) -> Any:
    return {"session": dict(session), "noted": NOTED}


@ui.page("/ui")
async def page(request: Request) -> None:
    """Show and change NiceGUI's storages, and once more when the response has long gone."""
    kept = nicegui_app.storage
    kept.user["visits"] = kept.user.get("visits", 0) + 1
    kept.browser["seen"] = True
    ui.label(f"user {request.session.get('user_id')}, visits {kept.user['visits']}")

    async def later() -> None:
        await asyncio.sleep(0.05)
        kept.user["later"] = True
        NOTED.update(id=kept.browser["id"], later=kept.user["later"], visits=kept.user["visits"])

    background_tasks.create(later())


@ui.page("/cart")
async def cart(session: Annotated[Session, session_of(manager)]) -> None:
    """Change the session of the application as an event of this page does it: later, by its public id."""
    session.setdefault("cart", []).append("tea")
    await session.save()  # a new session has no id before that
    public_id = session.public_id
    assert public_id is not None

    async def add() -> None:
        await asyncio.sleep(0.05)
        async with manager.open(public_id) as fresh:
            fresh["cart"].append("milk")

    background_tasks.create(add())


if os.environ.get("NICEGUI_SESSIONS") == "replaced":
    storage.SessionMiddleware = DropIn  # type: ignore[assignment, attr-defined]
ui.run_with(app, mount_path="/", storage_secret=SECRET)
if os.environ.get("NICEGUI_SESSIONS") == "ours":
    theirs = nicegui_app.user_middleware
    theirs[:] = [each for each in theirs if getattr(each.cls, "__name__", "") != "SessionMiddleware"]
