"""A connection on which commands are written as they come, and replies are read in their order.

See `limpet.stores.redis.shared`, which has one of these at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

from limpet.errors import StoreUnavailable
from limpet.stores.redis.failures import USUAL
from limpet.stores.redis.layout import Script

__all__ = ["Asked", "Line", "fail"]

_NONE: Final[list[Any]] = []
_TICK: Final = 0.01  # seconds that may pass from asking to sending


class Asked:
    """One call: what it sends, and its answer.

    Args:
        answer: Is settled with the reply, or with a list of replies to several commands.
        packed: The commands, as they are sent.
        words: Those of the one command; None: there are several.
        script: The script that they name.
        at: Until when somebody waits, by the loop's clock.
        wanted: How many replies there are.
        raw: Replies are returned as they are, errors included, and nothing is sent again.
        common: A load that others may need as well. It comes after ``packed``, and once for all calls of one write.

    Attributes:
        again: It is sent for the second time.
        replies: Those of several that have come so far.
        in_row: How many replies come one after the other; the one that is missing is that to ``common``.
    """

    __slots__ = ("again", "answer", "at", "common", "in_row", "packed", "raw", "replies", "script", "wanted", "words")

    def __init__(
        self,
        answer: asyncio.Future[Any],
        packed: bytes,
        words: tuple[Any, ...] | None,
        script: Script | None,
        at: float,
        wanted: int = 1,
        raw: bool = False,
        common: tuple[Any, ...] | None = None,
    ) -> None:
        self.answer: asyncio.Future[Any] = answer
        self.packed: bytes = packed
        self.words: tuple[Any, ...] | None = words
        self.script: Script | None = script
        self.at: float = at
        self.wanted: int = wanted
        self.in_row: int = wanted
        self.raw: bool = raw
        self.common: tuple[Any, ...] | None = common
        self.again: bool = False
        self.replies: list[Any] = [] if words is None else _NONE

    def is_wanted(self) -> bool:
        """Tell whether it is to be sent: a call that was sent once is seen to its end, whoever went away."""
        return self.again or not self.answer.done()

    def may_be_repeated(self) -> bool:
        """Tell whether it may as well happen twice."""
        return not self.raw and self.script is None

    def repeat(self) -> None:
        """Note that it is sent again, and that no reply has come yet."""
        self.again = True
        if self.words is None:
            self.replies = []


class _Common:
    """A load that several calls of one write share."""

    __slots__ = ("takers", "words")

    def __init__(self) -> None:
        self.words: None = None
        self.takers: list[Asked] = []


class Owner(Protocol):
    """Whose connection it is."""

    loop: asyncio.AbstractEventLoop
    most: int

    def pack(self, words: tuple[Any, ...], /) -> bytes:
        """Return a command as it is sent."""
        ...

    def settle(self, asked: Asked, reply: Any) -> None:
        """Answer a call with what is no usual reply."""

    def lost(self, line: Line, error: Exception, unsent: Sequence[Asked], sent: Sequence[Asked]) -> None:
        """Take note of a connection that ended, and of the calls that were on it."""

    def go_on(self) -> None:
        """Send what waits."""

    def look_whether_quiet(self) -> None:
        """Note that nothing is under way on a connection."""


class Line:
    """The connection while it is shared: the protocol of its transport, as `asyncio.Protocol` describes it.

    Args:
        owner: Whose it is.
        connection: redis-py's, connected.
        alone: Calls come one at a time, as it seems.
    """

    def __init__(self, owner: Owner, connection: Any, *, alone: bool = True) -> None:
        from hiredis import Reader

        self.connection: Any = connection
        self._owner = owner
        self._transport: Any = connection._writer.transport
        self._before: Any = self._transport.get_protocol()
        self._reader = Reader(protocolError=InvalidResponse, replyError=connection._parser.parse_error)
        self._asked: deque[Asked | _Common] = deque()  # sent
        self._unsent: list[Asked] = []
        self._most = owner.most
        self._last = 1 if alone else 2  # calls in the write before
        self._since = 0.0  # when something was heard last, or when the wait for a reply began
        self._is_full = self._is_retired = self._is_over = False
        self._transport.set_protocol(self)

    def is_busy(self) -> bool:
        """Tell whether a reply is to come."""
        return bool(self._asked or self._unsent)

    def put(self, asked: Asked) -> bool:
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
            self._since = self._owner.loop.time()
            sent.append(asked)
            if asked.common is None:
                self._transport.write(asked.packed)
            else:
                asked.in_row = 2
                self._transport.write(asked.packed + self._owner.pack(asked.common))
        else:
            unsent.append(asked)
            self._owner.loop.call_soon(self._send)
        return True

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        sent, packed = self._asked, []
        common: dict[tuple[Any, ...], _Common] = {}
        if not sent:
            self._since = self._owner.loop.time()
        for asked in unsent:
            if asked.again or not asked.answer.done():
                packed.append(asked.packed)
                sent.append(asked)
                if asked.common is not None:
                    asked.in_row = 1
                    if asked.common not in common:
                        common[asked.common] = _Common()
                    common[asked.common].takers.append(asked)
        self._last = len(packed)
        for words, one in common.items():
            packed.append(self._owner.pack(words))
            sent.append(one)
        if packed:
            self._transport.write(b"".join(packed))
        else:
            self._look_whether_idle()

    def data_received(self, data: bytes) -> None:
        """Answer calls, in their order."""
        asked, gets = self._asked, self._reader.gets
        try:
            self._reader.feed(data)
            self._since = self._owner.loop.time()
            reply = gets()
            while reply is not False:
                first = asked[0]
                if isinstance(first, _Common):
                    asked.popleft()
                    for taker in first.takers:
                        taker.replies.append(reply)
                        self._complete(taker)
                elif first.words is None:
                    replies = first.replies
                    replies.append(reply)
                    if len(replies) == first.in_row:
                        asked.popleft()
                        if first.in_row == first.wanted:
                            self._complete(first)
                else:
                    asked.popleft()
                    if type(reply) not in USUAL:
                        self._owner.settle(first, reply)
                    elif not first.answer.done():
                        first.answer.set_result(reply)
                reply = gets()
        except (InvalidResponse, IndexError) as error:  # what no server of ours says, or says unasked
            self.end(RedisConnectionError(f"this is no reply: {error}"))
            return
        self._owner.go_on()
        if not asked:
            self._look_whether_idle()

    def _complete(self, asked: Asked) -> None:
        if not USUAL.issuperset(map(type, asked.replies)):
            self._owner.settle(asked, asked.replies)
        elif not asked.answer.done():
            asked.answer.set_result(asked.replies)

    def _look_whether_idle(self) -> None:
        if self._is_retired and not self._asked and not self._unsent:
            self.end(RedisConnectionError("it is not used any longer"))
        else:
            self._owner.look_whether_quiet()

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
        self._owner.go_on()

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
        sent, unsent = list(self._calls()), self._unsent
        self._asked, self._unsent = deque(), []
        self._owner.lost(self, error, unsent, sent)

    def _calls(self) -> Iterator[Asked]:
        """Yield the calls whose replies are to come, each once."""
        for asked in self._asked:
            if isinstance(asked, Asked):
                yield asked
            else:
                yield from (taker for taker in asked.takers if taker.replies)

    def expire(self, now: float, timeout: float, too_late: Callable[[], StoreUnavailable]) -> None:
        """Fail the calls whose time is up; give the connection up if nothing was heard on it for as long."""
        late = [asked for asked in self._calls() if asked.at <= now]
        for asked in (*late, *(asked for asked in self._unsent if asked.at <= now)):
            fail(asked, too_late())
        self._unsent = [asked for asked in self._unsent if asked.at > now]
        if late and now - self._since >= timeout - _TICK:  # nothing ends before somebody's time is up
            self.end(RedisConnectionError("no reply came in time"))

    def moments(self, timeout: float) -> list[float]:
        """Return when something has to be done if no reply comes."""
        calls = [asked.at for asked in (*self._calls(), *self._unsent)]
        return [*calls, self._since + timeout] if self._asked else calls


def fail(asked: Asked, error: Exception) -> None:
    """Answer a call with an error, unless nobody waits."""
    if not asked.answer.done():
        asked.answer.set_exception(error)
