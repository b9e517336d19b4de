"""What the engine's errors are answered with in frameworks that make responses of exceptions before we see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from limpet import asgi
from limpet._core.session import Session, backend_of, state_of
from limpet._core.state import WRITTEN
from limpet.errors import Answer
from limpet.refusals import answer_error

__all__ = ["AnsweredInside", "content_type", "extra_headers", "has_failed", "refuse"]

_FAILED: Final = WeakValueDictionary[int, Session]()  # by their `id`, until the request is over and they are gone


class AnsweredInside(asgi.SessionMiddleware):
    """`SessionMiddleware` around a framework that answers exceptions itself.

    A response with a status below 500 saves. One that answers an error of the engine does not, whatever its status: it
    drops what the handler wrote and keeps a logout, as an exception does that comes out of an application.
    """

    made_by_frameworks = False

    async def save(self, session: Session, failed: bool) -> None:
        """Commit what is not idle."""
        await super().save(session, failed or has_failed(session))


def refuse(sessions: Iterable[Session], error: BaseException, scope: Mapping[str, Any]) -> Answer:
    """Return the answer to one of `limpet.errors.ANSWERED`, and let none of these sessions save.

    Args:
        sessions: Those of the request.
        error: What the handler let pass.
        scope: The ASGI scope of the request.

    Raises:
        TypeError: The error has no answer.
    """
    held = list(sessions)
    owners = [backend_of(session).owner for session in held]
    make = next((owner.on_refused for owner in owners if owner is not None and owner.on_refused is not None), None)
    answer = answer_error(make, error, scope)
    if answer is None:
        raise TypeError(f"{type(error).__name__} has no answer: register this handler for limpet.errors.ANSWERED")
    for session in held:
        _FAILED[id(session)] = session
        state = state_of(session)
        if state.created is not None:
            state.flags |= WRITTEN  # so that it is committed, which takes back the id that `Session.save` made
    return answer


def has_failed(session: Session) -> bool:
    """Tell whether the request of a session was answered with an error of the engine."""
    return _FAILED.get(id(session)) is session


def content_type(answer: Answer) -> str:
    """Return what the body of an answer is."""
    return next((value.decode("latin-1") for name, value in answer.headers if name == b"content-type"), "text/plain")


def extra_headers(answer: Answer) -> dict[str, str]:
    """Return the headers of an answer but for those about its body, which a framework writes itself."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in answer.headers
        if name not in (b"content-type", b"content-length")
    }
