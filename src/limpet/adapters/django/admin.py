"""A page in Django's admin: the sessions of one user, each with a button that ends it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from limpet._blocking import drive
from limpet.adapters.django._settings import manager
from limpet.adapters.django._store import SessionStore
from limpet.adapters.django.models import Session

__all__ = ["SessionAdmin"]

_SHOWN = 200


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[misc]  # Django has no annotations
    """Lists a user's sessions (permission ``limpet.view_session``) and ends them (``limpet.delete_session``)."""

    def has_add_permission(self, request: Any) -> bool:
        """Return False: a session begins with a request."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Return False: what is in a session is its user's."""
        return False

    def get_urls(self) -> list[Any]:
        """Return the list alone: there is no table to look into."""
        urls: list[Any] = super().get_urls()
        return [url for url in urls if getattr(url, "name", None) == "limpet_session_changelist"]

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the sessions of the user whose name or primary key was asked for, and end what a button names.

        Raises:
            PermissionDenied: The person may not see them, or not end one.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = request.GET.get("user", "").strip()
        user = _user_of(asked) if asked else None
        if request.method == "POST":
            if user is None or not self.has_delete_permission(request):
                raise PermissionDenied
            return self._end(request, user, asked)
        current = request.session.limpet.public_id if isinstance(request.session, SessionStore) else None
        sessions = [] if user is None else drive(manager().sessions_of(_subject(user), current=current))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Sessions of a user"),
            "opts": self.model._meta,
            "asked": asked,
            "user_asked": user,
            "sessions": sessions[:_SHOWN],
            "hidden": max(0, len(sessions) - _SHOWN),
            "may_end": self.has_delete_permission(request),
            "name_of_users": get_user_model()._meta.get_field(get_user_model().USERNAME_FIELD).verbose_name,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "limpet/sessions.html", context)

    def _end(self, request: Any, user: Any, asked: str) -> HttpResponse:
        named = request.POST.get("session", "")
        if named:
            theirs = {info.public_id for info in drive(manager().sessions_of(_subject(user)))}
            ended = drive(manager().revoke(named)) if named in theirs else 0
        else:
            ended = drive(manager().revoke_all(_subject(user)))
        said = ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", ended) % {"count": ended}
        if ended:
            LogEntry.objects.log_actions(request.user.pk, [user], CHANGE, change_message=said, single_object=True)
        messages.success(request, said)
        return HttpResponseRedirect(f"{request.path}?{urlencode({'user': asked})}")


def _subject(user: Any) -> str:
    return str(user._meta.pk.value_to_string(user))


def _user_of(asked: str) -> Any:
    """Return the user of a name or primary key, or None."""
    model = get_user_model()
    users = model._default_manager
    found = users.filter(**{model.USERNAME_FIELD: asked}).first()
    if found is None:
        try:
            found = users.filter(pk=asked).first()
        except (ValueError, ValidationError):
            found = None
    return found
