"""What a FastAPI application around another package has: a login and a logout, and its session shown."""

from __future__ import annotations

from fastapi import APIRouter

from limpet.adapters.fastapi import SessionDep

__all__ = ["routes"]

routes = APIRouter()


@routes.get("/sign-in/{name}")
async def sign_in(name: str, session: SessionDep) -> str:
    """Log in."""
    session.login(name)
    return name


@routes.get("/sign-out")
async def sign_out(session: SessionDep) -> str:
    """Log out."""
    session.logout()
    return ""


@routes.get("/data")
async def data(session: SessionDep) -> dict[str, object]:
    """Show the session."""
    return {"subject": session.subject, "asked": session.get("asked", 0)}
