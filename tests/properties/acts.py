"""How a short history is written down: what requests and operators do, and with which settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from limpet import SessionManager
from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Rules

__all__ = ["Fault", "Known", "beside", "by", "operator"]


@dataclass(frozen=True, slots=True)
class Known:
    """Acts, most of them one after the other, and the settings.

    Attributes:
        width: How many are under way at once, if not as elsewhere.
        first: The first of the orders that are tried, where few go wrong.
    """

    acts: tuple[Act, ...]
    rules: Rules = field(default_factory=Rules)
    width: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Acts, a store or a manager with which something goes wrong there, and what the judge is to say."""

    says: str
    acts: tuple[Act, ...]
    rules: Rules = field(default_factory=Rules)
    store: type[MemoryStore] = MemoryStore
    make: Callable[..., SessionManager] = SessionManager


def by(actor: int, *steps: str, worker: int = 0, ends: str = "returns", stale: int = 0, also: int | None = None) -> Act:
    """A request after everything before it."""
    return Act(actor=actor, worker=worker, steps=steps, ends=ends, alone=True, stale=stale, also=also)


def beside(actor: int, *steps: str, worker: int = 1, stale: int = 0) -> Act:
    """A request at the same time as the one before."""
    return Act(actor=actor, worker=worker, steps=steps, stale=stale)


def operator(kind: str, actor: int = 0, worker: int = 0) -> Act:
    """What an operator does, after everything before it."""
    return Act(kind, actor, worker, alone=True)
