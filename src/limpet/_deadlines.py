"""Deadlines of many tasks on one timer.

A timer of its own for each call (`asyncio.timeout`) costs as much as everything else that happens to a call in this
process before it is sent. Almost none of them ever rings, so one timer waits for the deadline that comes first and then
looks which is next.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

__all__ = ["Deadline", "Deadlines"]


class Deadline:
    """When a task is cancelled, unless its work ends before.

    Attributes:
        task: The task.
        at: By the clock of its loop.
        before: How often the task had been cancelled already.
        passed: The deadline has cancelled it.
    """

    __slots__ = ("at", "before", "passed", "task")

    def __init__(self, task: asyncio.Task[Any], at: float) -> None:
        self.task = task
        self.at = at
        self.before = task.cancelling()
        self.passed = False


class Deadlines:
    """The deadlines of one event loop. It keeps no reference to the loop, nor to a timer, which has one."""

    __slots__ = ("_open", "_rings")

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._rings = math.inf

    def begin(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], at: float) -> Deadline:
        """Let the task be cancelled at that time of the loop, unless `end` comes first; it must come."""
        deadline = Deadline(task, at)
        self._open.add(deadline)
        if at < self._rings:
            self._set(loop, at)
        return deadline

    def end(self, deadline: Deadline) -> bool:
        """Take a deadline away; return whether it has passed, and nothing else cancelled the task meanwhile."""
        if not deadline.passed:
            self._open.discard(deadline)
            return False
        deadline.passed = False
        return deadline.task.uncancel() <= deadline.before

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._rings = at
        loop.call_at(at, self._ring, loop, at)

    def _ring(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if at != self._rings:
            return  # an earlier one has taken its place
        self._rings = math.inf
        now = max(at, loop.time())
        for deadline in [each for each in self._open if each.at <= now]:
            self._open.discard(deadline)
            deadline.passed = True
            deadline.task.cancel()
        if self._open:
            self._set(loop, min(each.at for each in self._open))
