"""What Django's admin and its permissions call a session. There is no table: limpet's store keeps the sessions."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Session"]


class Session(models.Model):  # type: ignore[misc]  # Django has no annotations
    """Gives the permissions ``limpet.view_session`` and ``limpet.delete_session`` a model to be about."""

    public_id = models.CharField(primary_key=True, max_length=64)

    class Meta:
        managed = False
        app_label = "limpet"
        default_permissions = ("view", "delete")
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
