"""Sessions of Django: ``SESSION_ENGINE = "limpet.adapters.django"`` and ``LIMPET = {"store": "sqlite:///sessions.db"}``.

``limpet.adapters.django.middleware.SessionMiddleware`` takes the place of Django's own, and ``limpet.adapters.django``
among ``INSTALLED_APPS`` adds a page to Django's admin that lists and ends a user's sessions.
"""

from __future__ import annotations

from importlib import import_module

from limpet.errors import MissingDependency

try:
    import_module("django")
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.adapters.django", "django") from _error

from limpet.adapters.django._settings import manager
from limpet.adapters.django._store import SessionStore

__all__ = ["SessionStore", "manager"]
