"""The base class of a backend of one's own."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._backends import BaseSessionInterface

__all__ = ["BaseSessionInterface"]

__getattr__ = fall_through(__name__, "nexios.session.base")
