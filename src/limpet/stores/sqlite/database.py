"""One SQLite file: opening it, one reader, one writer, and what its errors mean.

Writes are queued and carried out by the thread that holds the lock: the writer thread when an event loop waits, the
calling thread when there is none. All that is queued at that moment shares one transaction and one sync.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar

from limpet.errors import StoreUnavailable
from limpet.stores._aio.threads import Threads, running_loop
from limpet.stores.sqlite.file import SQLiteFile

__all__ = ["Database", "NotReadyError"]

T = TypeVar("T")
_BATCH: Final = 128  # writes that share a transaction at most: a bound on how long the first one waits for the last
_CAUSES: Final = {
    sqlite3.SQLITE_BUSY: "another connection kept it locked for more than {wait:g} s",
    sqlite3.SQLITE_LOCKED: "another connection kept it locked for more than {wait:g} s",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_READONLY: "it is read-only for this process",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: see that the folder exists and that this user may write there",
    sqlite3.SQLITE_PERM: "this user may not open it",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or rescue it with the sqlite3 command .recover",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database",
}


class NotReadyError(Exception):
    """The reader is not open yet, or would have to wait for a lock."""


class _Job(Generic[T]):
    """One piece of work for the writer, and its own outcome, which counts once ``is_committed``.

    Whoever carries it out may be killed meanwhile, as a greenlet is whose time is over.
    """

    __slots__ = ("error", "future", "is_committed", "loop", "outcome", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.outcome: T | None = None
        self.is_committed = False
        self.error: Exception | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        if not self.is_committed:
            raise StoreUnavailable("the write was interrupted")
        return self.outcome  # type: ignore[return-value]  # the work has run, so this is what it returned


class Database:
    """An SQLite file that is opened on first use.

    Args:
        file: The file.
        busy_timeout: Seconds to wait for another process's lock.
    """

    def __init__(self, file: SQLiteFile, *, busy_timeout: float) -> None:
        self.file = file
        self.path: str = file.path
        self.busy_timeout = busy_timeout
        self._hooked = False
        self._identity = (0, 0)
        self._connections: list[sqlite3.Connection] = []  # the writer's and the reader's, or none
        weakref.finalize(self, _close_all, self._connections)
        self._start()

    def _start(self) -> None:
        self._kind = threading.Lock
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._looking = threading.Lock()
        self._starting = threading.Lock()
        self._jobs: deque[_Job[Any]] = deque()
        self._awake = False
        self._thread: ThreadPoolExecutor | None = None
        self._lookers = Threads("limpet-sqlite-look", 1)

    def _keep_up(self) -> None:
        """Make the locks anew if gevent has replaced those of the standard library since.

        The greenlet that holds a lock pauses while another process writes. With a lock of the old kind the next
        greenlet would stop the whole thread, and with it the one that it waits for.
        """
        if self._kind is not threading.Lock:
            self._start()

    async def open(self) -> None:
        """Open the file, creating and migrating it as allowed."""
        await self.run(_nothing)

    def read(self, sql: str, parameters: tuple[Any, ...]) -> Any:
        """Return the first row, at once, on this thread.

        Raises:
            NotReadyError: The file is not open yet, or locked as a whole; `run` opens it and waits.
            StoreUnavailable: It cannot be read, or another one has its name.
        """
        self._keep_up()
        with self._reading:
            if not self._connections:
                raise NotReadyError
            self._check_identity()  # 2 us: what others have ended in the file of this name would be alive here
            try:
                return self._connections[1].execute(sql, parameters).fetchone()
            except sqlite3.Error as error:
                if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise NotReadyError from error
                raise self._unavailable(error) from error

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in a write transaction and return its outcome once that is committed.

        The transaction is shared with what else is queued. The work may run twice, when another
        one in the same transaction fails. A caller that is cancelled meanwhile does not stop it.

        Raises:
            StoreUnavailable: It was not committed.
        """
        self._keep_up()
        job = _Job(work)
        loop = running_loop()
        if loop is None:
            self._jobs.append(job)
            self._drain()
            return job.result()
        job.loop, job.future = loop, loop.create_future()
        self._jobs.append(job)
        self._wake_writer()
        await job.future
        return job.result()

    def _wake_writer(self) -> None:
        if self._awake:  # looked at after the append, cleared before the queue is emptied: no job is left behind
            return
        self._awake = True
        with self._starting:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="limpet-sqlite")
            try:
                self._thread.submit(self._drain)
                return
            except RuntimeError:
                self._thread = None
        self._drain()  # no thread can be had any more, as the interpreter is about to exit

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do long reading on a thread and a connection of its own: no writer waits for it, and it waits for none.

        Raises:
            StoreUnavailable: The file cannot be read.
        """
        if not self._connections:
            await self.open()

        def call() -> T:
            with self._looking:
                self._check_identity()
                try:
                    connection = self.file.connect(self.busy_timeout)
                    try:
                        return work(connection)
                    finally:
                        connection.close()
                except (sqlite3.Error, OSError) as error:
                    raise self._unavailable(error) from error

        return await self._lookers.run(call)

    async def close(self) -> None:
        """Finish what is queued, close the connections and end the thread. A later call opens again."""
        if self._connections or self._jobs:
            with contextlib.suppress(StoreUnavailable):  # a write that failed has told its own caller
                await self.run(_nothing)
        with self._starting:
            thread, self._thread = self._thread, None
        with self._writing, self._reading:
            _close_all(self._connections)
        if thread is not None:
            thread.shutdown(wait=True)
        self._lookers.close()

    def _drain(self) -> None:
        self._awake = False
        with self._writing:
            while self._jobs:
                batch = [self._jobs.popleft() for _ in range(min(_BATCH, len(self._jobs)))]
                try:
                    self._transact(batch)
                finally:
                    _tell(batch)

    def _transact(self, batch: Sequence[_Job[Any]]) -> None:
        try:
            connection = self._writer()
            self._begin(connection)
        except Exception as error:  # noqa: BLE001 - each caller raises it
            self._fail(batch, error)
            return
        try:
            for job in batch:
                job.outcome = job.work(connection)
            connection.execute("COMMIT")
            for job in batch:
                job.is_committed = True
        except BaseException as error:
            self._roll_back(connection)
            if not isinstance(error, Exception):
                raise
            if len(batch) == 1:
                self._fail(batch, error)
                return
            for job in batch:  # one of them cannot be done: each by itself, so that the others are
                self._transact([job])

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Get the write lock.

        SQLite's own waiting sleeps ever longer, up to 100 ms, and the one that came first may never get a turn.
        """
        deadline = time.monotonic() + self.busy_timeout
        pause = 0.0005
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 0.005)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:  # the file is beyond this connection's reach: closing it rolls back as well
            self._swap([])

    def _fail(self, batch: Sequence[_Job[Any]], error: Exception) -> None:
        for job in batch:
            job.error = error
            if isinstance(error, sqlite3.Error | OSError):  # one each: a traceback belongs to one task
                job.error = self._unavailable(error)
                job.error.__cause__ = error

    def _unavailable(self, error: sqlite3.Error | OSError) -> StoreUnavailable:
        if isinstance(error, OSError):
            return StoreUnavailable(f"the session database {self.path} cannot be opened: {error.strerror or error}")
        cause = _CAUSES.get(_code(error), str(error)).format(wait=self.busy_timeout)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        held = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        return StoreUnavailable(f"the session database {self.path} is unavailable: {cause} ({name})", waited=held)

    def _writer(self) -> sqlite3.Connection:
        if not self._connections:
            self.file.prepare()
            self._swap(self._open())
            self._hook()
        else:
            self._check_identity()
        return self._connections[0]

    def _check_identity(self) -> None:
        if _identity(self.path) != self._identity:
            # Closing here is no cure: SQLite would delete the -wal file of whatever has taken this name.
            raise StoreUnavailable(
                f"the session database {self.path} was moved, deleted or replaced while in use: put it back, or restart"
            )

    def _open(self) -> list[sqlite3.Connection]:
        deadline = time.monotonic() + self.busy_timeout
        while True:
            opened: list[sqlite3.Connection] = []
            try:
                opened.append(self.file.connect(0))
                self.file.migrate(opened[0])
                opened.append(self.file.connect(0))
                opened[1].execute("SELECT count(*) FROM sqlite_master").fetchone()
                return opened
            except sqlite3.Error as error:
                _close_all(opened)
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            except BaseException:
                _close_all(opened)
                raise

    def _swap(self, opened: list[sqlite3.Connection]) -> None:
        with self._reading:
            former = self._connections[:]
            self._connections[:] = opened
            self._identity = _identity(self.path)
        _close_all(former)

    def _hook(self) -> None:
        """See to it that no connection is open while this process forks: SQLite's locks do not survive that.

        https://www.sqlite.org/howtocorrupt.html, section 2.6, "Carrying an open database connection across a fork()".
        """
        if self._hooked or not hasattr(os, "register_at_fork"):
            return
        self._hooked = True
        this = weakref.ref(self)

        def each(step: Callable[[Database], None]) -> Callable[[], None]:
            def hook() -> None:
                database = this()
                if database is not None:
                    step(database)

            return hook

        os.register_at_fork(
            before=each(Database._before_fork),
            after_in_parent=each(Database._resume),
            after_in_child=each(Database._start),
        )

    def _before_fork(self) -> None:
        for lock in (self._writing, self._reading, self._looking):
            lock.acquire()
        _close_all(self._connections)

    def _resume(self) -> None:
        for lock in (self._looking, self._reading, self._writing):
            lock.release()


def _tell(batch: Sequence[_Job[Any]]) -> None:
    """Wake the callers; those of one event loop together, since waking a loop costs a system call."""
    waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for job in batch:
        if job.loop is not None and job.future is not None:
            waiting.setdefault(job.loop, []).append(job.future)
    for loop, futures in waiting.items():
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(_wake, futures)
            except RuntimeError:
                if not loop.is_closed():  # closed just now: nothing waits there any more
                    raise


def _wake(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():  # a cancelled caller has gone
            future.set_result(None)


def _nothing(_: sqlite3.Connection) -> None:
    return None


def _close_all(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
