"""What ``req.session`` is."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._words import Session

__all__ = ["Session"]

__getattr__ = fall_through(__name__, "nexios.session.session_objects")
