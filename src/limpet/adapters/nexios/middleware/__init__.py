"""The names of ``nexios.middleware``, and `SessionMiddleware`, which some of Nexios' documents import from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._middleware import SessionMiddleware

if TYPE_CHECKING:
    from nexios.middleware import BaseMiddleware as BaseMiddleware
    from nexios.middleware import CORSMiddleware as CORSMiddleware
    from nexios.middleware import CSRFMiddleware as CSRFMiddleware

__all__ = ["SessionMiddleware"]

__getattr__ = fall_through(__name__, "nexios.middleware")
