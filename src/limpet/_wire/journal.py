"""What the journal of revocations says, as it was read, and after one more; see `limpet._core.positions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from limpet._wire import marks
from limpet._wire.marks import Facts

__all__ = ["JOURNAL", "Journal", "group_of", "moved_on"]

JOURNAL: Final = marks.mark_key("journal")
"""The store key of the record that numbers the revocations."""


class Journal(NamedTuple):
    """The journal as it was read once. One object, so that no thread sees a part of one and a part of another.

    Attributes:
        version: Of its record; None: there is none yet.
        facts: What it says.
        seq: The number of the last revocation; -1: it was not read yet, or is damaged.
        groups: The last number in each group of names.
    """

    version: int | None
    facts: Facts
    seq: int
    groups: Mapping[str, int]


def group_of(name: str) -> str:
    """Return which of the 256 groups a name is in."""
    return name[:2]


def moved_on(facts: Facts, number: int, name: str | None) -> Facts:
    """Return what a journal says after a revocation of a name, or of everyone or nobody."""
    later: Facts = {**facts, "seq": number}
    if left := {other: at for other, at in later.pop("held", {}).items() if at > number}:
        later["held"] = left
    if name is not None:
        later["names"] = {**facts.get("names", {}), group_of(name): number}
    return later
