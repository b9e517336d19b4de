"""Keys and records for the fault tests, and calls that may fail in one way only."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from limpet.contract import Record, Store
from limpet.errors import StoreUnavailable

__all__ = ["NOW", "a_key", "a_record", "bare_timers", "every_call", "fails_within", "tries_again"]

NOW = 1_700_000_000_000
HOUR = 3_600_000


def a_key() -> str:
    return secrets.token_hex(32)


def a_record(payload: bytes = b"payload", *, subject: str | None = None, version: int | None = None) -> Record:
    return Record(secrets.randbits(63) if version is None else version, payload, NOW, NOW + HOUR, subject)


def every_call(store: Store, key: str, record: Record) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return one of each call that a store has."""
    return {
        "load": lambda: store.load(key),
        "create": lambda: store.create(a_key(), a_record(), now=NOW),
        "update": lambda: store.update(key, a_record(), record.version, now=NOW),
        "touch": lambda: store.touch(key, NOW, NOW + 2 * HOUR, now=NOW),
        "delete": lambda: store.delete(key),
    }


@asynccontextmanager
async def fails_within(seconds: float, what: str = "the call") -> AsyncIterator[list[StoreUnavailable]]:
    """Expect `StoreUnavailable`, and that it comes in time; give it to the block's owner."""
    caught: list[StoreUnavailable] = []
    begun = time.monotonic()
    try:
        yield caught
    except StoreUnavailable as error:
        caught.append(error)
    else:
        raise AssertionError(f"{what} did not raise StoreUnavailable")
    took = time.monotonic() - begun
    assert took < seconds, f"{what} failed after {took:.3f} s, and {seconds:g} s are allowed"


async def bare_timers(seconds: float, count: int, apart: float) -> float:
    """Return how long timers of that length take at most, begun one after another; a busy machine wakes all late.

    Args:
        apart: Seconds between the beginnings of two of them.
    """

    async def one(number: int) -> float:
        await asyncio.sleep(number * apart)
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        return time.monotonic() - begun

    return max(await asyncio.gather(*(one(number) for number in range(count))))


async def tries_again(call: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    """Return the first answer of calls that are repeated while the store is unavailable, at most for so long."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.02)
