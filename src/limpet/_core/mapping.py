"""The mapping part of a session: keys and values, and the notes that are taken when they are read or written.

It does no I/O of its own. A `Backend`, which the engine is, carries out what was noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self, TypeVar, cast

from limpet._core import notes
from limpet._core.state import (
    ACCESSED,
    AMBIGUOUS,
    CLOSED,
    CROSS_SITE,
    ENDED,
    EXPOSED,
    FROZEN,
    LOGIN,
    OTHER_CLIENT,
    OVER,
    PENDING,
    READ_ONLY,
    READY,
    REGENERATE,
    SEALED,
    UNPROVEN,
    WATCHED,
    WRITTEN,
    SessionState,
)
from limpet._exclusive import Renewable
from limpet._native import mypyc_attr, own_registry
from limpet.errors import SessionClosed, SessionNotLoaded, StoreUnavailable, UnstorableValue

if TYPE_CHECKING:
    from limpet.policy import SessionPolicy

__all__ = ["LEFT", "Backend", "SessionMapping", "backend_of", "state_of"]

S = TypeVar("S", bound=Renewable)
LEFT: Final = OVER | CROSS_SITE | OTHER_CLIENT | UNPROVEN
"""Flags that a login leaves behind, unless it is refused."""
_CAREFUL: Final = READ_ONLY | OVER | CROSS_SITE  # flags with which a write needs a closer look
_RETURNED = "the session cannot be ended any more: the application has returned"
_SENT = "a session that lives in its cookie cannot be ended any more: the response has started"


class Backend(Protocol):
    """What a session needs of the engine that it belongs to."""

    rotate_on: frozenset[str]
    is_server_side: bool

    @property
    def clock(self) -> Callable[[], int]:
        """Returns milliseconds since 1970."""
        ...

    @property
    def policy(self) -> SessionPolicy:
        """How long sessions live, and which levels a login can have."""
        ...

    def open_sealed(self, state: SessionState) -> None:
        """Open a session that lives in its cookie."""
        ...

    def note_login(self, state: SessionState) -> None:
        """Note which revocations are known now, for a login that was just called."""
        ...

    def differs(self, state: SessionState) -> bool:
        """Tell whether there is something to save."""
        ...

    def deadline_of(self, state: SessionState) -> int | None:
        """Return when the session ends if nobody uses it, in milliseconds since 1970; None if there is none."""
        ...

    def drop_write(self, state: SessionState, reason: str) -> None:
        """Say that something that was written could not be kept."""
        ...

    async def load(self, session: SessionMapping) -> None:
        """Read the session from the store, once."""
        ...

    async def save(self, session: SessionMapping) -> None:
        """Save the session now."""
        ...

    async def refresh(self, session: SessionMapping) -> None:
        """Read the record again and merge unsaved changes over it."""
        ...

    async def is_live(self, session: SessionMapping) -> bool:
        """Ask the store whether the session still exists."""
        ...

    def exclusive_for(self, session: S, name: str, *, life: float, wait: float) -> AbstractAsyncContextManager[S]:
        """Hold a lock of this session."""
        ...


@mypyc_attr(allow_interpreted_subclasses=True)
class SessionMapping(MutableMapping[str, Any]):
    """The keys and values of a session."""

    __slots__ = ("__weakref__", "_backend", "_state")

    def __init__(self, backend: Backend, state: SessionState | None = None) -> None:
        self._backend = backend
        self._state = SessionState() if state is None else state

    def __getitem__(self, key: str) -> Any:
        state = self._state
        state.flags |= ACCESSED
        if state.loaded:
            self._open(state)
        value = state.data[key]
        if type(value) not in FROZEN:
            notes.expose(state, key, value)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        state = self._state
        state.flags |= ACCESSED
        if state.loaded:
            self._open(state)
        data = state.data
        if key not in data:
            return default
        value = data[key]
        if type(value) not in FROZEN:
            notes.expose(state, key, value)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._read().data

    def __iter__(self) -> Iterator[str]:
        return iter(self._read().data)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._read().data)

    def __len__(self) -> int:
        return len(self._read().data)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SessionMapping):
            return self._read().data == other._read().data
        if isinstance(other, Mapping):
            return self._read().data == dict(cast("Mapping[str, Any]", other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes, as a dict does

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is not str:
            if not isinstance(key, str):
                raise UnstorableValue("(a key)", f"a key must be a str, not {type(key).__name__}")
            key = str.__str__(key)
        state = self._state
        if key in self._backend.rotate_on:
            state.flags |= WATCHED
            self._write(state, new_id=state.phase != 0 and state.data.get(key) != value)
        elif state.loaded or state.phase or state.draft is None or state.flags & _CAREFUL:
            self._write(state)
        else:
            state.flags |= ACCESSED | WRITTEN
        state.data[key] = value
        if type(value) not in FROZEN:
            state.flags |= EXPOSED
            if state.assigned is None:
                state.assigned = set()
            state.assigned.add(key)
        if state.increments is not None or state.views is not None or state.loans is not None:
            notes.forget_key(state, key)

    def __delitem__(self, key: str) -> None:
        state = self._read()
        if key not in state.data:
            raise KeyError(key)
        if key in self._backend.rotate_on:
            state.flags |= WATCHED
        self._write(state)
        state.data.pop(key, None)
        notes.forget_key(state, key)

    def __ior__(self, other: Mapping[str, Any]) -> Self:  # type: ignore[misc]  # `|` gives a dict, as it does not save
        self.update(other)
        return self

    def __or__(self, other: object) -> dict[str, Any]:
        """Return a plain dict of both; the right side wins."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**self.copy(), **cast("Mapping[str, Any]", other)}

    def __ror__(self, other: object) -> dict[str, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**cast("Mapping[str, Any]", other), **self.copy()}

    def peek(self) -> dict[str, Any]:
        """Return the keys and values as a plain dict whose containers are not looked through when the session is saved.

        For an adapter that shows them: it asks for each container once more when it hands it out.
        """
        return dict(self._read().data)

    def copy(self) -> dict[str, Any]:
        """Return the keys and values as a plain dict, as `dict.copy` does."""
        state = self._read()
        for key, value in state.data.items():
            if type(value) not in FROZEN:
                notes.expose(state, key, value)
        return dict(state.data)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Let `copy.copy`, `copy.deepcopy` and `pickle` make a plain dict of it."""
        return dict, (self.copy(),)

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the pair that was set last.

        Raises:
            KeyError: The session is empty.
        """
        key = next(reversed(self._read().data), None)
        if key is None:
            raise KeyError("the session is empty")
        return key, self.pop(key)

    def clear(self) -> None:
        """End the session: data and subject are gone at once, and a later write begins a new session.

        The commit puts a tombstone in the place of the record, and takes the cookie back.
        """
        state, backend = self._state, self._backend
        if state.loaded == SEALED:
            backend.open_sealed(state)
        state.flags |= ACCESSED
        if state.phase == CLOSED or (state.phase and not backend.is_server_side):
            if state.draft is None and state.loaded == READY and not state.flags & (_CAREFUL | AMBIGUOUS | UNPROVEN):
                return  # there is nothing to end
            raise SessionClosed(_RETURNED if state.phase == CLOSED else _SENT)
        if state.legacy is not None:
            state.legacy.dropped = True
            state.flags |= ENDED
        if state.ids or state.stored is not None or state.gone is not None or state.met_alive:
            state.flags |= ENDED  # though none was found: the store may have failed, or this host's clock is ahead
        state.flags = (state.flags & ~(READ_ONLY | LOGIN | REGENERATE)) | WRITTEN
        notes.begin(state, backend.clock())
        state.loaded = READY

    def __repr__(self) -> str:
        """Name the session, and show nothing of what is in it."""
        state = self._state
        state.flags |= ACCESSED
        if state.loaded == READY:
            return f"<Session {state.stored.key[:8] if state.stored and state.stored.key else 'new'}>"
        return f"<Session {('ready', 'pending', 'sealed', 'failed')[state.loaded]}>"

    # -- steps

    def _read(self) -> SessionState:
        state = self._state
        state.flags |= ACCESSED
        if state.loaded:
            self._open(state)
        return state

    def _open(self, state: SessionState) -> None:
        if state.loaded == SEALED:
            self._backend.open_sealed(state)
        else:
            _refuse_to_read(state)

    def _write(self, state: SessionState, *, new_id: bool = False) -> None:
        state.flags |= ACCESSED
        if state.loaded:
            self._open(state)
        if state.phase:
            self._refuse_late_write(state, new_id)
        if state.flags & READ_ONLY:
            raise StoreUnavailable("the session store did not answer; this request can read an anonymous session only")
        if state.draft is None:
            notes.begin(state, self._backend.clock())
        state.flags |= WRITTEN

    def _is_closed(self) -> bool:
        """Tell whether a write to a key would be refused because of how far the response is."""
        state = self._state
        if not state.phase:
            return False
        if state.phase == CLOSED:
            return True
        if state.loaded == SEALED:
            self._open(state)
        if state.loaded:
            return False
        return state.stored is None or not self._backend.is_server_side or _is_ended(state)

    def _refuse_late_write(self, state: SessionState, new_id: bool) -> None:
        if state.phase == CLOSED:
            raise SessionClosed("written after the application returned: nothing saves it any more")
        if state.flags & OVER:
            raise SessionClosed("this session was ended by somebody else: nothing is saved into it any more")
        if state.stored is not None and not state.stored.raw and new_id and self._backend.is_server_side:
            raise SessionClosed("a session that was opened by its public id cannot change it: no client would learn it")
        if new_id or state.flags & ENDED:
            raise SessionClosed("a new id cannot be handed out any more: the response has started; do this before it")
        if state.stored is None or not self._backend.is_server_side:
            raise SessionClosed(
                "written after the response started: the cookie can no longer be set. Write before the first byte, "
                "or create the session earlier in a server-side store"
            )


own_registry(SessionMapping)


def state_of(session: Any) -> SessionState:
    """Return the state of a session, or of what an adapter shows in its place."""
    state: SessionState = session._state
    return state


def backend_of(session: Any) -> Any:
    """Return the engine that a session belongs to."""
    return session._backend


def _is_ended(state: SessionState) -> bool:
    return bool(state.flags & (OVER | ENDED))


def _refuse_to_read(state: SessionState) -> NoReturn:
    raise SessionNotLoaded if state.loaded == PENDING else cast(Exception, state.error)
