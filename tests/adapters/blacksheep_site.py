"""Small BlackSheep applications."""

from __future__ import annotations

from typing import Any

from blacksheep import Request, Router

from limpet.adapters.blacksheep import Application, get_session
from limpet.testing import SessionClient, client
from tests.adapters.short_stack import on_a_short_stack

__all__ = ["count", "site"]


def site(handler: Any, *given: Any, **settings: Any) -> tuple[Application, SessionClient]:
    """Return an application with one handler, and a browser."""
    router = Router()
    app = on_a_short_stack(lambda: Application(router=router))
    app.use_sessions(*(given or ("memory:",)), **settings)
    router.add_get("/", handler)
    return app, client(app, raise_server_exceptions=False)


def count(request: Request) -> str:
    return str(get_session(request).increment("visits"))
