"""WebSockets of frameworks that keep to themselves how a handler ended: the session has to know."""

from __future__ import annotations

from typing import Final

from limpet.asgi import ASGIApp, Message, Receive, Scope, Send
from limpet.errors import ANSWERED

__all__ = ["HandlerFailed", "note_failure", "run_socket"]

_FAILURE: Final = "limpet.failure"


class HandlerFailed(Exception):
    """The handler of a WebSocket raised, and the framework has logged it.

    Attributes:
        close: What the framework sends then, to be sent once the session knows of the failure.
    """

    def __init__(self, close: Message | None = None) -> None:
        super().__init__("the handler of a WebSocket raised")
        self.close = close


def note_failure(scope: Scope, error: Exception) -> None:
    """Note what a handler raised, where the framework does not hand it on."""
    scope[_FAILURE] = error


def _is_in_place_of_an_answer(message: Message, failure: object) -> bool:
    """Tell whether this is the framework's own refusal, after an error that is answered by the session."""
    return isinstance(failure, ANSWERED) and message["type"].startswith("websocket.http.response.")


async def run_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a framework on a WebSocket, and raise if its handler did.

    Raises:
        HandlerFailed: The handler raised.
        LimpetError: It did so before it accepted, with one of `limpet.errors.ANSWERED`.
    """
    accepted = False
    close: Message | None = None

    async def hold_back(message: Message) -> None:
        nonlocal accepted, close
        accepted = accepted or message["type"] == "websocket.accept"
        if _FAILURE in scope and message["type"] == "websocket.close":
            close = message
        elif not _is_in_place_of_an_answer(message, scope.get(_FAILURE)):
            await send(message)

    await app(scope, receive, hold_back)
    failure = scope.pop(_FAILURE, None)
    if failure is None:
        return
    if isinstance(failure, ANSWERED) and not accepted:
        raise failure
    raise HandlerFailed(close) from failure
