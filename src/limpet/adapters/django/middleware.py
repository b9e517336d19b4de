"""The middleware that takes the place of Django's own, in one line of ``MIDDLEWARE``.

``SESSION_ENGINE`` alone works under Django's middleware too. This one is asynchronous where Django is, saves what was
changed inside of values, and knows two things that the contract between Django's middleware and a session cannot say:

* A request whose session was ended or got a new key meanwhile is answered, without a cookie, and what it wrote is
  dropped with an event. Django's answers 400 (``SessionInterrupted``).
* The cookie goes out when the browser needs it, not with every save. So a late response cannot put the key that a
  login has replaced back into the browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date

from limpet import events
from limpet._blocking import drive
from limpet._cookies import find
from limpet._environ import is_cross_site
from limpet._moments import CENTURY
from limpet._serving import SAFE, as_mount
from limpet.adapters.django._devices import answer_about_device, forget_device, note_device
from limpet.adapters.django._headers import add_headers
from limpet.adapters.django._settings import manager, slides
from limpet.adapters.django._store import SessionStore
from limpet.errors import LimpetError, SessionEnded
from limpet.refusals import answer_error

__all__ = ["SessionMiddleware"]

_EXPIRY: Final = "_session_expiry"


class SessionMiddleware(DjangoMiddleware):  # type: ignore[misc]  # Django has no annotations
    """Gives each request its session, and saves it when the response is there; see the module."""

    def process_request(self, request: Any) -> HttpResponse | None:  # pyright: ignore[reportIncompatibleMethodOverride] - Django takes a response
        """Give the request its session; nothing is read before it is used.

        What is about the device that a session is bound to is answered here.
        """
        self._begin(request)
        return None if manager().guard is None else drive(answer_about_device(request))

    def _begin(self, request: Any) -> None:
        meta, name = request.META, settings.SESSION_COOKIE_NAME
        line = meta.get("HTTP_COOKIE")
        values: Sequence[str] = ()
        if line:  # Django's parser takes the last of several, and white space of all kinds around a name
            scope = getattr(request, "scope", None)
            raw = scope["headers"] if scope else [(b"cookie", line.encode("latin-1", "replace"))]
            values = find(raw, name.encode(), manager().engine.ids.verify)
            key = values[0] if len(values) == 1 else None
        else:
            key = request.COOKIES.get(name)
        session = self.SessionStore(key)
        if isinstance(session, SessionStore):
            if len(values) > 1:
                session.rivals = values
            if manager().engine.description is not None:
                agent = meta.get("HTTP_USER_AGENT", "").encode("latin-1", "replace")
                context = {"headers": [(b"user-agent", agent)], "client": (meta.get("REMOTE_ADDR", ""), 0)}
                session.context = context
                events.CLIENT.set(context)
            travels = str(settings.SESSION_COOKIE_SAMESITE or "lax").lower() == "none"
            session.cross_site = not travels and request.method not in SAFE and is_cross_site(meta)
            note_device(request, session)
        request.session = session

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Answer what the engine says to a client: 503 when the store does not answer, 409 for a conflict."""
        answer = _answer(exception, request) if isinstance(exception, LimpetError) else None
        session = getattr(request, "session", None)
        if answer is not None and isinstance(session, SessionStore):
            session.failed = True  # whatever its status
        return answer

    def process_response(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        """Save the session and let the browser know its key, as far as this response needs it."""
        try:
            return self._respond(request, response)
        finally:
            events.CLIENT.set(None)  # the thread serves others after this

    def _respond(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return super().process_response(request, response)
        failure: Exception | None = None
        saved = _is_to_be_saved(session, response)
        if saved:
            try:
                session.settle()
            except (UpdateError, LimpetError) as error:
                failure = error
        return _finish(request, response, session, saved, failure)

    async def __acall__(self, request: Any) -> HttpResponseBase:
        """Do the same on an event loop, and wait for the store without a thread."""
        self._begin(request)
        answer = None if manager().guard is None else await answer_about_device(request)
        response: HttpResponseBase = await self.get_response(request) if answer is None else answer
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return super().process_response(request, response)
        failure: Exception | None = None
        saved = _is_to_be_saved(session, response)
        if saved:
            try:
                await session.asettle()
            except (UpdateError, LimpetError) as error:
                failure = error
        return _finish(request, response, session, saved, failure)


def _is_to_be_saved(session: SessionStore, response: HttpResponseBase) -> bool:
    failed = session.failed or response.status_code >= 500
    if (failed and not manager().policy.save_on_error) or session.is_empty():
        return False
    return session.modified or settings.SESSION_SAVE_EVERY_REQUEST or (session.accessed and slides())


def _finish(
    request: Any, response: HttpResponseBase, session: SessionStore, saved: bool, failure: Exception | None
) -> HttpResponseBase:
    name = settings.SESSION_COOKIE_NAME
    if isinstance(failure, UpdateError):
        session.sent = None
        if manager().policy.on_ended == "raise":
            response = _answer(SessionEnded(str(failure)), request) or response
    elif failure is not None:
        answer = _answer(failure, request)
        if answer is None:
            raise failure
        response = answer
    elif saved and session.sent is None and session.session_key not in (None, request.COOKIES.get(name)):
        session.sent = session.session_key, None  # the view has put another session in the place of the request's
    spoken = session.accessed
    if session.sent is not None:
        key, age = session.sent
        spoken = True
        _set_cookie(response, session, key, age)
    elif session.ended and name in request.COOKIES and session.is_empty():
        spoken = True
        response.delete_cookie(
            name,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )
        forget_device(response)
    if about_device := session.device_headers(as_mount(request.META.get("SCRIPT_NAME"))):
        spoken = True
        add_headers(response, about_device)
    if spoken:
        _tell_caches(response, name in response.cookies, no_store=manager().cookie.no_store)
    return response


def _tell_caches(response: HttpResponseBase, sends: bool, *, no_store: bool) -> None:
    """Say that the response is about one browser: RFC 9110, section 12.5.5, and RFC 9111, section 5.2.2."""
    if response.has_header("Vary"):
        patch_vary_headers(response, ("Cookie",))
    else:
        response.headers["Vary"] = "Cookie"
    said = response.headers.get("Cache-Control", "").lower()
    if sends and "no-store" not in said and "private" not in said:
        response.headers["Cache-Control"] = "no-store"
    elif not said:
        response.headers["Cache-Control"] = "no-store" if no_store else "private"


def _set_cookie(response: HttpResponseBase, session: SessionStore, key: str, age: int | None) -> None:
    if session.get_expire_at_browser_close():
        age = None
    elif age is None or session.get(_EXPIRY):
        age = min(session.get_expiry_age(), CENTURY)
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        key,
        max_age=age,
        expires=None if age is None else http_date(time() + age),
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )


def _answer(error: Exception, request: Any) -> HttpResponse | None:
    answer = answer_error(manager().on_refused, error, request.META)
    if answer is None:
        return None
    response = HttpResponse(answer.body, status=answer.status)
    add_headers(response, answer.headers)
    return response
