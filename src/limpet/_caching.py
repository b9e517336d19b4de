"""What a shared cache must be told about a response that depends on a session. Pure: headers in, headers out.

RFC 9110, section 12.5.5 (Vary) and RFC 9111, section 5.2.2 (Cache-Control).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from limpet.protocols import Header

__all__ = ["mark_response"]

_SPOKEN: Final = frozenset({b"vary", b"cache-control"})
_LENGTHS: Final = frozenset(map(len, _SPOKEN))
_PRIVATE: Final = (b"cache-control", b"private")
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_STORE: Final = (b"cache-control", b"no-store")


def mark_response(
    headers: Iterable[Header], vary: bytes, token: Header | None, accessed: bool, no_store: bool = False
) -> list[Header]:
    """Return the headers with the token, ``Vary`` and ``Cache-Control`` added as far as the response needs them.

    Args:
        headers: What the application sends.
        vary: The request header that carries the token; several, with a comma and a space between them.
        token: The header that hands out or takes back a token, if this response does.
        accessed: The handler read or wrote the session.
        no_store: What was made with a session is kept by no cache, unless the application says how it may be.
    """
    marked = list(headers)
    if token is None and not accessed:
        return marked
    for name, _ in marked:
        if len(name) in _LENGTHS and name.lower() in _SPOKEN:
            break
    else:  # the application says nothing of caches: one pass over the headers instead of three
        marked.append((b"vary", vary))
        marked.append(_NO_STORE if no_store or token is not None else _PRIVATE)
        if token is not None:
            marked.append(token)
        return marked
    _add_vary(marked, vary)
    directives = _directives(marked)
    if token is not None:
        if not directives & {b"no-store", b"private"}:
            _set(marked, b"cache-control", b"no-store")
        marked.append(token)
    elif not directives:
        marked.append(_NO_STORE if no_store else _PRIVATE)
    return marked


def _directives(headers: list[Header]) -> set[bytes]:
    """Return the directives in lower case; one that is restricted to some fields is not the directive without."""
    values = [_QUOTED.sub(b'""', value) for name, value in headers if name.lower() == b"cache-control"]
    return {part.strip().lower() for value in values for part in value.split(b",") if part.strip()}


def _add_vary(headers: list[Header], field: bytes) -> None:
    for index, (name, value) in enumerate(headers):
        if name.lower() == b"vary":
            named = {part.strip().lower() for part in value.split(b",")}
            lacking = [part for part in field.split(b", ") if part.lower() not in named]
            if b"*" not in named and lacking:
                headers[index] = (name, b", ".join([value, *lacking] if value.strip() else lacking))
            return
    headers.append((b"vary", field))


def _set(headers: list[Header], field: bytes, value: bytes) -> None:
    headers[:] = [header for header in headers if header[0].lower() != field]
    headers.append((field, value))
