"""What several stores need where there is no event loop: one client per process, questions that are asked at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["PerProcess", "Straight"]

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")
S = TypeVar("S")


class PerProcess(Generic[T]):
    """Holds one thing for all threads of a process; makes it on first use.

    A forked child must not speak on its parent's sockets, so it gets a thing of its own. What it inherited is kept and
    never touched: closing it would take leave of the server in the parent's name. The same goes for a program in which
    gevent replaces the standard library's locks and sockets after the first use.

    Args:
        make: Makes the thing; nothing waits in it.
        close: Closes it.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], None]) -> None:
        self._make = make
        self._close = close
        self._kept: dict[tuple[int, object], T] = {}

    def here(self) -> T:
        """Return the thing of this process."""
        place = os.getpid(), threading.Lock
        kept = self._kept.get(place)
        if kept is None:
            made = self._make()
            kept = self._kept.setdefault(place, made)  # another thread may have been faster
            if kept is not made:
                self._close(made)
        return kept

    def close(self) -> None:
        """Close the thing of this process, if it has one; the next use makes another."""
        kept = self._kept.pop((os.getpid(), threading.Lock), None)
        if kept is not None:
            self._close(kept)


class Straight(Generic[Q, A]):
    """Asks each question on the thread of its caller, as soon as it is asked: what `Batching` is where a loop runs.

    Args:
        send: Answers a few questions of one kind, in their order; a failure of one is an exception in its place.
    """

    def __init__(self, send: Callable[[str, Sequence[Q]], Awaitable[Sequence[A | Exception]]]) -> None:
        self._send = send

    async def ask(self, kind: str, question: Q) -> A:
        """Return the answer to one question."""
        (answer,) = await self._send(kind, (question,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_all(self, kind: str, questions: Sequence[Q]) -> list[A]:
        """Return the answers to several questions, which go out together."""
        answers: list[Any] = list(await self._send(kind, questions)) if questions else []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def alongside(self, call: Awaitable[T], entry: Awaitable[S]) -> tuple[T, S]:
        """Await both, the second one first, and return what they return."""
        written = await entry
        return await call, written

    async def drain(self) -> None:
        """Do nothing: what was asked is answered."""
