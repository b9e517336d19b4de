"""The application ``limpet.adapters.django``: a page in Django's admin."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["LimpetConfig"]


class LimpetConfig(AppConfig):  # type: ignore[misc]  # Django has no annotations
    """Lists and ends a user's sessions in Django's admin."""

    name = "limpet.adapters.django"
    label = "limpet"
    verbose_name: Any = _("Sessions")
