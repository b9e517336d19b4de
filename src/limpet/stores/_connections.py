"""How many connections a store opens, and how many its server accepts."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Connections", "Pooled"]


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
class Pooled(Protocol):
    """A store whose server accepts only so many connections."""

    async def connections(self) -> Connections:
        """Ask the server, in a cluster each primary; return what is tightest.

        Raises:
            StoreUnavailable: It does not answer.
        """
        ...
