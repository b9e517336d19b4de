"""The Django application that a real gunicorn serves: it answers as `tests.wsgi.workers` does."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

__all__ = ["app"]

settings.configure(
    SECRET_KEY="gunicorn" * 4 + "aB3dE5fG7hJ9kL",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="limpet.adapters.django",
    SESSION_COOKIE_NAME="sid",
    LIMPET={"store": os.environ["LIMPET_TEST_STORE"]},
    MIDDLEWARE=["limpet.adapters.django.middleware.SessionMiddleware"],
)
django.setup()


def login(session: Any) -> object:
    """Do what Django's own login does to a session."""
    session.cycle_key()
    session["_auth_user_id"] = "1"
    return ""


def add(session: Any) -> object:
    """Count."""
    return session.limpet.increment("n")


def both(session: Any) -> object:
    """Count, once at a time."""
    with session.limpet.exclusive("slow"):
        return session.limpet.increment("n")


def seen(session: Any) -> object:
    """Return the count, and how many keys there are."""
    return (session.get("n", 0), len(list(session.keys())))


def logout(session: Any) -> object:
    """End the session."""
    session.flush()
    return ""


def key(request: Any) -> HttpResponse:
    """Write the key that the query is."""
    request.session[request.META["QUERY_STRING"]] = True
    return HttpResponse(b"")


def _view(work: Any) -> Any:
    return lambda request: HttpResponse(str(work(request.session)).encode())


urlpatterns = [
    path("", lambda request: HttpResponse(b"")),
    path("key", key),
    *(path(each.__name__, _view(each)) for each in (login, add, both, seen, logout)),
]
app = get_wsgi_application()

if os.environ.get("LIMPET_TEST_OPEN"):
    from limpet.adapters.django import manager

    manager().blocking.sessions_of("nobody")  # opens the store before the fork
