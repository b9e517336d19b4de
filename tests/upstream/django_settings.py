"""The settings under which Django's own tests run: its defaults for them, and sessions of limpet.

``LIMPET_MIDDLEWARE`` in the environment puts limpet's middleware in the place of Django's. At the end a line says how
many sessions were stored, so that a run that tried something else is noticed.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

from django.contrib.sessions import middleware

from limpet.contract import Outcome, Record
from limpet.stores import MemoryStore


class Counting(MemoryStore):
    """Counts what it stores."""

    created = 0

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none."""
        self.created += 1
        return await super().create(key, record, now=now)


_STORE = Counting()
atexit.register(lambda: print(f"limpet stored {_STORE.created} sessions"))

DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3"},
    "other": {"ENGINE": "django.db.backends.sqlite3"},
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
SESSION_ENGINE = "limpet.adapters.django"
LIMPET = {"store": _STORE}

if os.environ.get("LIMPET_MIDDLEWARE"):
    from limpet.adapters.django.middleware import SessionMiddleware

    middleware.SessionMiddleware = SessionMiddleware
