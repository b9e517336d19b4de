"""Sessions with one thing wrong each, which the judge of histories has to find."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from limpet._core.session import Session

__all__ = [
    "ForgetsAtLogin",
    "ForgetsItsLog",
    "ForgetsWhenItLooks",
    "HandsOutCopies",
    "Leaves",
    "MergesNoLists",
    "SavesAtTheEnd",
]


class ForgetsAtLogin(Session):
    """A login leaves behind what the same request has saved."""

    def login(self, subject: str, **how: Any) -> None:
        for key in list(self):
            del self[key]
        super().login(subject, **how)


class SavesAtTheEnd(Session):
    """Its `save` does nothing."""

    async def save(self) -> None:
        pass


class MergesNoLists(Session):
    """What others have added to a list meanwhile is lost when this one is saved."""

    async def save(self) -> None:
        log = list(self.get("log", ()))
        await self.refresh()
        self["log"] = log
        await super().save()


class ForgetsWhenItLooks(Session):
    """What a save had acknowledged is gone when the session is looked at again."""

    async def refresh(self) -> None:
        await super().refresh()
        self.pop("log", None)


class Leaves(Session):
    """Knows that a handler has logged it out."""

    left = False

    def logout(self) -> None:
        self.left = True
        super().logout()


class ForgetsItsLog(Session):
    """A login leaves the log behind, and takes the rest along."""

    def login(self, subject: str, **how: Any) -> None:
        self.pop("log", None)
        super().login(subject, **how)


class HandsOutCopies(Session):
    """What is added to a container that it handed out is lost."""

    def __getitem__(self, key: str) -> Any:
        return deepcopy(super().__getitem__(key))
