"""A body that the application makes while it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["LateBody"]


class LateBody:
    """Passes a body on, and saves what was written meanwhile before the server learns that it has ended.

    Args:
        body: What the application sends.
        save: Saves the session.
    """

    __slots__ = ("_body", "_parts", "_save")

    def __init__(self, body: Iterable[Any], save: Callable[[], None]) -> None:
        self._body = body
        self._save = save
        self._parts: Iterator[Any] | None = None

    def __iter__(self) -> LateBody:
        return self

    def __next__(self) -> Any:
        if self._parts is None:
            self._parts = iter(self._body)
        part = next(self._parts, self)
        if part is self:
            self._save()
            raise StopIteration
        return part

    def close(self) -> None:
        """Close the application's body."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
