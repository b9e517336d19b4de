"""Make BlackSheep applications without waiting for it to read the stack."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["on_a_short_stack"]

T = TypeVar("T")


def on_a_short_stack(make: Callable[[], T]) -> T:
    """Return what a function makes, called in a thread that does nothing else.

    The constructor of an application looks up module and source of every frame above it, twice. Below a test
    there are fifty, which takes a tenth of a second; in a thread there are six.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()
