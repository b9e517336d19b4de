"""Managers with one thing wrong each, as an engine that breaks a promise would be seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from limpet import SessionManager
from limpet._core.session import Session
from limpet.errors import StoreUnavailable
from limpet.protocols import Header
from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["BROKEN_MANAGERS", "KnowsNoDeadline", "SwallowsFailures", "with_sessions"]


def with_sessions(session: type[Session]) -> type[SessionManager]:
    """Return a manager whose handlers get sessions of that class."""

    class Manager(SessionManager):
        def begin(self, headers: Sequence[Header], make: Callable[[Any], Session] = session) -> Session:
            return super().begin(headers, session)

    return Manager


class KnowsNoDeadline(Session):
    """Its `expire_in` does nothing."""

    def expire_in(self, life: Any) -> None:
        pass


class _LogsNobodyOut(Session):
    """Its logout removes the data, and the session stays."""

    def logout(self) -> None:
        for key in list(self):
            del self[key]


class _KeepsItsId(Session):
    """Its `regenerate` does nothing."""

    def regenerate(self) -> None:
        pass


class _SharesItsLocks(Session):
    """Its locks keep nobody out."""

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractAsyncContextManager[Session]:
        return nullcontext(self)


class _CountsForItself(Session):
    """Its `increment` is an assignment."""

    def increment(self, key: str, by: Any = 1) -> Any:
        self[key] = self.get(key, 0) + by
        return self[key]


class _WritesWhenAsked(Session):
    """A question makes it write."""

    @property
    def modified(self) -> bool:
        self["asked"] = True
        return super().modified


class _RevokesNobody(SessionManager):
    """Says that it has revoked, and has not."""

    async def revoke_all(self, subject: str, *, except_: Session | str | None = None) -> int:
        return 1


class _SavesFailures(SessionManager):
    """What a failing handler wrote is saved."""

    async def commit(self, session: Session, *, failed: bool = False) -> None:
        await super().commit(session)


class SwallowsFailures(SessionManager):
    """A save that failed is reported as done."""

    async def commit(self, session: Session, *, failed: bool = False) -> None:
        try:
            await super().commit(session, failed=failed)
        except StoreUnavailable:
            return


class _SendsNoCookies(SessionManager):
    """Hands out no ids."""

    def header(self, session: Session) -> Header | None:
        super().header(session)
        return None


class _ListsNobody(SessionManager):
    """Its lists are empty."""

    async def sessions_of(self, subject: str, *, current: Session | str | None = None) -> list[Any]:
        return []


class _Remembering(MsgpackSerializer):
    """Decodes equal bytes once, and hands the same objects to all who ask."""

    def __init__(self) -> None:
        super().__init__()
        self._decoded: dict[bytes, Any] = {}

    def decode(self, data: bytes) -> Any:
        if data not in self._decoded:
            self._decoded[data] = super().decode(data)
        return self._decoded[data]


def _shares_what_it_read(*settings: Any, **more: Any) -> SessionManager:
    return SessionManager(*settings, serializer=_Remembering(), **more)


BROKEN_MANAGERS: Final[dict[str, Callable[..., SessionManager]]] = {
    "logs nobody out": with_sessions(_LogsNobodyOut),
    "keeps its id": with_sessions(_KeepsItsId),
    "shares its locks": with_sessions(_SharesItsLocks),
    "counts for itself": with_sessions(_CountsForItself),
    "writes when asked": with_sessions(_WritesWhenAsked),
    "revokes nobody": _RevokesNobody,
    "saves failures": _SavesFailures,
    "sends no cookies": _SendsNoCookies,
    "lists nobody": _ListsNobody,
    "shares what it read": _shares_what_it_read,
}
"""By what each does wrong."""
