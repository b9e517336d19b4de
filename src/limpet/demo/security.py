"""What keeps other sites out: the origin of a form, a token in it, and the headers of every answer."""

from __future__ import annotations

import secrets
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Form, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limpet import Session
from limpet.adapters.fastapi import SessionDep

__all__ = ["ForeignForm", "Headers", "StaleForm", "new_token", "own_form"]

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer, browsers would send `Origin: null` with forms
    "x-content-type-options": "nosniff",
}


class ForeignForm(Exception):
    """The form was sent by another site."""


class StaleForm(Exception):
    """The form is of an earlier session, or of none: another tab has signed in or out since."""


def new_token(session: Session) -> str:
    """Put a fresh form token into the session and return it."""
    token = session["csrf"] = secrets.token_urlsafe(24)
    return token


async def own_form(request: Request, session: SessionDep, csrf: Annotated[str, Form()] = "") -> Session:
    """Return the session of a request whose form came from this application's own page.

    SameSite=Lax keeps the cookie away from forms of other sites. The origin is checked beside it, since somebody could
    also sign a visitor *in*, where no cookie is needed; and the token, which holds where neither does.

    Raises:
        ForeignForm: It came from elsewhere.
        StaleForm: Its token is not the session's.
    """
    if not _own_origin(request):
        raise ForeignForm
    expected = session.get("csrf")
    if expected is not None and not secrets.compare_digest(expected.encode(), csrf.encode()):
        raise StaleForm
    return session


def _own_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")  # browsers send it with every form; other programs need not
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


class Headers:
    """Middleware that adds the security headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
