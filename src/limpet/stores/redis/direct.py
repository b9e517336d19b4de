"""One connection that blocks, spoken on directly.

redis-py has opened it, authenticated, selected, encrypted and set its time limits. What it does around each command
costs more than the command: telemetry, retries that are off, the name of the host in case of an error, a parser that is
asked twice for each reply. Here the commands of a call are sent in one piece, and what arrives goes to a parser of
hiredis until all replies are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

__all__ = ["DirectConnection", "packer"]

_PIECE = 65_536


class DirectConnection:
    """A connection of redis-py's pool, and a parser of its own.

    Args:
        connection: redis-py's, connected.

    Attributes:
        since: When the last reply came, by the monotonic clock.
    """

    __slots__ = ("_feed", "_gets", "_pack", "_sock", "connection", "since")

    def __init__(self, connection: Any) -> None:
        from hiredis import Reader, pack_command

        self.connection: Any = connection
        self.since: float = 0.0
        reader = Reader(protocolError=InvalidResponse, replyError=connection._parser.parse_error)
        self._feed, self._gets = reader.feed, reader.gets
        self._pack = pack_command
        self._sock: Any = connection._sock

    def exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands and return their replies; a refused one is an exception in its place."""
        sock, gets, wanted = self._sock, self._gets, len(commands)
        packed = self._pack(commands[0]) if wanted == 1 else b"".join(map(self._pack, commands))
        replies: list[Any] = []
        try:
            sock.sendall(packed)
            while len(replies) < wanted:
                piece = sock.recv(_PIECE)
                if not piece:
                    raise RedisConnectionError("Connection closed by server.")
                self._feed(piece)
                while (reply := gets()) is not False:
                    replies.append(reply)
        except TimeoutError:
            raise RedisTimeoutError("no reply came in time") from None
        if len(replies) > wanted:
            raise InvalidResponse("more replies came than there were commands")
        return replies


def packer() -> Callable[[tuple[Any, ...]], bytes] | None:
    """Return hiredis' way to write a command, ten times as fast as that of a connection; None: it is not installed."""
    try:
        from hiredis import pack_command
    except ImportError:
        return None
    return pack_command
