"""Litestar.

::

    @post("/cart/{item:str}")
    async def add(item: str, session: SessionDep) -> list[str]:
        session.setdefault("cart", []).append(item)
        return session["cart"]

    app = Litestar([add], plugins=[SessionPlugin("sqlite:///sessions.db")])

``request.session`` is the same object. ``request.set_session({...})`` puts other data into the session and
``request.clear_session()`` ends it, as with Litestar's own middleware; so does the opt-out of a route,
``@get("/health", skip_session=True)``.

Litestar looks for the route before it runs any middleware: its answers 404 and 405 have no session, not even in an
exception handler. Where that is wanted, put `limpet.asgi.SessionMiddleware` around the whole application, with the
manager of the plugin.

For sessions on some routes alone, ``SessionPlugin(..., everywhere=False)`` and ``middleware=[plugin.middleware]`` on a
router, a controller or a route. ``plugin.config`` is what Litestar's ``SessionAuth`` and its test client take.
"""

from __future__ import annotations

from limpet.errors import MissingDependency

try:
    from litestar.di import NamedDependency
    from litestar.params import SkipValidation
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.litestar", "litestar") from _error

from limpet._core.session import Session
from limpet.adapters.litestar._fresh import fresh_login
from limpet.adapters.litestar._held import get_session
from limpet.adapters.litestar._plugin import SessionPlugin
from limpet.adapters.litestar._values import PlainSerializer

__all__ = ["PlainSerializer", "Session", "SessionDep", "SessionPlugin", "fresh_login", "get_session"]

SessionDep = NamedDependency[SkipValidation[Session]]
"""The session of a request or a WebSocket, loaded; the parameter's name is that of the dependency, ``session``."""
