"""Marks that the sessions of other libraries need, and that their users go on setting."""

from __future__ import annotations

from limpet._core.session import Session

__all__ = ["MarkedSession"]


class MarkedSession(Session):
    """A session whose ``modified`` and ``accessed`` can be set. Changes are found by comparing, marked or not."""

    __slots__ = ()

    @property
    def accessed(self) -> bool:
        """Whether a handler read or wrote it; what ``Vary: Cookie`` depends on. True can be set."""
        return super().accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value:
            self.mark_accessed()

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included; setting it changes nothing about that."""
        return super().modified

    @modified.setter
    def modified(self, value: bool) -> None:
        self.accessed = value
