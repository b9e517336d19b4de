"""A shopping list on Django, in one file: asynchronous views, and a list in the session that two tabs may add to.

Run it with ``SECRET_KEY=$(limpet keygen) uvicorn examples.django_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path
from django.utils.html import format_html, format_html_join

settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"],
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="limpet.adapters.django",
    LIMPET={"store": "sqlite:///list.db"},  # many machines: postgresql://... or redis://...
    MIDDLEWARE=[
        "limpet.adapters.django.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
)
django.setup()

PAGE = """<!doctype html>
<title>Shopping list</title>
<h1>Shopping list</h1>
<p>Visit {visit}</p>
<ul>{items}</ul>
<form method="post" action="/add">
<input type="hidden" name="csrfmiddlewaretoken" value="{token}">
<input name="item" autofocus required><button>Add</button>
<button formaction="/over" formnovalidate>Begin anew</button>
</form>
"""


async def show(request: HttpRequest) -> HttpResponse:
    visit = await request.session.limpet.aincrement("visits")
    items = format_html_join("", "<li>{}</li>", ((item,) for item in await request.session.aget("items", [])))
    return HttpResponse(format_html(PAGE, visit=visit, items=items, token=get_token(request)))


async def add(request: HttpRequest) -> HttpResponse:
    items = await request.session.asetdefault("items", [])
    items.append(request.POST["item"])  # a nested change: saved, and no flag to set
    return HttpResponseRedirect("/")


async def over(request: HttpRequest) -> HttpResponse:
    await request.session.aflush()
    return HttpResponseRedirect("/")


urlpatterns = [path("", show), path("add", add), path("over", over)]
app = get_asgi_application()
