"""Calls of a store without an event loop, and records to call it with."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from limpet.stores import NEVER, Record

T = TypeVar("T")
NOW = 1_800_000_000_000


def done(call: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that never waits to its end."""
    try:
        call.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    call.close()
    raise AssertionError("the call waited although no event loop is running")


def record(
    version: int = 1, payload: bytes = b"payload", *, expires: int = NEVER, subject: str | None = None
) -> Record:
    """Return a record that was used just now."""
    return Record(version, payload, NOW, expires, subject)


def key(number: int) -> str:
    """Return a store key."""
    return f"{number:064x}"
