"""The names of ``blacksheep.server.application``: its `Application` is this adapter's, the others BlackSheep's own."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._application import Application

__all__ = ["Application"]

__getattr__ = fall_through(__name__, "blacksheep.server.application")
