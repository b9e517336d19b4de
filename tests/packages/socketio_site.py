"""A Socket.IO server beside FastAPI, with sessions around both; `test_socketio` serves it in a process of its own."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import socketio
import socketio.exceptions as socketio_exceptions
from fastapi import FastAPI

from limpet import CookiePolicy, Session, SessionEnded, SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware

__all__ = ["app"]

manager = SessionManager("memory:", cookie=CookiePolicy(name="ours", secure=False))
web = FastAPI()
sio = socketio.AsyncServer(async_mode="asgi", ping_interval=1, ping_timeout=2)
app = SessionMiddleware(socketio.ASGIApp(sio, web), manager)


@web.get("/login/{name}")
async def login(name: str, session: SessionDep) -> None:
    session.login(name)


@web.get("/logout")
async def logout(session: SessionDep) -> None:
    session.logout()


@web.get("/data")
async def data(session: SessionDep) -> dict[str, Any]:
    return dict(session)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    """Look who it is. The request that began the connection may be over when the first event comes (polling is)."""
    session: Session = environ["asgi.scope"]["session"]
    if session.subject is None:
        raise socketio_exceptions.ConnectionRefusedError("please log in")
    await sio.save_session(sid, {"user": session.subject, "public_id": session.public_id})


@sio.event
async def whoami(sid: str) -> Any:
    return (await sio.get_session(sid))["user"]


@sio.event
async def say(sid: str, text: str) -> int | None:
    """Count in the session, and save it; None if it has ended."""
    known = await sio.get_session(sid)
    try:
        async with manager.open(known["public_id"]) as session:
            session["last"] = text
            return int(session.increment("said"))
    except SessionEnded:
        return None
