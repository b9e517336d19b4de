"""What turns sessions on."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._middleware import FileSessionMiddleware as SessionMiddleware

__all__ = ["SessionMiddleware"]

__getattr__ = fall_through(__name__, "nexios.session.middleware")
