"""Sessions that are bound to a device: what the middleware asks of a request and says with a response."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from limpet._cookies import values
from limpet._core.session import state_of
from limpet._environ import headers_of
from limpet._serving import as_mount
from limpet.adapters.django._headers import add_headers
from limpet.adapters.django._settings import manager
from limpet.adapters.django._store import SessionStore
from limpet.bound.visit import Visit
from limpet.errors import StoreUnavailable

__all__ = ["answer_about_device", "forget_device", "note_device"]


def note_device(request: Any, session: SessionStore) -> None:
    """Let a session know the request's headers that show which device it comes from."""
    guard = manager().guard
    if guard is not None:
        headers = headers_of(request.META)
        name = guard.cookie_name.encode()
        session.device = [
            *((b"cookie", name + b"=" + value.encode()) for value in values(headers, name)),
            *((each, value) for each, value in headers if each.endswith(b"-session-skipped")),
            *((each, value) for each, value in headers if each.startswith(b"sec-fetch-")),
        ]


async def answer_about_device(request: Any) -> HttpResponse | None:
    """Return the answer to what a browser sends for a bound session; None: it is for the application."""
    guard, session = manager().guard, request.session
    if guard is None or not isinstance(session, SessionStore):
        return None
    meta = request.META
    visit = Visit(request.method, request.path_info, as_mount(meta.get("SCRIPT_NAME")), headers_of(meta), meta)
    keys = session.presented_keys()
    if visit.path in guard.endpoints.paths:
        answer = await guard.endpoints.serve(visit, keys)
    elif keys and guard.asks(visit):
        try:
            held = await session.ahold()
        except StoreUnavailable:  # said again when the view uses the session
            return None
        found = guard.verdict(visit, state_of(held))
        if found is None:
            return None
        answer = found
    else:
        return None
    response = HttpResponse(answer.body, status=answer.status)
    add_headers(response, answer.headers)
    return response


def forget_device(response: HttpResponseBase) -> None:
    """Delete the cookie of the last proof, with the session's own."""
    guard = manager().guard
    if guard is not None:
        cookie = guard.cookie  # of which some attributes may be others than those of the session's cookie
        samesite = cookie.same_site.capitalize()
        response.delete_cookie(guard.cookie_name, path=cookie.path, domain=cookie.domain, samesite=samesite)
