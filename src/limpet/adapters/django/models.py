"""What Django's admin and its permissions call a session. There is no table: limpet's store keeps the sessions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Session"]


class Session(models.Model):  # type: ignore[misc]  # Django has no annotations
    """Gives the permissions ``limpet.view_session`` and ``limpet.delete_session`` a model to be about."""

    public_id: Any = models.CharField(primary_key=True, max_length=64)

    class Meta:
        managed = False
        app_label = "limpet"
        default_permissions: tuple[str, ...] = ("view", "delete")
        verbose_name: Any = _("session")
        verbose_name_plural: Any = _("sessions")
