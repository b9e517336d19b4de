"""The names of ``fastmiddleware.csrf``."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.fastmvc._middleware import CSRFMiddleware

__all__ = ["CSRFMiddleware"]

__getattr__ = fall_through(__name__, "fastmiddleware.csrf")
