"""Blocking calls: on a few threads beside an event loop, or right here where there is none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from limpet._blocking import is_driven

__all__ = ["Threads", "running_loop"]

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that a call is to wait for; None: it blocks, as there is none or it is driven."""
    if is_driven():
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Threads:
    """A small pool that starts on first use, again after `close`, and anew in a forked process.

    Args:
        name: What the threads are called.
        size: How many there are at most.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()  # one event loop may close the store while another is just about to use it

    async def run(self, call: Callable[[], T]) -> T:
        """Carry out the call and return its outcome; it is carried out also when the caller is cancelled."""
        loop = running_loop()
        if loop is None:
            return call()
        if self._process != os.getpid():  # a pool has no threads on the other side of a fork, nor a lock its holder
            self._pool, self._process, self._lock = None, os.getpid(), threading.Lock()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)
            left = [call]  # taken once: the pool queues it before it fails to start a thread for it
            try:
                answer = loop.run_in_executor(self._pool, lambda: left.pop()())
            except RuntimeError:
                if not left:
                    raise
                answer = None  # no thread can be had any more, as the interpreter is about to exit
        return left.pop()() if answer is None else await asyncio.shield(answer)

    def close(self) -> None:
        """Finish what is under way and end the threads."""
        if self._process != os.getpid():
            return
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
