"""What a browser sends for sessions that are bound to its device, answered before any view of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask

from limpet._blocking import drive
from limpet._environ import visit_of
from limpet._serving import as_text
from limpet.adapters.flask._session import current_session

if TYPE_CHECKING:
    from limpet.manager import SessionManager

__all__ = ["serve_devices"]


def serve_devices(app: flask.Flask, manager: SessionManager) -> None:
    """Let an application answer for its manager's bound sessions, if it has such; once."""
    first = app.before_request_funcs.setdefault(None, [])
    if manager.guard is not None and _answer not in first:
        first.insert(0, _answer)


def _answer() -> flask.Response | None:
    session = current_session()
    guard = None if session is None else session.middleware.manager.guard
    if session is None or guard is None:
        return None
    answer = drive(guard.answer(visit_of(flask.request.environ), session.inner))
    if answer is None:
        return None
    session.middleware.ended()
    session.refused = True  # nothing of this request is saved, and the answer says all there is to say
    return flask.Response(answer.body, answer.status, as_text(answer.headers))
