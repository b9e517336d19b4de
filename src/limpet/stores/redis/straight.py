"""Commands that go straight out on the thread of their caller, over connections that are spoken on directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from limpet.stores.redis.blocking import BlockingConnection
from limpet.stores.redis.failures import FAILURES, USUAL
from limpet.stores.redis.layout import Command, Script

__all__ = ["StraightLine"]


class StraightLine:
    """What `SharedConnection` is on an event loop: it asks, and a reply that is as usual is the answer.

    Args:
        connection: One that `is_direct`.
        settle: Sends again what may be sent again, and judges what came of the rest; see `Pipeline.settled`.
    """

    __slots__ = ("_exchange", "_settle")

    def __init__(
        self,
        connection: BlockingConnection,
        settle: Callable[[Sequence[Command], list[Any], int], Awaitable[list[Any]]],
    ) -> None:
        self._exchange = connection.exchange
        self._settle = settle

    async def ask(self, words: tuple[Any, ...], script: Script | None = None) -> Any:
        """Return the reply to one command.

        Args:
            words: The command.
            script: The one that it names; None: it may as well be carried out twice.

        Raises:
            StoreUnavailable: The service failed, or refused it.
        """
        reply: Any
        try:
            (reply,) = self._exchange((words,))
        except FAILURES as error:
            reply = error
        return reply if type(reply) in USUAL else (await self._settled((Command(words, script),), [reply]))[0]

    async def load_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the replies to several loads, which go out together.

        Raises:
            StoreUnavailable: The service failed, or refused one of them.
        """
        replies: list[Any]
        try:
            replies = self._exchange(commands) if commands else []
        except FAILURES as error:
            replies = [error] * len(commands)
        for reply in replies:
            if type(reply) not in USUAL:
                return await self._settled([Command(words) for words in commands], replies)
        return replies

    async def _settled(self, commands: Sequence[Command], replies: list[Any]) -> list[Any]:
        answers = await self._settle(commands, replies, 0)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers
