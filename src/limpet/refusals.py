"""What a request is answered that cannot be served: an application's own page in place of a line of text.

One function for all of them, given to the manager::

    def page(refusal: Refusal) -> str | dict[str, object]:
        if refusal.wants_html:
            return templates.get_template("refused.html").render(text=refusal.text)
        return {"error": refusal.reason, "text": refusal.text}

    manager = SessionManager("sqlite:///sessions.db", on_refused=page)
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from limpet.errors import (
    Answer,
    LimpetError,
    SessionBusy,
    SessionEnded,
    SessionLimitReached,
    StoreUnavailable,
    answer_to,
)

__all__ = ["Answer", "OnRefused", "Refusal", "answer_error", "answer_with"]

log: logging.Logger = logging.getLogger("limpet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served.

    Attributes:
        status: 403 (`limpet.csrf`), 409 or 503.
        reason: One word for programs: ``other-site``, ``no-session``, ``token-missing``, ``token-wrong``,
            ``device-unproven`` (`limpet.bound`), ``too-many-sessions``, ``conflict``, ``ended``, ``busy`` or
            ``store-unavailable``.
        text: A sentence for the person.
        error: What was raised; None: it is a 403.
        scope: The ASGI scope of the request, or its WSGI environment.
    """

    status: int
    reason: str
    text: str
    error: LimpetError | None = None
    scope: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def wants_html(self) -> bool:
        """Whether the client says that it takes HTML, as browsers do for a page; programs and scripts seldom do."""
        accept = self.scope.get("HTTP_ACCEPT", "")
        if not accept:
            accept = b",".join(value for name, value in self.scope.get("headers", ()) if name.lower() == b"accept")
        text = accept.decode("latin-1") if isinstance(accept, bytes) else str(accept)
        return "text/html" in text.lower()


OnRefused: TypeAlias = Callable[[Refusal], Any]
"""Returns a page: text (HTML), a dict or a list (JSON), a response of Starlette's, or an `Answer`; None: the usual."""

_REASONS: Final[tuple[tuple[type[LimpetError], str], ...]] = (
    (StoreUnavailable, "store-unavailable"),
    (SessionBusy, "busy"),
    (SessionLimitReached, "too-many-sessions"),
    (SessionEnded, "ended"),
)


def answer_error(make: OnRefused | None, error: BaseException, scope: Mapping[str, Any]) -> Answer | None:
    """Return the response to an error that an application did not handle; None: it is the application's own failure."""
    usual = answer_to(error)
    if usual is None or make is None or not isinstance(error, LimpetError):
        return usual
    reason = next((word for kind, word in _REASONS if isinstance(error, kind)), "conflict")
    text = usual.text.strip()
    return answer_with(make, Refusal(status=usual.status, reason=reason, text=text, error=error, scope=scope), usual)


def answer_with(make: OnRefused | None, refusal: Refusal, usual: Answer) -> Answer:
    """Return the application's own answer to a refusal; the usual one if it has none, or fails to make it."""
    if make is None:
        return usual
    try:
        return _answer(make(refusal), refusal, usual)
    except Exception:
        log.exception("on_refused failed, and the usual answer is sent for %s", refusal.reason)
        return usual


def _answer(page: Any, refusal: Refusal, usual: Answer) -> Answer:
    if page is None:
        return usual
    if isinstance(page, Answer):
        return page
    if isinstance(page, str):
        return _made(refusal.status, page.encode(), [(b"content-type", b"text/html; charset=utf-8")], usual)
    if isinstance(page, (dict, list)):
        body = json.dumps(page, ensure_ascii=False).encode()
        return _made(refusal.status, body, [(b"content-type", b"application/json")], usual)
    content, headers = getattr(page, "body", None), getattr(page, "raw_headers", None)
    if isinstance(content, bytes) and headers is not None:
        kept = [(bytes(name).lower(), bytes(value)) for name, value in headers]
        return _made(int(page.status_code), content, kept, usual)
    if inspect.iscoroutine(page):
        page.close()
    kind = type(cast("object", page)).__qualname__
    raise TypeError(
        f"on_refused returned a {kind}: it is a plain function, and returns text (HTML), a dict or a list (JSON), a "
        "response that has its body, a limpet.errors.Answer, or None"
    )


def _made(status: int, body: bytes, headers: list[tuple[bytes, bytes]], usual: Answer) -> Answer:
    """Return an answer that says what the usual one says of caches and of the time to try again."""
    named = {name for name, _ in headers} | {b"content-type"}
    kept = [header for header in headers if header[0] != b"content-length"]
    length = (b"content-length", str(len(body)).encode())
    more = [header for header in usual.headers if header[0] not in named | {b"content-length"}]
    return Answer(status, (*kept, length, *more), body, usual.close_code)
