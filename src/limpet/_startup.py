"""What becomes of an application whose sessions cannot be set up: the server is stopped, with the reason.

Frameworks make their middlewares when the server asks them to start. An exception at that moment is taken for an
application without a lifespan: the server runs, and every request is an error. So what is wrong is kept until then, and
said in the one way that all servers heed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from limpet._inline import Inline
from limpet.errors import ConfigurationError

if TYPE_CHECKING:
    from limpet.manager import SessionManager

__all__ = ["Startable", "Unusable", "fit", "refuse_to_start", "run_lifespan"]

log = logging.getLogger("limpet")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Served(Protocol):
    """What starts and ends with a server."""

    @property
    def app(self) -> Callable[[Any, Any, Any], Awaitable[None]]:
        """The application inside."""
        ...

    async def startup(self) -> None:
        """Begin."""

    async def shutdown(self) -> None:
        """End."""


class Startable(type):
    """The type of a middleware that frameworks make when the server asks them to start.

    A setting that cannot work is refused at construction. Where an event loop runs already, an `Unusable` is made in
    place of the middleware, which refuses when the server can hear it.
    """

    made_by_frameworks = True

    if not TYPE_CHECKING:  # for a checker, making one gives one

        def __call__(cls, *args: Any, **settings: Any) -> Any:
            """Make a middleware.

            Raises:
                ConfigurationError: A setting cannot work, and no event loop runs.
            """
            try:
                return super().__call__(*args, **settings)
            except ConfigurationError as problem:
                if not cls.made_by_frameworks or not (_on_trio() or _on_asyncio()):
                    raise
                return Unusable(problem)


class Unusable:
    """What stands in the place of a middleware that cannot be made: it lets no server start.

    Args:
        problem: Why.
    """

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse to start, or to serve a request of a server that does not ask.

        Raises:
            ConfigurationError: Always.
        """
        if scope["type"] != "lifespan":
            raise self._problem
        await refuse_to_start(self._problem, receive, send)


def fit(manager: SessionManager, close_sockets: float | None) -> ConfigurationError | None:
    """Let a manager run on the event loop that is there; return why it cannot, if so.

    On trio's it can where nothing waits: the session is in its cookie, or in the memory of the process.
    """
    if not _on_trio():
        return None
    if manager.kept is not None and not manager.engine.storage.immediate:
        return ConfigurationError(
            f"this event loop is trio's, where {type(manager.kept).__name__} cannot wait for its store: let the server "
            "run on asyncio (with hypercorn, --worker-class asyncio), or keep sessions in memory: or cookie:"
        )
    if close_sockets is not None:
        return ConfigurationError("this event loop is trio's, where close_sockets cannot watch: leave it out")
    manager.runtime = Inline()
    return None


async def refuse_to_start(problem: ConfigurationError, receive: Receive, send: Send) -> None:
    """Tell a server that starts why it should not (ASGI specification, "Lifespan Protocol", "Startup Failed").

    Raises:
        ConfigurationError: Always: a test client shows it.
    """
    await receive()
    log.error("the application cannot start: %s", problem)
    await send({"type": "lifespan.startup.failed", "message": str(problem)})
    raise problem


async def run_lifespan(served: Served, scope: Message, receive: Receive, send: Send) -> None:
    """Start and end the sessions with the application; one without a lifespan of its own has theirs."""
    answered = stopped = False

    async def answer(message: Message) -> None:
        nonlocal answered, stopped
        answered = True
        if message["type"] == "lifespan.startup.complete":
            await served.startup()
        elif message["type"].startswith("lifespan.shutdown."):
            stopped = True
            await served.shutdown()  # before the server hears of it: it may end its event loop at once
        await send(message)

    try:
        await served.app(scope, receive, answer)
        if not answered:  # an application without a lifespan of its own, which returned: the sessions have one
            await receive()
            await served.startup()
            await send({"type": "lifespan.startup.complete"})
            await receive()
    finally:
        if not stopped:
            await served.shutdown()
    if not answered:
        await send({"type": "lifespan.shutdown.complete"})


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _on_trio() -> bool:
    trio = sys.modules.get("trio")  # a program that runs on it has imported it
    return trio is not None and bool(trio.lowlevel.in_trio_run())
