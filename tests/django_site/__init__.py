"""A Django project, configured once for the process that runs the tests: Django's settings are global."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

__all__ = ["SECRET", "migrated", "set_up"]

SECRET: Final = "old"  # the sessions of `tests.importers.origins` are signed with it
_FOLDER: Final = Path(tempfile.mkdtemp(prefix="limpet-django-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
MIDDLEWARE: Final = [
    "limpet.adapters.django.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
_TEMPLATES: Final = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]
    },
}
_MAIL: Final = "django.core.mail.backends.locmem.EmailBackend"
_SETTINGS: Final[dict[str, Any]] = {
    "SECRET_KEY": SECRET,
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": "tests.django_site.urls",
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "limpet.adapters.django",
        "rest_framework",
        "allauth",
        "allauth.account",
        "allauth.usersessions",
        "allauth.headless",
    ],
    "MIDDLEWARE": MIDDLEWARE,
    "TEMPLATES": [_TEMPLATES],
    "AUTHENTICATION_BACKENDS": [
        "django.contrib.auth.backends.ModelBackend",
        "allauth.account.auth_backends.AuthenticationBackend",
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(_FOLDER / "django.db"),
            "OPTIONS": {"timeout": 20},
        }
    },
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    "ACCOUNT_EMAIL_VERIFICATION": "none",
    "ACCOUNT_RATE_LIMITS": False,
    "HEADLESS_CLIENTS": ("app", "browser"),
    "USERSESSIONS_TRACK_ACTIVITY": True,
    "DEFAULT_AUTO_FIELD": "django.db.models.AutoField",
    "STATIC_URL": "static/",
    "USE_TZ": True,
    "LOGGING_CONFIG": None,
    "SESSION_ENGINE": "limpet.adapters.django",
    "SESSION_COOKIE_AGE": timedelta(days=14) // timedelta(seconds=1),
    "LIMPET": {"store": "memory:"},
}


def set_up() -> None:
    """Configure Django, once."""
    import django
    from django.conf import settings

    if not settings.configured:
        renamed = tuple(map(int, django.__version__.split(".")[:2])) >= (6, 1)
        mail: dict[str, Any] = {"MAILERS": {"default": {"BACKEND": _MAIL}}} if renamed else {"EMAIL_BACKEND": _MAIL}
        settings.configure(**_SETTINGS, **mail)
        django.setup()


def migrated() -> None:
    """Make the tables, once."""
    set_up()
    from django.core.management import call_command
    from django.db import connection

    if "auth_user" not in connection.introspection.table_names():
        call_command("migrate", verbosity=0, run_syncdb=True)
        connection.close()
