"""The settings of sessions."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._config import SessionConfig

__all__ = ["SessionConfig"]

__getattr__ = fall_through(__name__, "nexios.session.config")
