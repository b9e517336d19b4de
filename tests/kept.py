"""Which sessions a store has. What is left under an id that ended, and other small records of the engine, are none."""

from __future__ import annotations

import asyncio
from typing import cast

from limpet._wire.marks import is_mark
from limpet.contract import Scans, Store
from limpet.stores import open_store

__all__ = ["kept_in", "sessions_of"]


async def sessions_of(store: Store) -> list[bytes]:
    """Return the payloads of the sessions in a store of a few records."""
    found, _ = await cast("Scans", store).scan(None, 100)
    return [record.payload for _, record in found if not is_mark(record.payload)]


def kept_in(url: str) -> list[bytes]:
    """Return the payloads of the sessions in the store of a URL."""

    async def look() -> list[bytes]:
        store = cast("Store", open_store(url))
        try:
            return await sessions_of(store)
        finally:
            await store.close()

    return asyncio.run(look())
