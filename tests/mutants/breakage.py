"""What a breakage is."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Breakage"]


class Breakage(NamedTuple):
    """One wrong line.

    Attributes:
        what: What would be wrong with it.
        file: Below ``src/limpet``.
        old: The right text, which is there exactly once.
        new: The wrong text.
        test: Below ``tests``; it has to fail.
    """

    what: str
    file: str
    old: str
    new: str
    test: str
