"""One connection that all commands of an event loop share.

A command is written when it is asked, without waiting for the replies to those before it, and what is asked in one turn
of the loop goes out in one write. Replies come in the order of the commands, and each settles a future: there is no
task, no timer and no connection for a call. A caller that is cancelled cancels its future and nothing else; its command
is carried out if it was sent, and its reply is read and dropped.

redis-py opens the connection, authenticates, selects, encrypts and finds the primary. Then its transport is given
another protocol (`asyncio.BaseTransport.set_protocol`), which feeds what arrives to a parser of hiredis directly. A
connection that ends, or on which nothing is heard until somebody's time is up, is closed and goes back to redis-py's
pool; the next command opens another.

https://redis.io/docs/latest/develop/using-commands/pipelining/
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from limpet.errors import StoreUnavailable
from limpet.stores.redis.failures import FAILURES, LOST, judged, not_executed
from limpet.stores.redis.layout import Command, Script
from limpet.stores.redis.line import Asked, Line, fail

__all__ = ["SharedConnection"]

_MOST: Final = 512
"""Calls under way on one connection at most; what is asked beyond that waits for replies."""


class SharedConnection:
    """Sends the commands of one event loop over one connection at a time.

    Args:
        pool: redis-py's, which makes the connection.
        pack: What writes a command, see `packer`.
        where: The service, for messages.
        timeout: Seconds from asking to the answer, opening the connection included.
    """

    def __init__(
        self, pool: Any, pack: Callable[[tuple[Any, ...]], bytes], *, where: str, timeout: float, most: int = _MOST
    ) -> None:
        self._pool = pool
        self.pack: Callable[[tuple[Any, ...]], bytes] = pack
        self._where = where
        self._timeout = timeout
        self.most: int = most
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._retired: list[Line] = []  # they take no more, and replies are still to come
        self._ended: list[Any] = []  # connections that are the pool's again as soon as somebody can wait for that
        self._waiting: deque[Asked] = deque()
        self._opening: asyncio.Task[None] | None = None
        self._rings: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Future[None] | None = None

    # -- asking

    def ask(self, words: tuple[Any, ...], script: Script | None = None) -> asyncio.Future[Any]:
        """Return the future reply to one command.

        It is an exception when the command failed: `StoreUnavailable` when there was no reply in time.

        Args:
            words: The command.
            script: The one that it names; None: it may as well be carried out twice.
        """
        loop = self.loop
        answer: asyncio.Future[Any] = loop.create_future()
        self._put(Asked(answer, self.pack(words), words, script, loop.time() + self._timeout))
        return answer

    def load_all(self, commands: Sequence[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        """Return the future replies to several loads; what the second of two reads is read once for many calls."""
        if len(commands) != 2:
            return self._several(commands, raw=False)
        own, common = commands
        loop = self.loop
        answer: asyncio.Future[list[Any]] = loop.create_future()
        self._put(Asked(answer, self.pack(own), None, None, loop.time() + self._timeout, 2, False, common))
        return answer

    def exchange(self, commands: Sequence[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        """Return the future replies to commands that go over one connection; an exception for each refused one.

        The answer is an exception as redis-py raises it when the connection failed.
        """
        return self._several(commands, raw=True)

    def _several(self, commands: Sequence[tuple[Any, ...]], *, raw: bool) -> asyncio.Future[list[Any]]:
        answer: asyncio.Future[list[Any]] = self.loop.create_future()
        if not commands:
            answer.set_result([])
            return answer
        packed, pack = b"", self.pack
        for words in commands:
            packed += pack(words)
        self._put(Asked(answer, packed, None, None, self.loop.time() + self._timeout, len(commands), raw))
        return answer

    def _put(self, asked: Asked) -> None:
        line = self._line
        if line is None or not line.put(asked):
            self._waiting.append(asked)
            if line is None and self._opening is None:
                self._opening = self.loop.create_task(self._open())
        self._set_timer(asked.at)

    # -- connections

    async def _open(self) -> None:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await self._give_back()
                connection = await self._pool.get_connection()
        except Exception as error:  # noqa: BLE001 - told apart below
            self._opening = None
            waiting, self._waiting = self._waiting, deque()
            for asked in waiting:
                if limit.expired():  # each has a time limit of its own
                    self._put_back([asked])
                elif isinstance(error, FAILURES):
                    self.lose(asked, error)
                else:  # a defect, not an outage
                    fail(asked, error)
        except asyncio.CancelledError:
            self._opening = None
            for asked in self._waiting:
                fail(asked, StoreUnavailable(f"the event loop ended before {self._where} answered"))
            self._waiting.clear()
            raise
        else:
            self._opening = None
            self._line = Line(self, connection, alone=len(self._waiting) == 1)
            self.go_on()
        self.look_whether_quiet()

    async def _give_back(self) -> None:
        while self._ended:
            connection = self._ended.pop()
            try:
                await connection.disconnect(nowait=True)
            finally:
                await self._pool.release(connection)

    def go_on(self) -> None:
        """Send what waits, as far as there is room."""
        waiting = self._waiting
        while waiting and (line := self._line) is not None:
            if waiting[0].is_wanted() and not line.put(waiting[0]):
                break
            waiting.popleft()

    def _put_back(self, calls: Sequence[Asked]) -> None:
        for asked in calls:
            if asked.is_wanted():
                self._put(asked)

    def retire(self) -> None:
        """Use the connection no longer: the next command looks again where the service is."""
        line, self._line = self._line, None
        if line is not None:
            self._retired.append(line)
            line.retire()

    def lost(self, line: Line, error: Exception, unsent: Sequence[Asked], sent: Sequence[Asked]) -> None:
        """Take note of a connection that ended, and of the calls that were on it."""
        if self._line is line:
            self._line = None
        else:
            self._retired.remove(line)
        self._ended.append(line.connection)
        self._put_back(unsent)
        for asked in sent:
            self.lose(asked, error)
        self.look_whether_quiet()

    async def drain(self) -> None:
        """Wait until everything that was asked is answered; the timeouts bound it."""
        while not self._is_quiet():
            self._quiet = self._quiet or self.loop.create_future()
            await asyncio.shield(self._quiet)

    async def close(self) -> None:
        """Close the connection; what is under way on it is lost."""
        self.retire()
        for line in list(self._retired):
            line.end(RedisConnectionError("the store was closed"))
        await self._give_back()

    def look_whether_quiet(self) -> None:
        """Wake those who wait for the end of everything."""
        if self._quiet is not None and self._is_quiet():
            self._quiet.set_result(None)
            self._quiet = None

    def _is_quiet(self) -> bool:
        if self._waiting or self._opening is not None or self._retired:
            return False
        return self._line is None or not self._line.is_busy()

    # -- answers

    def settle(self, asked: Asked, reply: Any) -> None:
        """Answer a call with what is no usual reply: send it again where that is no retry of a write, or judge it."""
        replies = [reply] if asked.words is not None else reply
        if asked.raw:
            if not asked.answer.done():
                asked.answer.set_result(reply)
            return
        if any(isinstance(each, LOST) for each in replies) or any(map(not_executed, replies)):
            known = any(isinstance(each, NoScriptError) for each in replies)
            if not known:
                self.retire()
            refused = all(map(not_executed, replies))
            if not asked.again and (refused or asked.may_be_repeated()):
                asked.repeat()
                if asked.words is not None:
                    asked.packed = self.pack(Command(asked.words, asked.script).in_full())
                self._put(asked)
                return
        found = [judged(each, self._where) for each in replies]
        if asked.answer.done():
            return
        failure = next((each for each in found if isinstance(each, Exception)), None)
        if failure is not None:
            asked.answer.set_exception(failure)
        else:
            asked.answer.set_result(found[0] if asked.words is not None else found)

    def lose(self, asked: Asked, error: Exception) -> None:
        """Send a load again whose connection was lost; fail what may have happened, or may not."""
        if asked.may_be_repeated() and not asked.again:
            if asked.answer.done():
                return
            asked.repeat()
            self._put(asked)
        else:
            fail(asked, error if asked.raw else judged(error, self._where))

    # -- deadlines

    def _set_timer(self, at: float) -> None:
        """Have the timer ring at this time, or before."""
        if self._rings is not None and self._rings <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings, self._timer = at, self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        now = max(self._rings or 0.0, self.loop.time())
        self._rings = self._timer = None
        lines = [line for line in (self._line, *self._retired) if line is not None]
        waiting, self._waiting = self._waiting, deque()
        for asked in waiting:
            if asked.at > now:
                self._waiting.append(asked)
            else:
                fail(asked, self._too_late())
        for line in lines:
            line.expire(now, self._timeout, self._too_late)
        lines = [line for line in (self._line, *self._retired) if line is not None]
        moments = [asked.at for asked in self._waiting]
        for line in lines:
            moments += line.moments(self._timeout)
        after = [at for at in moments if at > now]
        if after:
            self._set_timer(min(after))
        self.look_whether_quiet()

    def _too_late(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._where} did not answer within {self._timeout:g} s", waited=True)
