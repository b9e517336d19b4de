"""The pages of a project on Django whose sessions are bound to devices."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import aget_user, alogin, alogout, get_user_model, login, logout
from django.http import JsonResponse
from django.urls import path

__all__ = ["apage", "urlpatterns"]

_BACKEND = "django.contrib.auth.backends.ModelBackend"


def page(request: Any, words: str) -> JsonResponse:
    """Do what a path says, and answer whose session it is."""
    verb, _, rest = words.partition("/")
    session, found = request.session, None
    if verb == "login":
        user, _ = get_user_model().objects.get_or_create(username=rest.partition("/")[0])
        login(request, user, backend=_BACKEND)
    elif verb == "logout":
        logout(request)
    elif verb == "regenerate":
        session.cycle_key()
        found = request.user.get_username() or None
    elif verb == "write":
        session[rest] = rest
        found = sorted(key for key, _ in session.items() if not key.startswith("_"))
    elif verb == "bound":
        found = session.limpet.is_bound
    elif verb == "me":
        found = request.user.get_username() or None
    return JsonResponse(found, safe=False)


async def apage(request: Any, words: str) -> JsonResponse:
    """Do the same without blocking."""
    verb, _, rest = words.partition("/")
    session, found = request.session, None
    if verb == "login":
        user, _ = await get_user_model().objects.aget_or_create(username=rest.partition("/")[0])
        await alogin(request, user, backend=_BACKEND)
    elif verb == "logout":
        await alogout(request)
    elif verb == "regenerate":
        await session.acycle_key()
        found = (await aget_user(request)).get_username() or None
    elif verb == "write":
        await session.aset(rest, rest)
        found = sorted([key for key in await session.akeys() if not key.startswith("_")])
    elif verb == "bound":
        found = session.limpet.is_bound
    elif verb == "me":
        found = (await aget_user(request)).get_username() or None
    return JsonResponse(found, safe=False)


urlpatterns = [path("<path:words>", page)]
