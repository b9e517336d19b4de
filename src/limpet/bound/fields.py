"""The headers of device-bound sessions: what a browser sends, and what it is sent. Pure functions over bytes.

Structured fields (RFC 9651), of which these headers use strings, tokens and parameters. Chromium sends strings without
their quotes, which are taken as they are. Trials before the draft's present names said ``Sec-Session-…``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from limpet.protocols import Header

__all__ = ["CHALLENGE", "REGISTRATION", "challenge", "proof_in", "registration", "session_id_in", "skipped_in"]

REGISTRATION: Final = b"secure-session-registration"
CHALLENGE: Final = b"secure-session-challenge"
_PROOF: Final = (b"secure-session-response", b"sec-session-response")
_ID: Final = (b"sec-secure-session-id", b"sec-session-id")
_SKIPPED: Final = (b"secure-session-skipped", b"sec-session-skipped")

_LONGEST: Final = 8192  # bytes of a header that are looked at; a proof with an RSA key of 4,096 bits has about 2,000
_STRING: Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # RFC 9651, section 3.3.3
_BARE: Final = re.compile(rb"[!#-+\--:<-\[\]-~]+")
_TOKEN: Final = re.compile(rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")  # section 3.3.4
_NAMED: Final = re.compile(rb';\s*session_identifier=(?:"([^"\\]*)"|([!#-+\--:<-\[\]-~]+))')
REASONS: Final = ("unreachable", "server_error", "quota_exceeded")


def proof_in(headers: Iterable[Header]) -> str | None:
    """Return the proof that a request brings, as it was signed; None: there is none that can be read.

    Source: draft, section 9.3.
    """
    return _string(headers, _PROOF)


def session_id_in(headers: Iterable[Header]) -> str | None:
    """Return the identifier of the session whose device a request is about to prove.

    Source: draft, section 9.4.
    """
    return _string(headers, _ID)


def skipped_in(headers: Iterable[Header], session_id: str) -> str | None:
    """Return why a browser has sent a request without a proof for this session; None: it does not say so.

    Source: draft, section 9.5.
    """
    for name, value in headers:
        if name in _SKIPPED and len(value) <= _LONGEST:
            for member in value.split(b","):
                token = _TOKEN.match(member.strip())
                named = _NAMED.search(member)
                reason = token[0].decode() if token else ""
                if reason in REASONS and named and (named[1] or named[2] or b"") == session_id.encode():
                    return reason
    return None


def registration(algorithms: Sequence[str], path: str, text: str) -> Header:
    """Return the header that asks a browser to bind the session.

    Source: draft, section 9.1.
    """
    return REGISTRATION, f"({' '.join(algorithms)});path={_quoted(path)};challenge={_quoted(text)}".encode()


def challenge(text: str, session_id: str) -> Header:
    """Return the header with a challenge: for the next proof, or with a status of 403 for one at once.

    Source: draft, section 9.2.
    """
    return CHALLENGE, f"{_quoted(text)};id={_quoted(session_id)}".encode()


def _string(headers: Iterable[Header], names: Sequence[bytes]) -> str | None:
    """Return the one value of a header under any of its names; parameters are ignored."""
    values = [value for name, value in headers if name in names]
    if len(values) != 1 or len(values[0]) > _LONGEST:
        return None
    value = values[0].strip(b" ")
    found = _STRING.match(value)
    if found is not None:
        rest, text = value[found.end() :], re.sub(rb'\\(["\\])', rb"\1", found[1])
    else:
        found = _BARE.match(value)
        if found is None:
            return None
        rest, text = value[found.end() :], found[0]
    if rest.strip(b" ") and not rest.lstrip(b" ").startswith(b";"):
        return None
    return text.decode("ascii") or None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
