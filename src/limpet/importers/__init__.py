"""Readers of the sessions of other libraries, for moving in without logging anyone out.

::

    SessionManager("sqlite:///sessions.db", importers=[StarletteCookies(old_secret, until=date(2030, 1, 31))])

Each has an end date, reads only, and is asked only where a request has no valid session of this manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._lazy import lazily

if TYPE_CHECKING:
    from limpet.importers.blacksheep import BlackSheepCookies
    from limpet.importers.django import DjangoCache, DjangoCookies, DjangoDatabase
    from limpet.importers.flask import FlaskCookies, FlaskSessionRecords
    from limpet.importers.nexios import NexiosCookies, NexiosFiles
    from limpet.importers.server_side import ServerSessions
    from limpet.importers.starlette import StarletteCookies

__all__ = [
    "BlackSheepCookies",
    "DjangoCache",
    "DjangoCookies",
    "DjangoDatabase",
    "FlaskCookies",
    "FlaskSessionRecords",
    "NexiosCookies",
    "NexiosFiles",
    "ServerSessions",
    "StarletteCookies",
]

_PLACES: Final = {
    "BlackSheepCookies": "blacksheep",
    "DjangoCache": "django",
    "DjangoCookies": "django",
    "DjangoDatabase": "django",
    "FlaskCookies": "flask",
    "FlaskSessionRecords": "flask",
    "NexiosCookies": "nexios",
    "NexiosFiles": "nexios",
    "ServerSessions": "server_side",
    "StarletteCookies": "starlette",
}

if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, _PLACES, __all__)
