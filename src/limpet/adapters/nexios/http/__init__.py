"""`nexios.http`, with the request and the response of this adapter."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._requests import InvalidCookie, Request, read_cookie
from limpet.adapters.nexios._responses import Response

__all__ = ["InvalidCookie", "Request", "Response", "read_cookie"]

__getattr__ = fall_through(__name__, "nexios.http")
