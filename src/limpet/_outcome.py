"""What an awaited call came to, for code that has to await more before it raises what that raised.

The compiler takes no ``await`` inside of ``except``, and a request that was cancelled awaits nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["outcome_of"]

T = TypeVar("T")


async def outcome_of(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Await something; return what it returned, or the error that it raised, which the caller raises again."""
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001 - the caller raises it
        return None, error
