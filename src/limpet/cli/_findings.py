"""One thing that `limpet doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "Level", "fine", "fix", "note"]

Level: TypeAlias = Literal["fine", "note", "fix"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about one part of the configuration.

    Attributes:
        level: ``fine``; ``note``: works, and good to know; ``fix``: does not work, or is dangerous.
        about: The part: limpet, mode, secret, store, files, policy, cookie, device or browser.
        says: What was found and what to do. Never a secret, a password or a session's value.
    """

    level: Level
    about: str
    says: str


def fine(about: str, says: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding("fine", about, says)


def note(about: str, says: str) -> Finding:
    """Return a finding that is good to know."""
    return Finding("note", about, says)


def fix(about: str, says: str) -> Finding:
    """Return a finding that somebody should act on."""
    return Finding("fix", about, says)
