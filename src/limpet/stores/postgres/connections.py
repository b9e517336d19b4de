"""The connections of one event loop: how many there may be, which of them idle, and how one ends.

`Batching` bounds how many are in use, so those that idle wait in a list for the next statement. (asyncpg's pool costs
60 us for each acquire and release, two thirds of what a statement costs, and bounds what is bounded already.)

A connection whose statement was given up is not simply dropped: the server would go on with the statement, or with
waiting for a lock, for as long as it takes, and each new attempt would add a backend. So the server is asked to cancel,
and as long as it has not confirmed the end the connection counts as one of those that there may be. If no answer comes,
that is so until the time limit is over that the server was given for each statement.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import asyncpg

from limpet.stores.postgres.errors import TurnedReadOnly, failures, is_lost, is_refused

__all__ = ["Connections"]

_IDLE: Final = 300.0  # seconds after which an unused connection is not trusted: firewalls forget connections in silence
_GOODBYE: Final = 0.5  # seconds for taking leave of the server


class Connections:
    """Lends connections, each to one caller at a time.

    Args:
        connect: Opens a connection; None: there is a pool.
        pool: A pool of asyncpg that was given: it is used as it is, and counts for itself.
        most: Connections at most.
        linger: Seconds after which the server has ended what was given up without a confirmation.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]] | None, pool: Any, *, most: int, linger: float) -> None:
        self._connect = connect
        self._pool = pool
        self._most = most
        self._linger = linger
        self._open = 0
        self._idle: list[tuple[Any, float]] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._writable: WeakSet[Any] = WeakSet()
        self._lessons = 0
        self._opened_after: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """Lend a connection. It comes back only if it idles: in no transaction, with no reply to come.

        Raises:
            TurnedReadOnly: The block has done its work, on a server that has become read-only meanwhile.
        """
        connection = await self._borrow()
        try:
            yield connection
        except asyncpg.PostgresError as error:  # an answer like any other
            if is_lost(error) or is_refused(error):
                self._discard(connection)
                self.forget()
            else:
                await self._give_back(connection)
            raise
        except BaseException as error:
            self._give_up(connection)
            if not isinstance(error, Exception) or is_lost(error):
                self.forget()  # those that idle lead to the same server
            raise
        if self._has_turned(connection):
            self._discard(connection)
            self.forget()
            raise TurnedReadOnly("the server has become read-only")
        await self._give_back(connection)

    def forget(self) -> None:
        """End the connections that idle, because what was just learned of one is most likely true of all.

        Those that are lent out, or are being opened, end when they come back.
        """
        self._lessons += 1
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._discard(connection)

    async def close(self) -> None:
        """End what is open here; connections of a given pool stay with it."""
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._spawn(self._end(connection))
        if self._ending:
            await asyncio.wait(self._ending, timeout=_GOODBYE)
        while self._ending:
            for task in self._ending:
                task.cancel()
            await asyncio.wait(self._ending)

    async def _borrow(self) -> Any:
        if self._pool is not None:
            return await self._pool.acquire()
        while True:
            oldest = asyncio.get_running_loop().time() - _IDLE
            while self._idle:
                connection, since = self._idle.pop()
                if since >= oldest and not connection.is_closed():
                    return connection
                self._discard(connection)
            if self._open < self._most:
                return await self._open_another()
            await self._place()

    async def _open_another(self) -> Any:
        assert self._connect is not None, "there is a pool"
        self._open += 1
        lessons = self._lessons
        try:
            connection = await self._connect()
        except BaseException:
            self._free()
            raise
        if not _is_read_only(connection):
            self._writable.add(connection)
        self._opened_after[connection] = lessons
        return connection

    async def _place(self) -> None:
        """Wait until a connection idles or another one may be opened."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():
                self._wake()  # it was this one's turn: somebody else's, then
            raise

    async def _give_back(self, connection: Any) -> None:
        if connection.is_closed() or connection.is_in_transaction():
            self._discard(connection)
        elif self._pool is not None:
            await self._pool.release(connection)
        elif self._opened_after.get(connection) != self._lessons:
            self._discard(connection)
        else:
            self._idle.append((connection, asyncio.get_running_loop().time()))
            self._wake()

    def _discard(self, connection: Any) -> None:
        """Close a connection over which no statement is under way; its end rolls a transaction back."""
        connection.terminate()
        if self._pool is None:
            self._free()
        else:
            self._spawn(self._return_to_pool(connection))

    def _give_up(self, connection: Any) -> None:
        """End a connection over which a statement may be under way, in a task of its own: the caller has to go on."""
        if connection.is_closed():
            self._discard(connection)
        else:
            self._spawn(self._end(connection) if self._pool is None else self._return_to_pool(connection))

    async def _return_to_pool(self, connection: Any) -> None:
        with contextlib.suppress(*failures()):  # the pool has thrown it away, which is what was asked of it
            await self._pool.release(connection, timeout=_GOODBYE)  # a statement under way is cancelled first

    async def _end(self, connection: Any) -> None:
        try:
            try:
                async with asyncio.timeout(_GOODBYE):
                    await connection.close(timeout=_GOODBYE)  # a statement under way is cancelled first
            except failures():
                connection.terminate()  # it is gone, or frozen
                await asyncio.sleep(self._linger)
        finally:
            connection.terminate()
            self._free()

    def _spawn(self, steps: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(steps)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _free(self) -> None:
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _has_turned(self, connection: Any) -> bool:
        return self._pool is None and connection in self._writable and _is_read_only(connection)


def _is_read_only(connection: Any) -> bool:
    """Tell what the server has said of itself; since PostgreSQL 14 it does so whenever it changes."""
    settings = connection.get_settings()
    return "on" in (
        getattr(settings, "default_transaction_read_only", None),
        getattr(settings, "in_hot_standby", None),
    )
