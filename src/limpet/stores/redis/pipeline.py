"""Sends batches of commands: once, again where that is no retry of a write, and says what each reply means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from limpet._waiting import Progress
from limpet.stores.redis.connection import FAILURES, LOST, unavailable
from limpet.stores.redis.idle import IdleConnections
from limpet.stores.redis.layout import Script

__all__ = ["CONFIRMED", "TOGETHER", "Command", "Pipeline"]

TOGETHER: Final = "together"
CONFIRMED: Final = "confirmed"
"""Commands that replicas have to confirm."""

_USUAL: Final = frozenset({bytes, int, list, type(None)})
"""What replies are when nothing failed."""


class Command(NamedTuple):
    """One command: its words, and the script that they name."""

    words: tuple[Any, ...]
    script: Script | None = None

    def in_full(self) -> tuple[Any, ...]:
        """Return the words with the script's text instead of its name, for a server that does not know it yet."""
        return self.words if self.script is None else ("EVAL", self.script.source, *self.words[2:])


class Service(Protocol):
    """The connection to a service: `Connection`, or `BlockingConnection` where there is no event loop."""

    async def send(self, commands: Sequence[tuple[Any, ...]], wait: int = 0) -> list[Any]:
        """Send commands together and return their replies."""
        ...

    async def rediscover(self) -> None:
        """Look again where the service is."""


class Pipeline:
    """Sends commands over one connection to the service, for `Batching`.

    Args:
        wait: Replicas that have to confirm what is `CONFIRMED`.
    """

    def __init__(self, connection: Service, *, where: str, wait: int) -> None:
        self._connection = connection
        self._where = where
        self._wait = wait

    async def send(self, kind: str, commands: Sequence[Command]) -> list[Any]:
        """Send these commands together; return replies, with an exception in the place of one that failed."""
        wait = self._wait if kind == CONFIRMED else 0
        # Scripts that replicas must confirm go in full: one that the server does not know would wait in vain first.
        replies = await self._sent([command.in_full() if wait else command.words for command in commands], wait)
        return replies if _USUAL.issuperset(map(type, replies)) else await self._settled(commands, replies, wait)

    async def send_one(self, idle: IdleConnections, kind: str, command: Command, progress: Progress[Any]) -> Any:
        """Do for one command what `send` does, in the task of its caller; an exception is raised."""
        try:
            reply = await idle.send_one(command.words, progress)
        except FAILURES as error:
            reply = error
        if type(reply) in _USUAL:
            return reply
        if _not_executed(reply) or _may_be_repeated(command, reply):
            if not isinstance(reply, NoScriptError):
                await self._connection.rediscover()
            try:
                reply = await idle.send_one(command.in_full(), progress)
            except FAILURES as error:
                reply = error
        reply = self._judged(reply)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _sent(self, words: Sequence[tuple[Any, ...]], wait: int) -> list[Any]:
        try:
            return await self._connection.send(words, wait)
        except FAILURES as error:
            return [error] * len(words)

    async def _settled(self, commands: Sequence[Command], replies: list[Any], wait: int) -> list[Any]:
        """Send again what may be sent again, and judge what came of the rest."""
        again = [
            at for at, reply in enumerate(replies) if _not_executed(reply) or _may_be_repeated(commands[at], reply)
        ]
        if again:
            if any(isinstance(replies[at], (ReadOnlyError, *LOST)) for at in again):
                await self._connection.rediscover()
            words = [commands[at].in_full() for at in again]
            for at, reply in zip(again, await self._sent(words, wait), strict=True):
                replies[at] = reply
        return [self._judged(reply) for reply in replies]

    def _judged(self, reply: Any) -> Any:
        if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
            return 2
        if isinstance(reply, FAILURES):
            return unavailable(reply, self._where)
        return reply


def _not_executed(reply: Any) -> bool:
    """Tell whether the server refused a command as unknown or as a replica: sending it again is no retry of a write."""
    return isinstance(reply, (NoScriptError, ReadOnlyError))


def _may_be_repeated(command: Command, reply: Any) -> bool:
    """Tell whether a load, or what may as well happen twice, failed on a connection that the server had closed."""
    return command.script is None and isinstance(reply, LOST)
