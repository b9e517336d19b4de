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
from redis.exceptions import InvalidResponse, NoScriptError

from limpet.errors import StoreUnavailable
from limpet.stores.redis.failures import FAILURES, LOST, USUAL, judged, not_executed
from limpet.stores.redis.layout import Command, Script

__all__ = ["SharedConnection", "packer"]

_MOST: Final = 512
"""Calls under way on one connection at most; what is asked beyond that waits for replies."""


_NONE: Final[list[Any]] = []
_TICK: Final = 0.01  # seconds that may pass from asking to sending


class _Asked:
    """One call: what it sends, and its answer.

    Attributes:
        answer: Is settled with the reply, or with a list of replies to several commands.
        packed: The commands, as they are sent.
        words: Those of the one command; None: there are several.
        script: The script that they name.
        at: Until when somebody waits, by the loop's clock.
        wanted: How many replies there are.
        raw: Replies are returned as they are, errors included, and nothing is sent again.
        again: It is sent for the second time.
        replies: Those of several that have come so far.
    """

    def __init__(
        self,
        answer: asyncio.Future[Any],
        packed: bytes,
        words: tuple[Any, ...] | None,
        script: Script | None,
        at: float,
        wanted: int = 1,
        raw: bool = False,
    ) -> None:
        self.answer = answer
        self.packed = packed
        self.words = words
        self.script = script
        self.at = at
        self.wanted = wanted
        self.raw = raw
        self.again = False
        self.replies: list[Any] = [] if words is None else _NONE

    def is_wanted(self) -> bool:
        """Tell whether it is to be sent: a call that was sent once is seen to its end, whoever went away."""
        return self.again or not self.answer.done()

    def may_be_repeated(self) -> bool:
        """Tell whether it may as well happen twice."""
        return not self.raw and self.script is None


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
        self._pack = pack
        self._where = where
        self._timeout = timeout
        self.most = most
        self.loop = asyncio.get_running_loop()
        self._line: _Line | None = None
        self._retired: list[_Line] = []  # they take no more, and replies are still to come
        self._ended: list[Any] = []  # connections that are the pool's again as soon as somebody can wait for that
        self._waiting: deque[_Asked] = deque()
        self._opening: asyncio.Task[None] | None = None
        self._rings: float | None = None
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
        self._put(_Asked(answer, self._pack(words), words, script, loop.time() + self._timeout))
        return answer

    def load_all(self, commands: Sequence[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        """Return the future replies to several loads."""
        return self._several(commands, raw=False)

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
        packed, pack = b"", self._pack
        for words in commands:
            packed += pack(words)
        self._put(_Asked(answer, packed, None, None, self.loop.time() + self._timeout, len(commands), raw))
        return answer

    def _put(self, asked: _Asked) -> None:
        line = self._line
        if line is None or not line.put(asked):
            self._waiting.append(asked)
            if line is None and self._opening is None:
                self._opening = self.loop.create_task(self._open())
        if self._rings is None:
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
            self._line = _Line(self, connection)
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

    def _put_back(self, calls: Sequence[_Asked]) -> None:
        for asked in calls:
            if asked.is_wanted():
                self._put(asked)

    def retire(self) -> None:
        """Use the connection no longer: the next command looks again where the service is."""
        line, self._line = self._line, None
        if line is not None:
            self._retired.append(line)
            line.retire()

    def lost(self, line: _Line, error: Exception, unsent: Sequence[_Asked], sent: Sequence[_Asked]) -> None:
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

    def settle(self, asked: _Asked, reply: Any) -> None:
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
                asked.again = True
                if asked.words is None:
                    asked.replies = []
                else:
                    asked.packed = self._pack(Command(asked.words, asked.script).in_full())
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

    def lose(self, asked: _Asked, error: Exception) -> None:
        """Send a load again whose connection was lost; fail what may have happened, or may not."""
        if asked.may_be_repeated() and not asked.again:
            if asked.answer.done():
                return
            asked.again = True
            if asked.words is None:
                asked.replies = []
            self._put(asked)
        else:
            fail(asked, error if asked.raw else judged(error, self._where))

    # -- deadlines

    def _set_timer(self, at: float) -> None:
        self._rings = at
        self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        now = max(self._rings or 0.0, self.loop.time())
        self._rings = None
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
        if after and self._rings is None:
            self._set_timer(min(after))
        self.look_whether_quiet()

    def _too_late(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._where} did not answer within {self._timeout:g} s", waited=True)


class _Line:
    """The connection while it is shared: the protocol of its transport, as `asyncio.Protocol` describes it.

    Attributes:
        connection: redis-py's.
    """

    def __init__(self, shared: SharedConnection, connection: Any) -> None:
        from hiredis import Reader

        self.connection = connection
        self._shared = shared
        self._transport: Any = connection._writer.transport
        self._before: Any = self._transport.get_protocol()
        self._reader = Reader(protocolError=InvalidResponse, replyError=connection._parser.parse_error)
        self._asked: deque[_Asked] = deque()  # sent
        self._unsent: list[_Asked] = []
        self._most = shared.most
        self._last = 1  # calls in the write before
        self._since = 0.0  # when something was heard last, or when the wait for a reply began
        self._is_full = self._is_retired = self._is_over = False
        self._transport.set_protocol(self)

    def is_busy(self) -> bool:
        """Tell whether a reply is to come."""
        return bool(self._asked or self._unsent)

    def put(self, asked: _Asked) -> bool:
        """Send a call: at once as long as they come one at a time, else with all others of this turn of the loop.

        Returns:
            Whether there was room for it.
        """
        unsent, sent = self._unsent, self._asked
        if self._is_full or len(sent) + len(unsent) >= self._most:
            return False
        if unsent:
            unsent.append(asked)
        elif self._last == 1 and not sent:
            self._since = self._shared.loop.time()
            sent.append(asked)
            self._transport.write(asked.packed)
        else:
            unsent.append(asked)
            self._shared.loop.call_soon(self._send)
        return True

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        calls = [asked for asked in unsent if asked.again or not asked.answer.done()]
        if not self._asked:
            self._since = self._shared.loop.time()
        self._asked.extend(calls)
        self._last = len(calls)
        if calls:
            self._transport.write(b"".join([asked.packed for asked in calls]))
        else:
            self._look_whether_idle()

    def data_received(self, data: bytes) -> None:
        """Answer calls, in their order."""
        asked, shared, gets = self._asked, self._shared, self._reader.gets
        try:
            self._reader.feed(data)
            self._since = shared.loop.time()
            reply = gets()
            while reply is not False:
                first = asked[0]
                usual = type(reply) in USUAL
                if first.words is None:
                    replies = first.replies
                    replies.append(reply)
                    if len(replies) < first.wanted:
                        reply = gets()
                        continue
                    usual = USUAL.issuperset(map(type, replies))
                    reply = replies
                asked.popleft()
                if not usual:
                    shared.settle(first, reply)
                elif not first.answer.done():
                    first.answer.set_result(reply)
                reply = gets()
        except (InvalidResponse, IndexError) as error:  # what no server of ours says, or says unasked
            self.end(RedisConnectionError(f"this is no reply: {error}"))
            return
        shared.go_on()
        if not asked:
            self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if self._is_retired and not self._asked and not self._unsent:
            self.end(RedisConnectionError("it is not used any longer"))
        else:
            self._shared.look_whether_quiet()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, here or there."""
        self._before.connection_lost(exc)
        if not self._is_over:
            error = RedisConnectionError(f"Connection lost: {exc}" if exc else "Connection closed by server.")
            error.__cause__ = exc
            self._end(error)

    def eof_received(self) -> bool:
        """The server has hung up, and nothing keeps the connection open."""
        return False

    def pause_writing(self) -> None:
        """The server does not keep up: what is asked waits."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        self._shared.go_on()

    def retire(self) -> None:
        """End when the last reply has come."""
        self._is_retired = True
        self._look_whether_idle()

    def end(self, error: Exception) -> None:
        """Close the connection now."""
        if not self._is_over:
            self._transport.abort()
            self._end(error)

    def _end(self, error: Exception) -> None:
        self._is_over = True
        unsent, self._unsent = self._unsent, []
        sent, self._asked = self._asked, deque()
        self._shared.lost(self, error, unsent, list(sent))

    def expire(self, now: float, timeout: float, too_late: Callable[[], StoreUnavailable]) -> None:
        """Fail the calls whose time is up; give the connection up if nothing was heard on it for as long."""
        for asked in (*self._asked, *self._unsent):
            if asked.at <= now:
                fail(asked, too_late())
        self._unsent = [asked for asked in self._unsent if asked.at > now]
        if self._asked and now - self._since >= timeout - _TICK:
            self.end(RedisConnectionError("no reply came in time"))

    def moments(self, timeout: float) -> list[float]:
        """Return when something has to be done if no reply comes."""
        calls = [asked.at for asked in (*self._asked, *self._unsent)]
        return [*calls, self._since + timeout] if self._asked else calls


def fail(asked: _Asked, error: Exception) -> None:
    """Answer a call with an error, unless nobody waits."""
    if not asked.answer.done():
        asked.answer.set_exception(error)


def packer() -> Callable[[tuple[Any, ...]], bytes] | None:
    """Return hiredis' way to write a command, ten times as fast as that of a connection; None: it is not installed."""
    try:
        from hiredis import pack_command
    except ImportError:
        return None
    return pack_command
