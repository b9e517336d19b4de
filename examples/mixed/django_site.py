"""The part of the site that is in Django, with Django's own users, logins and form tokens."""

from __future__ import annotations

import django
from django.conf import settings
from django.contrib import auth
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from examples.mixed.shared import COOKIE, LIFE, PAGE, PEOPLE, SECRET, STORE

settings.configure(
    SECRET_KEY=SECRET,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "users.db"}},
    SESSION_ENGINE="limpet.adapters.django",
    SESSION_COOKIE_NAME=COOKIE,
    LIMPET={"store": STORE, "secret": SECRET, "policy": LIFE, "shared_logins": True},
    MIDDLEWARE=[
        "limpet.adapters.django.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup()


def page(request: HttpRequest) -> HttpResponse:
    token = format_html('<input type="hidden" name="csrfmiddlewaretoken" value="{}">', get_token(request))
    who = request.user.get_username() or "nobody"  # Django's own user, wherever the login was
    count = request.session.get("count", 0)
    return HttpResponse(format_html(PAGE, framework="Django", path="django", who=who, count=count, token=token))


@require_POST
def login(request: HttpRequest) -> HttpResponse:
    user = get_object_or_404(auth.get_user_model(), username=request.POST["name"])
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect("/django/")


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    request.session.limpet.increment("count")
    return HttpResponseRedirect("/django/")


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return HttpResponseRedirect("/django/")


urlpatterns = [
    path("django/", page),
    path("django/login", login),
    path("django/add", add),
    path("django/logout", logout),
]
app = get_wsgi_application()


def prepare() -> None:
    """Make the table of users, and those who may log in."""
    call_command("migrate", verbosity=0)
    users = auth.get_user_model().objects
    for name, key in PEOPLE.items():
        if not users.filter(pk=key).exists():
            users.create_user(name, pk=key)
