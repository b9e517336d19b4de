"""An application over FastMVC's middleware, with a route for everything that a session can do."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

from limpet.adapters.fastmvc import SessionMiddleware

__all__ = ["SECRET", "site"]

SECRET = "wPq0Zt7xYk3Jr9sNa2LhVc8dGm5fBe1UoXiT4RyQK6j"


def site(**settings: Any) -> FastAPI:
    """Return the application; without settings it has no middleware."""
    app = FastAPI()
    if settings:
        app.add_middleware(SessionMiddleware, **settings)

    @app.get("/visits")
    async def visits(request: Request) -> int:
        session = request.state.session
        session["visits"] = session.get("visits", 0) + 1
        return int(session["visits"])

    @app.get("/get/{key}")
    async def get(key: str, request: Request, default: str | None = None) -> Any:
        session = request.state.session
        return session.get(key) if default is None else session.get(key, default)

    @app.get("/set/{key}/{value}")
    async def put(key: str, value: str, request: Request) -> None:
        request.state.session.set(key, value)

    @app.get("/delete/{key}")
    async def delete(key: str, request: Request) -> None:
        request.state.session.delete(key)

    @app.get("/keys")
    async def keys(request: Request) -> list[str]:
        return sorted(request.state.session)

    @app.get("/clear")
    async def clear(request: Request) -> None:
        request.state.session.clear()

    @app.get("/regenerate")
    async def regenerate(request: Request) -> None:
        request.state.session.regenerate()

    @app.get("/sign-in/{user}")
    async def sign_in(user: int, request: Request) -> None:
        request.state.session["user_id"] = user

    @app.get("/id")
    async def identity(request: Request) -> dict[str, Any]:
        return {"id": request.state.session.id, "data": request.state.session.data}

    @app.get("/health")
    async def health(request: Request) -> bool:
        return hasattr(request.state, "session")

    @app.get("/health/deep")
    async def deep(request: Request) -> bool:
        return hasattr(request.state, "session")

    return app
