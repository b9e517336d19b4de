"""The names of ``blacksheep.sessions``; those that are not here are BlackSheep's own."""

from __future__ import annotations

from holdfast.adapters._fallthrough import fall_through
from holdfast.adapters.blacksheep.sessions.abc import Serializer, Session, SessionSerializer, SessionStore
from holdfast.adapters.blacksheep.sessions.json import JSONSerializer

__all__ = ["JSONSerializer", "Serializer", "Session", "SessionSerializer", "SessionStore"]

__getattr__ = fall_through(__name__, "blacksheep.sessions")
