"""Nexios: put ``limpet.adapters.`` before ``nexios`` in the imports, and change nothing else.

::

    from limpet.adapters.nexios import NexiosApp
    from limpet.adapters.nexios.session.middleware import SessionMiddleware

    app = NexiosApp()
    app.config.secret_key = os.environ["SECRET_KEY"]
    app.add_middleware(SessionMiddleware())

    @app.get("/")
    async def visits(req, res):
        return res.text(f"visit {req.session.increment('visits')}")

The framework is the real one. A name that is not here is its own, and so is a submodule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.errors import MissingDependency

try:
    import nexios.http
    import nexios.session.base
    import nexios.session.file
    import nexios.session.session_objects
    import nexios.session.signed_cookies
    from nexios import MakeConfig
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.nexios", "nexios") from _error

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._application import NexiosApp, get_application
from limpet.adapters.nexios._backends import BaseSessionInterface
from limpet.adapters.nexios._config import BaseConfig, SessionConfig
from limpet.adapters.nexios._fresh import fresh_login
from limpet.adapters.nexios._interfaces import FileSessionInterface, FileSessionManager, SignedSessionManager
from limpet.adapters.nexios._middleware import SessionMiddleware
from limpet.adapters.nexios._requests import InvalidCookie, Request, get_session, read_cookie
from limpet.adapters.nexios._responses import Response
from limpet.adapters.nexios._routes import Route, Router
from limpet.adapters.nexios._words import Session

if TYPE_CHECKING:  # at run time `__getattr__` finds these and all others
    from nexios import Context as Context
    from nexios import Cookie as Cookie
    from nexios import Depend as Depend
    from nexios import FrontendApp as FrontendApp
    from nexios import Header as Header
    from nexios import Query as Query
    from nexios import get_current_context as get_current_context
    from nexios import reset_context as reset_context
    from nexios import set_config as set_config
    from nexios import set_context as set_context

__all__ = [
    "BaseConfig",
    "BaseSessionInterface",
    "FileSessionInterface",
    "FileSessionManager",
    "InvalidCookie",
    "MakeConfig",
    "NexiosApp",
    "Request",
    "Response",
    "Route",
    "Router",
    "Session",
    "SessionConfig",
    "SessionMiddleware",
    "SignedSessionManager",
    "fresh_login",
    "get_application",
    "get_session",
    "read_cookie",
]

__getattr__ = fall_through(
    __name__,
    "nexios",
    counterparts=(
        (nexios.NexiosApp, NexiosApp),
        (nexios.Route, Route),
        (nexios.Router, Router),
        (nexios.http.Request, Request),
        (nexios.http.Response, Response),
        (nexios.session.SessionConfig, SessionConfig),
        (nexios.session.SessionMiddleware, SessionMiddleware),
        (nexios.session.base.BaseSessionInterface, BaseSessionInterface),
        (nexios.session.file.FileSessionManager, FileSessionManager),
        (nexios.session.session_objects.Session, Session),
        (nexios.session.signed_cookies.SignedSessionManager, SignedSessionManager),
    ),
)
