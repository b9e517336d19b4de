"""Sessions of Django: ``SESSION_ENGINE = "limpet.adapters.django"`` and ``LIMPET = {"store": "sqlite:///sessions.db"}``.

``limpet.adapters.django.middleware.SessionMiddleware`` takes the place of Django's own, and ``limpet.adapters.django``
among ``INSTALLED_APPS`` adds a page to Django's admin that lists and ends a user's sessions.
"""

from __future__ import annotations

from importlib.util import find_spec

from limpet.errors import MissingDependency

if find_spec("django") is None:
    raise MissingDependency("limpet.adapters.django", "django")

from limpet.adapters.django._settings import manager
from limpet.adapters.django._store import SessionStore

__all__ = ["SessionStore", "manager"]
