"""The names of ``blacksheep.sessions``; those that are not here are BlackSheep's own."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._managed import SessionMiddleware
from limpet.adapters.blacksheep.sessions.abc import Serializer, Session, SessionSerializer, SessionStore
from limpet.adapters.blacksheep.sessions.json import JSONSerializer

__all__ = ["JSONSerializer", "Serializer", "Session", "SessionMiddleware", "SessionSerializer", "SessionStore"]

__getattr__ = fall_through(__name__, "blacksheep.sessions")
