"""A small Litestar application for the tests."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, get

from limpet.adapters.litestar import SessionDep, SessionPlugin

__all__ = ["AnyRequest", "app_of", "data", "visits"]

AnyRequest = Request[Any, Any, Any]


@get("/visits")
async def visits(session: SessionDep) -> int:
    return int(session.increment("visits"))


@get("/data")
async def data(session: SessionDep) -> dict[str, Any]:
    return dict(session)


def app_of(*handlers: Any, manager: Any = "memory:", **settings: Any) -> Litestar:
    """Return an application with these handlers and the usual ones."""
    return Litestar([visits, data, *handlers], plugins=[SessionPlugin(manager, **settings)])
