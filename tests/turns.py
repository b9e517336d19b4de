"""How often something else runs on the event loop meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["turns_of_others"]


@asynccontextmanager
async def turns_of_others() -> AsyncIterator[list[int]]:
    """Let another task run beside the block; the only number in the list says how often it did."""
    turns = [0]

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    beside = asyncio.create_task(others())
    try:
        yield turns
    finally:
        beside.cancel()
