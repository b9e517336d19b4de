"""BlackSheep.

::

    from limpet.adapters.blacksheep import Application, get

    app = Application()
    app.use_sessions("postgresql://localhost/app")      # or a secret key: the session lives in its cookie, encrypted

    @get("/")
    def home(request: Request):
        request.session["visits"] = request.session.get("visits", 0) + 1

An `Application` is BlackSheep's own with another `use_sessions`. For one that exists already there is the function::

    use_sessions(app, "postgresql://localhost/app")

Every other name and submodule is BlackSheep's: an import line of its documentation works with ``limpet.adapters.`` in
front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.errors import MissingDependency

try:
    import blacksheep.server.application
    import blacksheep.sessions.abc
    import blacksheep.sessions.cookies
    import blacksheep.sessions.json
    import blacksheep.sessions.memory
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.blacksheep", "blacksheep") from _error

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._application import Application, get_session, use_sessions
from limpet.adapters.blacksheep._fresh import fresh_login
from limpet.adapters.blacksheep._session import Session
from limpet.adapters.blacksheep.sessions import JSONSerializer, SessionMiddleware, SessionSerializer, SessionStore
from limpet.adapters.blacksheep.sessions.cookies import CookieSessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore

if TYPE_CHECKING:
    from blacksheep import *  # type: ignore[assignment] # noqa: F403 - at run time `__getattr__` finds these names

    from limpet.adapters.blacksheep._application import Application as Application  # and not BlackSheep's

__all__ = ["Application", "Session", "fresh_login", "get_session", "use_sessions"]

__getattr__ = fall_through(
    __name__,
    "blacksheep",
    counterparts=(
        (blacksheep.server.application.Application, Application),
        (blacksheep.sessions.abc.Session, Session),
        (blacksheep.sessions.abc.SessionStore, SessionStore),
        (blacksheep.sessions.abc.SessionSerializer, SessionSerializer),
        (blacksheep.sessions.SessionMiddleware, SessionMiddleware),
        (blacksheep.sessions.cookies.CookieSessionStore, CookieSessionStore),
        (blacksheep.sessions.json.JSONSerializer, JSONSerializer),
        (blacksheep.sessions.memory.InMemorySessionStore, InMemorySessionStore),
    ),
)
