"""The names of ``blacksheep.server``: its `Application` is this adapter's, the others are BlackSheep's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._application import Application

if TYPE_CHECKING:
    from blacksheep.server import Route as Route
    from blacksheep.server import Router as Router
    from blacksheep.server import RoutesRegistry as RoutesRegistry

__all__ = ["Application"]

__getattr__ = fall_through(__name__, "blacksheep.server")
