"""Carry the token between client and server: in a `cookie`, or in a `header` for clients that keep no cookies."""

from __future__ import annotations

from limpet.transports.cookie import CookieTransport
from limpet.transports.header import HeaderTransport

__all__ = ["CookieTransport", "HeaderTransport"]
