"""Sends the commands of concurrent requests in batches.

What several tasks ask within one turn of the event loop goes out as one batch (a pipeline, a statement over arrays).
As many batches as allowed are under way at once; meanwhile questions wait, and then they go together. So under load,
batches grow and the queue does not. Measured with fifty callers at once, in microseconds of CPU for a read and an
update in Redis: 43, against 330 for a ``GET`` and a script through the plain client on a pool.

A batch is sent in a task of its own and answers through one future per question. A caller that is cancelled takes away
its own future and nothing else: it never leaves a reply unread on a connection, and never receives somebody else's.
A question that was not sent yet when its caller went away is never sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from limpet._deadlines import Deadlines
from limpet.errors import StoreUnavailable

__all__ = ["Batching"]

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")
S = TypeVar("S")


_Asked: TypeAlias = "tuple[Q, asyncio.Future[A], float]"
"""A question, its answer, and until when somebody waits for that."""


class Batching(Generic[Q, A]):
    """Gathers questions of one event loop into batches.

    Args:
        send: Answers a batch of questions of one kind, in their order; a failure of one question is an exception in
            its place, a failure of the whole batch is raised.
        where: What is asked, for messages.
        timeout: Seconds from a question to its answer, waiting for a batch included.
        at_once: Batches under way at once at most, and so connections in use.
        most: Questions in one batch at most.
    """

    def __init__(
        self,
        send: Callable[[str, Sequence[Q]], Awaitable[Sequence[A | Exception]]],
        *,
        where: str,
        timeout: float,
        at_once: int,
        most: int = 128,
    ) -> None:
        self._send = send
        self._where = where
        self._timeout = timeout
        self._free = at_once
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[_Asked[Q, A]]] = {}
        self._deadlines = Deadlines()
        self._starting = False
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, kind: str, question: Q) -> asyncio.Future[A]:
        """Return the future answer to one question; questions of one kind may share a batch.

        The answer is an exception when the question failed: `StoreUnavailable` when there was none in time.
        """
        answer: asyncio.Future[A] = self._loop.create_future()
        asked = question, answer, self._loop.time() + self._timeout
        queue = self._waiting.get(kind)
        if queue is None:
            self._waiting[kind] = [asked]
        else:
            queue.append(asked)
        if self._free and not self._starting:
            self._start()
        return answer

    async def ask_all(self, kind: str, questions: Sequence[Q]) -> list[A]:
        """Return the answers to several questions, which are asked at once."""
        return await asyncio.gather(*(self.ask(kind, question) for question in questions))

    async def alongside(self, call: Awaitable[T], entry: Awaitable[S]) -> tuple[T, S]:
        """Await both at the same time and return what they return."""
        return await asyncio.gather(call, entry)

    async def drain(self) -> None:
        """Wait until everything that was asked is answered; the timeouts bound it."""
        while under_way := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(under_way)

    def _start(self) -> None:
        # The task takes its batch when it first runs, at the end of this turn: by then everybody has asked.
        self._free -= 1
        self._starting = True
        self._tasks.add(self._loop.create_task(self._work()))

    async def _work(self) -> None:
        self._starting = False
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiting and (batch := self._next_batch()):
                if self._waiting and self._free and not self._starting:
                    self._start()
                await self._send_batch(task, *batch)
        finally:
            self._free += 1
            self._tasks.discard(task)

    def _next_batch(self) -> tuple[str, list[_Asked[Q, A]]] | None:
        """Take what waits longest, with all of its kind."""
        while self._waiting:
            kind = next(iter(self._waiting))
            queue = self._waiting.pop(kind)
            if len(queue) > self._most:
                self._waiting[kind] = queue[self._most :]  # behind the other kinds: they take turns
                del queue[self._most :]
            batch = [asked for asked in queue if not asked[1].done()]  # cancelled while it waited: never sent
            if batch:
                return kind, batch
        return None

    async def _send_batch(self, task: asyncio.Task[Any], kind: str, batch: list[_Asked[Q, A]]) -> None:
        # The oldest question's deadline, so that no caller waits longer than the timeout.
        deadline = self._deadlines.begin(self._loop, task, batch[0][2])
        try:
            answers = await self._send(kind, [question for question, _, _ in batch])
        except asyncio.CancelledError:
            if not self._deadlines.end(deadline):
                self._fail(batch, StoreUnavailable(f"the event loop ended before {self._where} answered"))
                raise
            self._fail(batch, self._too_late())
            return
        except StoreUnavailable as error:
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001  # a defect, not an outage: each caller gets it as it is
            for _, waiting, _ in batch:
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting, _), answer in zip(batch, answers, strict=True):
                if not waiting.done():
                    if isinstance(answer, Exception):
                        waiting.set_exception(answer)
                    else:
                        waiting.set_result(answer)
        self._deadlines.end(deadline)

    def _too_late(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._where} did not answer within {self._timeout:g} s", waited=True)

    def _fail(self, batch: list[_Asked[Q, A]], error: StoreUnavailable) -> None:
        for _, waiting, _ in batch:
            if not waiting.done():  # one exception object each: a traceback belongs to one task
                failure = StoreUnavailable(str(error), retry_after=error.retry_after, waited=error.waited)
                failure.__cause__ = error.__cause__
                waiting.set_exception(failure)
