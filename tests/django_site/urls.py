"""The routes of the project: what the tests do, Django's admin, django-allauth's and Django REST framework's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import include, path

from tests.django_site import views

urlpatterns: list[Any] = [
    path("do/<str:name>", views.do),
    path("ado/<str:name>", views.ado),
    path("api/me", views.Me.as_view()),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
]
