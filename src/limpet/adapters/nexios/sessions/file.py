"""The file backend, under both of its names."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._interfaces import FileSessionInterface, FileSessionManager

__all__ = ["FileSessionInterface", "FileSessionManager"]

__getattr__ = fall_through(__name__, "nexios.session.file")
