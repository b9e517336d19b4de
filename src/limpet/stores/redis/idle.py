"""Connections of redis-py's pool that stay at hand from one batch of commands to the next.

Everything here is redis-py's own: its pool opens, authenticates, selects, encrypts and finds the primary, its
connections send, read and notice what is wrong. What is left out is what a call of the client or a pipeline does around
that each time: taking a connection out of the pool and putting it back, retries that are off, telemetry.

A connection that fails in any way is closed and goes back to the pool, and those that idle go with it: the pool knows
what to do about a server that went away, or is no longer the primary.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from operator import methodcaller
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from limpet._waiting import Progress

__all__ = ["IdleConnections", "packer"]


class IdleConnections:
    """Sends batches of commands, each over a connection that is its own while it lasts."""

    def __init__(self, client: Redis) -> None:
        self._pool: Any = client.connection_pool
        self._pack = packer()
        self._idle: list[Any] = []
        self._others = 0

    async def send(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands together and return their replies; a refused one is an exception in its place."""
        connection = await self._take()
        pack, replies = self._pack, []
        try:
            packed = connection.pack_commands(commands) if pack is None else [pack(words) for words in commands]
            await connection.send_packed_command(packed)
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
        except BaseException:  # cancelled, too: the replies that are still to come are not read
            await self._discard(connection)
            raise
        if self._others:
            await self._pool.release(connection)
        else:
            self._idle.append(connection)
        return replies

    async def send_one(self, words: tuple[Any, ...], progress: Progress[Any]) -> Any:
        """Send one command and return its reply, or the exception that refuses it."""
        connection = await self._take()
        pack = self._pack
        try:
            packed = connection.pack_command(*words) if pack is None else pack(words)
            progress.sent = True
            await connection.send_packed_command(packed)
            reply = await connection.read_response()
        except ResponseError as error:
            reply = error
        except BaseException:
            await self._discard(connection)
            raise
        finally:
            progress.sent = False
        if self._others:
            await self._pool.release(connection)
        else:
            self._idle.append(connection)
        return reply

    async def give_back(self) -> None:
        """Let the pool have those that idle."""
        while self._idle:
            await self._pool.release(self._idle.pop())

    @contextlib.asynccontextmanager
    async def released(self) -> AsyncIterator[None]:
        """Leave all connections to the pool as long as the block lasts, for calls of the client itself."""
        self._others += 1
        try:
            await self.give_back()
            yield
        finally:
            self._others -= 1

    async def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            try:
                fit = not await _is_readable(connection)
            except (RedisError, OSError):
                fit = False
            except BaseException:
                await self._discard(connection)
                raise
            if fit:
                return connection
            await self._discard(connection)
        return await self._pool.get_connection()

    async def _discard(self, connection: Any) -> None:
        try:
            await connection.disconnect(nowait=True)
        finally:
            await self._pool.release(connection)
        await self.give_back()


_is_readable = methodcaller("can_read" if hasattr(AbstractConnection, "can_read") else "can_read_destructive")
"""Asks a connection that idled whether there is something to read: its end, or a reply that is no longer waited for."""


def packer() -> Callable[[tuple[Any, ...]], bytes] | None:
    """Return hiredis' way to write a command, ten times as fast as that of a connection; None: it is not installed."""
    try:
        from hiredis import pack_command
    except ImportError:
        return None
    return pack_command
