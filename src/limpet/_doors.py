"""The blocking side of a manager and of its sessions, for code that has no event loop.

How an adapter serves one request of a blocking framework::

    doors = manager.blocking
    session = doors.begin(headers)                       # raw pairs of bytes; nothing is read before the first use
    ...                                                  # the handler works with it
    headers = doors.start(session, status, headers)      # saves; Set-Cookie, Vary and Cache-Control are added
    ...                                                  # a body that streams may still write
    doors.end(session, failed=status >= 500)

`BlockingManager.start` raises what a save raises, and then no cookie goes out: `limpet.errors.answer_to` says how that
is answered. A handler that raises goes to `BlockingManager.fail` in the place of ``start``. A framework in which a save
comes before the status is known calls `BlockingManager.commit` first; ``start`` then finds nothing left to save.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar, cast, overload

from limpet._arguments import check_lock
from limpet._blocking import Driven, drive
from limpet._caching import mark_response
from limpet._core import locks
from limpet._core.session import Session, state_of
from limpet._core.state import ACCESSED, CLOSED, ENDED, EXPOSED, OVER, PENDING, STARTED, WRITTEN, SessionState
from limpet._detached import open_session
from limpet._serving import as_text, hand_out
from limpet.errors import LimpetError
from limpet.events import CLIENT
from limpet.protocols import Header

if TYPE_CHECKING:
    from limpet._core.engine import Engine
    from limpet.directory import Directory, SessionInfo

__all__ = ["SPOKEN", "BlockingManager", "BlockingSession", "Pairs", "SessionDoors", "mark", "said"]

B = TypeVar("B", bound="BlockingSession")
Pairs: TypeAlias = list[tuple[str, str]]
"""Response headers as WSGI has them."""

log = logging.getLogger("limpet")

_WROTE = WRITTEN | EXPOSED | ENDED
SPOKEN: Final = frozenset({"vary", "cache-control"})
"""Headers in which an application speaks of caches."""


class BlockingSession(Session):
    """The session of a request that is served without an event loop. It is read at its first use.

    What a `Session` waits for has a twin that blocks: ``session.blocking.save()`` for ``await session.save()``.
    """

    __slots__ = ()

    @property
    def blocking(self) -> SessionDoors[Self]:
        """What waits for a store, as calls that block."""
        return SessionDoors(self)

    def _open(self, state: SessionState) -> None:
        if state.loaded == PENDING:
            drive(self._backend.load(self))
        else:
            super()._open(state)


class SessionDoors(Generic[B]):
    """What a `Session` waits for, as calls that block; each raises what its twin raises."""

    __slots__ = ("_session",)

    def __init__(self, session: B) -> None:
        self._session = session

    def load(self) -> B:
        """Read the session now if that has not happened; returns it."""
        return drive(self._session.load())

    def save(self) -> None:
        """Save now instead of when the response starts; see `Session.save`."""
        drive(self._session.save())

    def refresh(self) -> None:
        """See what other requests saved meanwhile; own unsaved changes are merged over it."""
        drive(self._session.refresh())

    def is_live(self) -> bool:
        """Ask the store whether the session still exists."""
        return drive(self._session.is_live())

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractContextManager[Any]:
        """Do something once at a time for this session, over all processes; for ``with``. See `Session.exclusive`."""
        return Driven(self._session.exclusive(name, life=life, wait=wait))


class Manager(Protocol):
    """What the blocking side needs of a `SessionManager`."""

    @property
    def engine(self) -> Engine:
        """Loads and commits."""
        ...

    @property
    def directory(self) -> Directory:
        """Sessions from outside."""
        ...

    async def startup(self) -> None:
        """Open the store."""

    async def shutdown(self) -> None:
        """Close it."""

    async def check(self) -> list[str]:
        """Ask it whether it works."""
        ...

    async def sweep(self, limit: int | None = None, *, once: bool = False) -> int:
        """Delete expired records."""
        ...


class BlockingManager:
    """A `SessionManager` for code without an event loop: the same words, as calls that block.

    Any number of threads or greenlets may call it. Each method raises what its twin raises, and `ConfigurationError`
    where the store has only a client that is asynchronous.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._engine = manager.engine
        self._directory = manager.directory

    # -- a request

    @overload
    def begin(self, headers: Sequence[Header], *, context: Mapping[str, Any] | None = None) -> BlockingSession: ...

    @overload
    def begin(
        self, headers: Sequence[Header], make: Callable[[Engine], B], *, context: Mapping[str, Any] | None = None
    ) -> B: ...

    def begin(
        self,
        headers: Sequence[Header],
        make: Callable[[Engine], BlockingSession] = BlockingSession,
        *,
        context: Mapping[str, Any] | None = None,
    ) -> BlockingSession:
        """Return the session of a request. No I/O; it is read at its first use, or by ``session.blocking.load()``.

        Args:
            headers: Those of the request: lower-case names and values, in bytes. ``cookie`` alone is enough, unless
                the session travels by another one.
            make: Makes the session, of a class that an adapter has.
            context: What is known of the client, ``{"headers": …, "client": (address, port)}``, for
                ``SessionManager(devices=…)``.
        """
        session = cast("BlockingSession", self._engine.begin(headers, make))
        if context is not None and self._engine.description is not None:
            self._engine.note_client(session, context)
        return session

    def commit(self, session: Session, *, failed: bool = False) -> None:
        """Save the session before the response starts; see `SessionManager.commit`."""
        drive(self._engine.commit(session, failed=failed))

    def start(self, session: Session, status: int, headers: Iterable[tuple[str, str]], *, prefix: str = "") -> Pairs:
        """Save the session and return the headers of the response with what they need for it; once.

        Args:
            status: Of 500 and more, the request failed: only what ended the session is saved.
            headers: What the application sends.
            prefix: The path under which the application is mounted, for ``SessionManager(bound=…)``.
        """
        state, engine, failed = state_of(session), self._engine, status >= 500
        if state.loaded and not state.flags & ACCESSED:  # not touched: nothing to save, nothing to say
            state.phase = STARTED
            return list(headers)
        if not engine.is_idle(state) or (failed and state.created is not None):
            drive(engine.commit(session, failed=failed))
        tokens = hand_out(engine, state) if state.out is not None or state.legacy is not None else []
        if engine.binder is not None:
            tokens += engine.binder.headers(state, prefix)
        state.phase = STARTED
        return mark(headers, engine.vary, tokens, bool(state.flags & ACCESSED), engine.no_store)

    def fail(self, session: Session) -> None:
        """The handler raised, and there is no response: keep a logout, drop the rest."""
        try:
            state = state_of(session)
            if state.created is not None or not self._engine.is_idle(state):
                drive(self._engine.commit(session, failed=True))
        except LimpetError as problem:  # what the application raised says more than what came of it
            log.warning("a request failed, and what it leaves in its session could not be kept: %s", problem)

    def save_late(self, session: Session, *, failed: bool = False) -> None:
        """Save what was written after the response had started."""
        state = state_of(session)
        if state.flags & _WROTE and not state.flags & OVER and not self._engine.is_idle(state):
            drive(self._engine.commit(session, failed=failed))

    def end(self, session: Session, *, failed: bool = False) -> None:
        """Save what was written after the response had started, and close the session: it takes no more."""
        try:
            self.save_late(session, failed=failed)
        finally:
            state_of(session).phase = CLOSED
            if self._engine.description is not None:
                CLIENT.set(None)  # the thread serves others after this

    # -- sessions from outside

    def sessions_of(self, subject: str, *, current: Session | str | None = None) -> list[SessionInfo]:
        """Return the live sessions of a subject, the last used first; see `SessionManager.sessions_of`."""
        return drive(self._directory.sessions_of(subject, current=current))

    def revoke(self, public_id: str | None = None, *, tag: tuple[str, str] | None = None) -> int:
        """End one session, or all that were logged in with a tag; see `SessionManager.revoke`."""
        return drive(self._directory.revoke(public_id, tag=tag))

    def revoke_all(self, subject: str, *, except_: Session | str | None = None) -> int:
        """End all sessions of a subject, on every device; see `SessionManager.revoke_all`."""
        return drive(self._directory.revoke_all(subject, except_=except_))

    def revoke_everyone(self) -> int:
        """End every session in the store; see `SessionManager.revoke_everyone`."""
        return drive(self._directory.revoke_everyone())

    def export(self, subject: str) -> list[dict[str, Any]]:
        """Return everything that is kept of a subject; see `SessionManager.export`."""
        return drive(self._directory.export(subject))

    def erase(self, subject: str) -> int:
        """Delete everything that is kept of a subject; see `SessionManager.erase`."""
        return drive(self._directory.erase(subject))

    def open(self, public_id: str) -> AbstractContextManager[BlockingSession]:
        """Open a live session without its client, for ``with``; see `SessionManager.open`."""
        return Driven(open_session(self._engine, public_id, BlockingSession))

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractContextManager[None]:
        """Hold the only lock of a name over all processes that use the store; see `SessionManager.exclusive`."""
        check_lock(name, life, wait)
        return Driven(locks.Lock(self._engine, "name", name, life=life, wait=wait))

    # -- operation

    def startup(self) -> None:
        """Open the store now instead of at the first request; see `SessionManager.startup`."""
        drive(self._manager.startup())

    def shutdown(self) -> None:
        """Finish what is under way and close the store; a later use opens it again."""
        drive(self._manager.shutdown())

    def check(self) -> list[str]:
        """Ask the store whether it works; see `SessionManager.check`."""
        return drive(self._manager.check())

    def sweep(self, limit: int | None = None, *, once: bool = False) -> int:
        """Delete expired records in small batches; see `SessionManager.sweep`."""
        return drive(self._manager.sweep(limit, once=once))


def mark(
    headers: Iterable[tuple[str, str]], vary: bytes, tokens: Sequence[Header], accessed: bool, no_store: bool = False
) -> Pairs:
    """Return the headers with the tokens, ``Vary`` and ``Cache-Control`` added as far as the response needs them."""
    marked = list(headers)
    if not tokens and not accessed:
        return marked
    spoken = [pair for pair in marked if pair[0].lower() in SPOKEN]
    if spoken:
        marked = [pair for pair in marked if pair[0].lower() not in SPOKEN]
    return marked + said(spoken, vary, tokens, accessed, no_store)


def said(spoken: Pairs, vary: bytes, tokens: Sequence[Header], accessed: bool, no_store: bool) -> Pairs:
    """Return the headers that stand in the place of what an application says of caches, and those of the tokens."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in spoken]
    found = mark_response(raw, vary, tokens[0] if tokens else None, accessed, no_store)
    return as_text(found + list(tokens[1:]))
