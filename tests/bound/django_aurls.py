"""The same pages, asynchronous."""

from __future__ import annotations

from django.urls import path

from tests.bound.django_urls import apage

__all__ = ["urlpatterns"]

urlpatterns = [path("<path:words>", apage)]
