"""Sends batches of commands: once, again where that is no retry of a write, and says what each reply means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from redis.exceptions import ReadOnlyError

from limpet.stores.redis.failures import FAILURES, LOST, USUAL, judged, not_executed
from limpet.stores.redis.layout import Command

__all__ = ["CONFIRMED", "TOGETHER", "Pipeline"]

TOGETHER: Final = "together"
CONFIRMED: Final = "confirmed"
"""Commands that replicas have to confirm."""


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
        return replies if USUAL.issuperset(map(type, replies)) else await self.settled(commands, replies, wait)

    async def _sent(self, words: Sequence[tuple[Any, ...]], wait: int) -> list[Any]:
        try:
            return await self._connection.send(words, wait)
        except FAILURES as error:
            return [error] * len(words)

    async def settled(self, commands: Sequence[Command], replies: list[Any], wait: int) -> list[Any]:
        """Send again what may be sent again, and judge what came of the rest.

        Args:
            commands: What was sent.
            replies: What came of it; the exception that it ended with in the place of each.
            wait: Replicas that have to confirm what is sent again.
        """
        again = [at for at, reply in enumerate(replies) if not_executed(reply) or _may_be_repeated(commands[at], reply)]
        if again:
            if any(isinstance(replies[at], (ReadOnlyError, *LOST)) for at in again):
                await self._connection.rediscover()
            words = [commands[at].in_full() for at in again]
            for at, reply in zip(again, await self._sent(words, wait), strict=True):
                replies[at] = reply
        return [judged(reply, self._where) for reply in replies]


def _may_be_repeated(command: Command, reply: Any) -> bool:
    """Tell whether a load, or what may as well happen twice, failed on a connection that the server had closed."""
    return command.script is None and isinstance(reply, LOST)
