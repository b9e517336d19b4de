"""Sockets under Flask: what they answer is no response, so that no cookie goes out with it."""

from __future__ import annotations

from typing import Final

from flask import request as current_request

__all__ = ["is_over_a_socket"]

_EVENT: Final = ("event", "namespace", "sid")
"""What Flask-SocketIO adds to the request of each event."""


def is_over_a_socket() -> bool:
    """Tell whether the request is one of a WebSocket (Flask-Sock), or an event of a connection (Flask-SocketIO)."""
    rule = current_request.url_rule
    if rule is not None and rule.websocket:
        return True
    return all(hasattr(current_request, name) for name in _EVENT)
