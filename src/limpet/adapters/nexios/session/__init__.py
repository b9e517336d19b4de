"""Sessions as the third generation of Nexios documents them: in the cookie, unless a manager is named."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._backends import BaseSessionInterface
from limpet.adapters.nexios._config import SessionConfig
from limpet.adapters.nexios._middleware import SessionMiddleware
from limpet.adapters.nexios._words import Session

__all__ = ["BaseSessionInterface", "Session", "SessionConfig", "SessionMiddleware"]

__getattr__ = fall_through(__name__, "nexios.session")
