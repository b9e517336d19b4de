"""Moving in from another session engine of Django, without logging anyone out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY

from limpet._blocking import is_driven
from limpet.errors import ConfigurationError
from limpet.importers._base import CookieImporter, Opened
from limpet.protocols import Header

__all__ = ["EngineImporter"]


class EngineImporter(CookieImporter):
    """Reads the sessions of the engine that ``SESSION_ENGINE`` named before, by that engine itself.

    So it reads what that one reads: ``db``, ``cached_db``, ``cache``, ``file`` and ``signed_cookies``, with
    ``SESSION_SERIALIZER``, ``SECRET_KEY_FALLBACKS`` and the caches and databases of the settings.

    Args:
        engine: The old ``SESSION_ENGINE``, such as ``"django.contrib.sessions.backends.db"``.
        until: As for every importer: the end date.
        options: ``convert``, ``forget``: see `CookieImporter`. The cookie is that of the settings.

    Raises:
        ConfigurationError: There is no such engine.
    """

    origin = "django"

    def __init__(self, engine: str = "django.contrib.sessions.backends.db", *, until: date, **options: Any) -> None:
        # It is made among the settings, of which those below are not there yet.
        super().__init__(until=until, cookie="sessionid", subject=SESSION_KEY, **options)
        self._options: dict[str, Any] | None = {"until": until, "subject": SESSION_KEY, **options}
        try:
            self._engine = import_module(engine).SessionStore
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"engine={engine!r} is no session engine of Django: {error}") from error

    def find(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values of the cookie that the settings name."""
        given = self._options
        if given is not None:
            options: dict[str, Any] = {
                "cookie": settings.SESSION_COOKIE_NAME,
                "path": settings.SESSION_COOKIE_PATH,
                "domain": settings.SESSION_COOKIE_DOMAIN,
                **given,
            }
            super().__init__(**options)
            self._options = None
        return super().find(headers)

    async def _open(self, token: str, now: int) -> Opened | None:
        old = self._engine(token)
        data: Any = old.load() if is_driven() else await old.aload()
        return Opened(dict(data)) if data else None
