"""The backend that keeps sessions in their cookies."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._interfaces import SignedSessionManager

__all__ = ["SignedSessionManager"]

__getattr__ = fall_through(__name__, "nexios.session.signed_cookies")
