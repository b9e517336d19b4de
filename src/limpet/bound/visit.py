"""What a middleware tells of a request, in whatever protocol it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from limpet.protocols import Header

__all__ = ["Visit"]


class Visit(NamedTuple):
    """What is to be known of a request.

    Attributes:
        method: In capital letters.
        path: Below the mount of the application.
        prefix: That mount, such as ``/shop``; empty: there is none.
        headers: Lower-case names and values.
        scope: The ASGI scope, or the WSGI environment.
    """

    method: str
    path: str
    prefix: str
    headers: Sequence[Header]
    scope: Any = None
