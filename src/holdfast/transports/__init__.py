"""Carry the token between client and server: in a `cookie`, or in a `header` for clients that keep no cookies."""

from __future__ import annotations

from holdfast.transports.cookie import CookieTransport
from holdfast.transports.header import HeaderTransport

__all__ = ["CookieTransport", "HeaderTransport"]
