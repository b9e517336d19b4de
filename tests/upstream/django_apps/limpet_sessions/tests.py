"""What Django asks of every session engine, asked of limpet's; run by Django's own runner."""

from __future__ import annotations

from django.test import TestCase
from sessions_tests.tests import SessionTestsMixin  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

from limpet.adapters.django import SessionStore


class LimpetSessionTests(SessionTestsMixin, TestCase):  # type: ignore[misc]  # Django has no annotations
    """The mixin that Django's own engines are tested with."""

    backend = SessionStore
