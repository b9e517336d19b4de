"""A process of its own that writes records to Redis and reads them back, for what cannot be had in this process."""

from __future__ import annotations

import sys

__all__ = ["command"]

_PROGRAM = """
{first}
import asyncio, sys
from limpet.contract import Record
from limpet.stores.redis import RedisStore

async def main():
    store = RedisStore(sys.argv[1])
    for number, payload in enumerate((b"", bytes(range(256)) * 40, b"x" * 1_000_000)):
        key, record = f"{{number:064d}}", Record(number, payload, 1_000, 9_000_000, "Zo\\u00eb")
        assert repr(await store.create(key, record, now=1_000)) == "DONE"
        for _ in range(3):
            assert await store.load(key) == record
        assert await asyncio.gather(*(store.load(key) for _ in range({at_once}))) == [record] * {at_once}
    await store.close()

{run}(main())
"""


def command(url: str, *, first: str, run: str = "asyncio.run", at_once: int) -> list[str]:
    """Return what starts it; a warning is an error.

    Args:
        url: Of the server.
        first: Statements before anything is imported.
        run: What runs it.
        at_once: How many read each record at once.
    """
    return [sys.executable, "-W", "error", "-c", _PROGRAM.format(first=first, run=run, at_once=at_once), url]
