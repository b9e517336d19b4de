"""What is one for a whole process, however often the settings around it are copied."""

from __future__ import annotations

from typing import Self

__all__ = ["Shared"]


class Shared:
    """Stays itself when it is copied, since a copy of an application's settings goes on using the one store."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str:
        name = type(self).__name__
        raise TypeError(f"a {name} holds connections and secrets and is never pickled: make one in each process")
