"""Sockets under Flask: what they answer is no response, so that no cookie goes out with it."""

from __future__ import annotations

from typing import Final

from flask import Request

__all__ = ["is_over_a_socket"]

_EVENT: Final = ("event", "namespace", "sid")
"""What Flask-SocketIO adds to the request of each event."""


def is_over_a_socket(request: Request) -> bool:
    """Tell whether a request is one of a WebSocket (Flask-Sock), or an event of a connection (Flask-SocketIO)."""
    rule = request.url_rule
    if rule is not None and rule.websocket:
        return True
    return hasattr(request, _EVENT[0]) and all(hasattr(request, name) for name in _EVENT)
