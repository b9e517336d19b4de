"""A login in another application on the same store, as one of Django's own users: ``LIMPET["shared_logins"]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend
from django.core.exceptions import ImproperlyConfigured, ValidationError

from limpet._blocking import is_driven

__all__ = ["KeyOf", "key_of", "login_of"]

KeyOf: TypeAlias = Callable[[str], Any]
"""Returns the primary key of a user by the subject of a session; None: it is none of Django's."""


def key_of(setting: Any) -> KeyOf | None:
    """Return what finds users, as ``LIMPET["shared_logins"]`` says.

    Args:
        setting: True: a subject is the primary key, as after a login in Django. A function, or its dotted path. Nothing
            else than None or False leaves it out.

    Raises:
        ImproperlyConfigured: It is none of these.
    """
    if setting is None or setting is False:
        return None
    if setting is True:
        return str
    if callable(setting):
        found: KeyOf = setting
        return found
    raise ImproperlyConfigured(
        f"LIMPET: shared_logins={setting!r}: give True, or a function that takes a subject and returns a primary key"
    )


async def login_of(subject: str, find: KeyOf) -> dict[str, str] | None:
    """Return what Django's own login of that user leaves in a session; None: there is no such user, or none who may."""
    return _login_of(subject, find) if is_driven() else await sync_to_async(_login_of)(subject, find)


def _login_of(subject: str, find: KeyOf) -> dict[str, str] | None:
    key = find(subject)
    if key is None:
        return None
    for path in settings.AUTHENTICATION_BACKENDS:
        try:
            user = load_backend(path).get_user(key)  # None for one who is not active, too
        except (ValueError, ValidationError):  # no key of this kind: letters for a number, no UUID
            continue
        if user is not None:
            fingerprint = getattr(user, "get_session_auth_hash", None)
            return {
                SESSION_KEY: str(user.pk),
                BACKEND_SESSION_KEY: path,
                HASH_SESSION_KEY: "" if fingerprint is None else fingerprint(),
            }
    return None
