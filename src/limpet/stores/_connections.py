"""What a store's server says of itself to an operator: how many connections it accepts, and what time it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Clocked", "Connections", "Pooled"]


class Connections(NamedTuple):
    """Connections of one server.

    Attributes:
        pool: What one worker opens at most.
        limit: What the server accepts from applications.
        used: What is open now, by all clients together.
        setting: The server's name for its limit.
    """

    pool: int
    limit: int
    used: int
    setting: str


@runtime_checkable
class Clocked(Protocol):
    """A store whose servers have clocks of their own."""

    async def clocks(self) -> Sequence[tuple[str, int]]:
        """Return each server's name and its time, in milliseconds since 1970.

        Raises:
            StoreUnavailable: It does not answer.
        """
        ...


@runtime_checkable
class Pooled(Protocol):
    """A store whose server accepts only so many connections."""

    async def connections(self) -> Connections:
        """Ask the server, in a cluster each primary; return what is tightest.

        Raises:
            StoreUnavailable: It does not answer.
        """
        ...
