"""The names of ``blacksheep.sessions.abc``."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._abc import Serializer, SessionSerializer, SessionStore
from limpet.adapters.blacksheep._session import Session

__all__ = ["Serializer", "Session", "SessionSerializer", "SessionStore"]

__getattr__ = fall_through(__name__, "blacksheep.sessions.abc")
