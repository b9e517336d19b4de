"""The names of ``nexios.application``: its `NexiosApp` is this adapter's, the others are Nexios' own."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.nexios._application import NexiosApp, get_application

__all__ = ["NexiosApp", "get_application"]

__getattr__ = fall_through(__name__, "nexios.application")
