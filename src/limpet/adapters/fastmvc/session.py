"""The names of ``fastmiddleware.session``."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.fastmvc._config import SessionConfig
from limpet.adapters.fastmvc._memory import InMemorySessionStore
from limpet.adapters.fastmvc._middleware import SessionMiddleware
from limpet.adapters.fastmvc._session import Session
from limpet.adapters.fastmvc._store import SessionStore

__all__ = ["InMemorySessionStore", "Session", "SessionConfig", "SessionMiddleware", "SessionStore"]

__getattr__ = fall_through(__name__, "fastmiddleware.session")
