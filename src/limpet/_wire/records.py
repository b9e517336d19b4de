"""What marks and revocations need of the storage."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

from limpet.contract import Record

__all__ = ["UNTOLD", "Obstacle", "Records"]

Obstacle: TypeAlias = Record | Literal[False] | None
"""What a conditional write meets: None: nothing, it has happened; a record; False: there is no record."""
UNTOLD: Final = (
    "the reply to a write was lost and another request has written since: whether it was saved cannot be told"
)


class Records(Protocol):
    """Reads and writes single records of a store, as `limpet._core.storage.Storage` does."""

    has_marks: bool

    @property
    def clock(self) -> Callable[[], int]:
        """Returns milliseconds since 1970."""
        ...

    def load(self, key: str) -> Coroutine[Any, Any, Record | None]:
        """Return the record of a key."""
        ...

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of several keys."""
        ...

    def create(self, key: str, record: Record, *, urgent: bool = False) -> Coroutine[Any, Any, Obstacle]:
        """Write a record where there is none."""
        ...

    def update(self, key: str, record: Record, expected: int, *, urgent: bool = False) -> Coroutine[Any, Any, Obstacle]:
        """Replace the record of a version."""
        ...
