"""`nexios.routing`, with the route and the router of this adapter."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._routes import Route, Router

__all__ = ["Route", "Router"]

__getattr__ = fall_through(__name__, "nexios.routing")
