"""What a store's server says of itself to an operator: how many connections it accepts, and what time it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, Self, runtime_checkable

from limpet._checks import whole
from limpet.stores._aio.threads import running_loop

__all__ = ["SILENCE", "Clocked", "Connections", "Pooled", "Sizes"]

SILENCE: Final = "it hangs or is overloaded, or something on the way drops what is sent to it"
"""What an operator is told of a server that did not answer in time."""


class Connections(NamedTuple):
    """Connections of one server.

    Attributes:
        pool: What one worker opens at most.
        limit: What the server accepts from applications.
        used: What is open now, by all clients together.
        setting: The server's name for its limit.
        process: What a worker without an event loop opens at most, where each call has a connection of its own.
    """

    pool: int
    limit: int
    used: int
    setting: str
    process: int = 0


class Sizes(NamedTuple):
    """Connections that may be open at once.

    Attributes:
        loop: Of one event loop, where concurrent questions share them.
        process: Of one process without a loop, where each call has one of its own.
    """

    loop: int
    process: int

    @classmethod
    def of(cls, most: int | None, *, loop: int, process: int) -> Self:
        """Return the sizes that ``max_connections`` means: the same for both, or what is usual.

        Raises:
            ConfigurationError: It is no whole number, or less than one.
        """
        if most is not None:
            whole("max_connections", most, "connections")
        return cls(loop, process) if most is None else cls(most, most)

    @property
    def here(self) -> int:
        """How many the caller's side opens."""
        return self.process if running_loop() is None else self.loop


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
