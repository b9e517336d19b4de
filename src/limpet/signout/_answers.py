"""What each endpoint answers, as its standard says. Pure."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from limpet.signout._refused import Refused

__all__ = ["ALLOWED", "Answer", "Question", "done", "not_allowed", "refused", "unavailable", "unknown_path"]

ALLOWED: Final = {"back-channel": "POST", "front-channel": "GET", "events": "POST", "revocation": "POST"}
_NO_STORE: Final = ("Cache-Control", "no-store")
_PAGE: Final = b"<!doctype html><title>Signed out</title>"


class Question(NamedTuple):
    """A request, whatever protocol it came by.

    Attributes:
        method: In upper case.
        path: Below the mount, with a slash in front.
        query: The query string.
        content_type: The media type alone, in lower case.
        authorization: The header, or "".
        body: As far as it was read: one byte more than is allowed shows that it is too large.
    """

    method: str
    path: str
    query: str
    content_type: str
    authorization: str
    body: bytes


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def done(channel: str) -> Answer:
    """Return the answer to a message that was taken.

    Source: Back-Channel Logout 1.0, section 2.8; Front-Channel Logout 1.0, section 3; RFC 8935, section 2.2; Global
    Token Revocation, section 3.4.
    """
    if channel == "front-channel":
        return Answer(200, (_NO_STORE, ("Content-Type", "text/html; charset=utf-8")), _PAGE)
    return Answer({"back-channel": 200, "events": 202, "revocation": 204}[channel], (_NO_STORE,))


def refused(channel: str, why: Refused) -> Answer:
    """Return the answer to a message that ended nothing.

    Source: Back-Channel Logout 1.0, section 2.8; RFC 8935, section 2.3; Global Token Revocation, section 3.4.
    """
    if channel == "events":
        said = {"err": why.code, "description": why.why}
        return _json(400, said, ("Content-Language", "en"))
    said = {"error": why.code, "error_description": why.why}
    if channel != "revocation":
        return _json(400, said)
    if why.code == "access_denied":
        return _json(404, said)
    if why.code == "invalid_request":
        return _json(400, said)
    return _json(401, said, ("WWW-Authenticate", 'Bearer error="invalid_token"'))  # RFC 6750, section 3


def unavailable(channel: str, seconds: int) -> Answer:
    """Return the answer where the sessions could not be ended now, though the message was right.

    Source: Back-Channel Logout 1.0, section 2.8, which has 400 for a logout that failed; else RFC 9110, section 15.6.4.
    """
    said = {"error": "temporarily_unavailable", "error_description": "the sessions could not be ended: send it again"}
    return _json(400 if channel == "back-channel" else 503, said, ("Retry-After", str(seconds)))


def not_allowed(channel: str) -> Answer:
    """Return the answer to another method. Source: RFC 9110, section 15.5.6."""
    return Answer(405, (_NO_STORE, ("Allow", ALLOWED[channel])))


def unknown_path() -> Answer:
    """Return the answer to a path that is none of ours."""
    return Answer(404, (_NO_STORE,))


def _json(status: int, said: dict[str, str], *headers: tuple[str, str]) -> Answer:
    return Answer(status, (_NO_STORE, ("Content-Type", "application/json"), *headers), json.dumps(said).encode())
