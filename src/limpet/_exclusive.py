"""A lock of one session, which its holder reads anew and saves: `limpet.Session.exclusive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from limpet._core.locks import Lock
from limpet._wire.record import unpack

if TYPE_CHECKING:
    from limpet._core.context import Context
    from limpet._core.state import SessionState

__all__ = ["Renewable", "SessionLock"]


class Renewable(Protocol):
    """A session, as a lock of it sees it."""

    async def refresh(self) -> None:
        """See what other requests saved meanwhile."""

    async def save(self) -> None:
        """Save now."""


S = TypeVar("S", bound=Renewable)


class SessionLock(Generic[S]):
    """A lock of one session: what its last holder saved is there to be read, and what this one writes is saved.

    A session that nobody else can have yet, as it has no id, needs no lock. One that was ended meanwhile is anonymous:
    what is written to it goes nowhere. Every request names it by the id that others know: a new one goes out first. It
    keeps that name when its id is renewed or regenerated, while somebody holds a lock. Requests that move one session
    of another library at the same time hold its lock in turn, and what they saved is merged when they answer.
    """

    __slots__ = ("_engine", "_life", "_lock", "_name", "_session", "_state", "_wait")

    def __init__(
        self, engine: Context, session: S, state: SessionState, name: str, *, life: float, wait: float
    ) -> None:
        self._engine = engine
        self._session = session
        self._state = state
        self._name = name
        self._life = life
        self._wait = wait
        self._lock: Lock | None = None

    def _key(self) -> str | None:
        state = self._state
        stored = state.stored if state.leaving is None else state.leaving.stored
        if stored is None:
            return None if state.draft is None else state.draft.origin
        return unpack(stored.record.payload, self._engine.serializer).origin or stored.key

    async def __aenter__(self) -> S:
        session = self._session
        await session.refresh()
        while (key := self._key()) is not None:
            lock = Lock(self._engine, "session", key, self._name, life=self._life, wait=self._wait)
            await lock.__aenter__()
            failure: BaseException | None = None
            try:
                await session.refresh()
            except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
                failure = error
            if failure is None and self._key() == key:
                self._lock = lock
                break
            await lock.__aexit__(None, failure)  # renewed or ended while this waited
            if failure is not None:
                raise failure
        return session

    async def __aexit__(self, kind: object, raised: object, trace: object) -> None:
        lock, failure = self._lock, None
        if lock is None:
            return
        if kind is None:
            try:
                await self._session.save()
            except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
                failure = error
        await lock.__aexit__(None, failure or raised)
        if failure is not None:
            raise failure
