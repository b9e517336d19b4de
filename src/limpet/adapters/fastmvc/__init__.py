"""FastMVC's session middleware for FastAPI and Starlette, over the engine.

In an import line put this module's name where the other one was; nothing else changes::

    from limpet.adapters.fastmvc import SessionConfig, SessionMiddleware

    app = FastAPI()
    app.add_middleware(SessionMiddleware, config=SessionConfig(secret_key=os.environ["SECRET_KEY"]))

    @app.get("/")
    async def visits(request: Request):
        session = request.state.session
        session.set("visits", session.get("visits", 0) + 1)

`limpet.adapters.fastapi` is the native way, with typed dependencies; both may be used in one application.
"""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.fastmvc._config import SessionConfig
from limpet.adapters.fastmvc._memory import InMemorySessionStore
from limpet.adapters.fastmvc._middleware import CSRFMiddleware, SessionMiddleware
from limpet.adapters.fastmvc._session import Session
from limpet.adapters.fastmvc._store import SessionStore
from limpet.csrf import csrf_token

__all__ = [
    "CSRFMiddleware",
    "InMemorySessionStore",
    "Session",
    "SessionConfig",
    "SessionMiddleware",
    "SessionStore",
    "csrf_token",
]

__getattr__ = fall_through(__name__, "fastmiddleware")  # its other middlewares, where it is installed
