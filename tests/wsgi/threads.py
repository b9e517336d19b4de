"""Runs functions at once, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["at_once"]

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]], *, within: float = 60.0) -> list[T]:
    """Begin all calls at the same moment; return what they return, in their order."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait(within)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(within) for future in [pool.submit(run, call) for call in calls]]
