"""What a handler holds: a mapping that notes what was done to it.

A `Session` does no I/O of its own. Reading decodes, writing notes; a `Backend`, which the engine is, carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn, Protocol, Self, cast

from limpet._core import flashes
from limpet._core.flashes import Flash
from limpet._core.record import NEVER, Contents
from limpet._core.state import (
    ACCESSED,
    CLOSED,
    CROSS_SITE,
    DISPLACED,
    ENDED,
    EXPOSED,
    FAILED,
    FROZEN,
    LOGIN,
    OVER,
    PASSIVE,
    PENDING,
    READ_ONLY,
    READY,
    REGENERATE,
    SEALED,
    WATCHED,
    WRITTEN,
    SessionState,
    View,
)
from limpet.errors import SessionClosed, SessionNotLoaded, StoreUnavailable, UnstorableValue

__all__ = ["Backend", "Session", "backend_of", "own", "state_of"]

_CAREFUL = READ_ONLY | OVER | CROSS_SITE  # flags with which a write needs a closer look


class Backend(Protocol):
    """What a session needs of the engine that it belongs to."""

    rotate_on: frozenset[str]
    is_server_side: bool

    @property
    def clock(self) -> Callable[[], int]:
        """Returns milliseconds since 1970."""

    def open_sealed(self, state: SessionState) -> None:
        """Open a session that lives in its cookie."""

    def note_login(self, state: SessionState) -> None:
        """Note which revocations are known now, for a login that was just called."""

    def differs(self, state: SessionState) -> bool:
        """Tell whether there is something to save."""

    def deadline_of(self, state: SessionState) -> int | None:
        """Return when the session ends if nobody uses it, in milliseconds since 1970; None if there is none."""

    def drop_flash(self, state: SessionState) -> None:
        """Say that a message could not be kept."""

    async def load(self, session: Session) -> None:
        """Read the session from the store, once."""

    async def save(self, session: Session) -> None:
        """Save the session now."""

    async def refresh(self, session: Session) -> None:
        """Read the record again and merge unsaved changes over it."""

    async def is_live(self, session: Session) -> bool:
        """Ask the store whether the session still exists."""

    def exclusive_for(
        self, session: Session, name: str, *, life: float, wait: float
    ) -> AbstractAsyncContextManager[Session]:
        """Hold a lock of this session."""


class Session(MutableMapping[str, Any]):
    """The session of one request: a mapping from strings to plain values, saved when the response starts.

    Nested changes count (``session["cart"].append(1)``); what cannot be stored is refused before the response
    starts. Two requests that write at the same time are merged.
    """

    __slots__ = ("__weakref__", "_backend", "_state")

    def __init__(self, backend: Backend, state: SessionState | None = None) -> None:
        self._backend = backend
        self._state = SessionState(backend.clock()) if state is None else state

    @classmethod
    def standalone(cls, data: Mapping[str, Any] | None = None) -> Self:
        """Return a session that belongs to no request and is never saved, with these keys and values.

        For tests of handlers, and for code that wants the mapping alone.
        """
        from limpet._core.standalone import Standalone

        backend = Standalone(dict(data or {}))
        session = cls.__new__(cls)
        Session.__init__(session, backend, backend.state)
        return session

    # -- the mapping

    def __getitem__(self, key: str) -> Any:
        state = self._state
        state.flags |= ACCESSED
        if state.loaded:
            self._open(state)
        value = state.data[key]
        if type(value) not in FROZEN:
            _expose(state, key, value)
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
            _expose(state, key, value)
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
        if isinstance(other, Session):
            return self._read().data == other._read().data
        if isinstance(other, Mapping):
            return self._read().data == dict(cast("Mapping[str, Any]", other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes, as a dict does

    def __setitem__(self, key: str, value: Any) -> None:
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
        _forget_key(state, key)

    def __delitem__(self, key: str) -> None:
        state = self._read()
        if key not in state.data:
            raise KeyError(key)
        if key in self._backend.rotate_on:
            state.flags |= WATCHED
        self._write(state)
        state.data.pop(key, None)
        _forget_key(state, key)

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

    def copy(self) -> dict[str, Any]:
        """Return the keys and values as a plain dict, as `dict.copy` does."""
        return {key: self[key] for key in self}

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        from copy import deepcopy

        return {key: deepcopy(value, memo) for key, value in self._read().data.items()}

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
        """End the session: data and subject gone, record and cookie deleted. A later write begins a new one."""
        state, backend = self._state, self._backend
        if state.loaded == SEALED:
            backend.open_sealed(state)
        state.flags |= ACCESSED
        if state.phase == CLOSED:
            raise SessionClosed("the session cannot be ended any more: the application has returned")
        if state.phase and not backend.is_server_side:
            raise SessionClosed("a session that lives in its cookie cannot be ended any more: the response has started")
        if state.old is not None:
            state.old.dropped = True
            state.flags |= ENDED
        if state.read is not None or state.rivals or (state.gone is not None and state.met) or state.flags & READ_ONLY:
            state.flags |= ENDED
        elif state.loaded == PENDING or state.loaded == FAILED:
            state.flags |= ENDED  # a logout is not dropped because the store failed: the commit asks it again
        state.flags = (state.flags & ~(READ_ONLY | LOGIN | REGENERATE)) | WRITTEN
        _begin(state, backend.clock())
        state.loaded = READY

    def __repr__(self) -> str:
        """Name the session, and show nothing of what is in it."""
        state = self._state
        state.flags |= ACCESSED
        if state.loaded == READY:
            return f"<Session {state.read.key[:8] if state.read and state.read.key else 'new'}>"
        return f"<Session {('ready', 'pending', 'sealed', 'failed')[state.loaded]}>"

    # -- what is known of it

    @property
    def is_new(self) -> bool:
        """Whether nothing of this session is stored yet."""
        state = self._read()
        return state.read is None or bool(state.flags & (ENDED | DISPLACED))

    @property
    def accessed(self) -> bool:
        """Whether a handler read or wrote it; what ``Vary: Cookie`` depends on."""
        return bool(self._state.flags & ACCESSED)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included."""
        return self._backend.differs(self._read())

    @property
    def subject(self) -> str | None:
        """Whose session it is, as given to `login`."""
        return self._read().subject

    @property
    def created_at(self) -> datetime | None:
        """When the session began, or None before the first write."""
        draft = self._read().draft
        return _moment(draft.created) if draft is not None else None

    @property
    def authenticated_at(self) -> datetime | None:
        """When somebody last logged in, or None."""
        draft = self._read().draft
        return _moment(draft.authenticated) if draft is not None and draft.authenticated else None

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends if nobody uses it, or None if it never does (or does not exist)."""
        limit = self._backend.deadline_of(self._read())
        return None if limit is None or limit == NEVER else _moment(limit)

    @property
    def public_id(self) -> str | None:
        """The store key: good for lists and for `revoke`, useless as a cookie. None before the first save."""
        read = self._read().read
        return None if read is None else read.key

    # -- intents

    def login(self, subject: str, *, remember: bool = False, tags: Mapping[str, str] | None = None) -> None:
        """Note that ``subject`` proved who they are: new id, the old one dead at once, fresh absolute deadline.

        From an anonymous session, or one of the same subject, the data stays; somebody else's is cleared first. A
        deadline of its own (`expire_in`) ends with the session before: set it again after the login.

        Args:
            subject: Whose session it becomes, such as ``str(user.id)``.
            remember: Let this session live as long as ``SessionPolicy.remember``.
            tags: Labels to find the session by later, such as an OIDC session id.

        Raises:
            TypeError: The subject or a tag is no string.
            ValueError: The subject or a tag is no text that UTF-8 can encode.
            SessionClosed: The response has started, so that no new id can be handed out.

        The commit raises `SessionLimitReached` where ``SessionPolicy(when_full="refuse")`` refuses it; to handle that,
        ``await session.save()`` within ``try``.

        Source: OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level Change".
        """
        given: Any = subject
        if not isinstance(given, str) or not given:
            what = "an empty one" if isinstance(given, str) else type(given).__name__
            raise TypeError(f"login takes a non-empty str such as str(user.id), not {what}")
        name = str.__str__(given)
        labels = dict(tags or {})
        if not all(isinstance(text, str) for pair in labels.items() for text in pair):
            raise TypeError("tags are strings by name, such as {'oidc_sid': sid}")
        _check_text("subject", name)
        for pair in labels.items():
            for text in pair:
                _check_text("tag", text)
        state = self._state
        over = state.flags & (OVER | CROSS_SITE)
        state.flags &= ~(OVER | CROSS_SITE)  # new credentials leave what was ended behind
        try:
            self._write(state, new_id=True)
        except BaseException:
            state.flags |= over
            raise
        if over & OVER and state.met:  # the handler read what the ended session held: nothing of that comes along
            _begin(state, self._backend.clock())
            state.flags |= WRITTEN
        if state.subject is not None and state.subject != name:
            displaced = state.read is not None and not state.flags & ENDED
            _begin(state, self._backend.clock())
            state.flags |= WRITTEN | (DISPLACED if displaced else 0)
        draft = state.draft
        assert draft is not None
        draft.created = draft.authenticated = self._backend.clock()
        draft.remember = remember
        draft.ends = None
        draft.tags = labels
        state.subject = name
        state.flags |= LOGIN
        self._backend.note_login(state)

    def logout(self) -> None:
        """End the session; the same as `clear`."""
        self.clear()

    def regenerate(self) -> None:
        """Change the id and keep the data; the old id is dead at once.

        Raises:
            SessionClosed: The response has started, so that no new id can be handed out.
        """
        state = self._state
        self._write(state, new_id=True)
        state.flags |= REGENERATE

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number (an absent one counts as 0) and return the sum; exact under concurrent requests.

        Raises:
            TypeError: The value is not a number.
        """
        current = self.get(key, 0)
        for number in (current, by):
            if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
                raise TypeError(f"increment adds numbers; {key!r} and the step are {type(current)} and {type(by)}")
        state = self._state
        noted = (state.increments or {}).get(key, 0) + by
        self[key] = current + by
        if state.increments is None:
            state.increments = {}
        state.increments[key] = noted
        return state.data[key]

    def expire_in(self, life: float | timedelta | None) -> None:
        """Give this session a deadline of its own, from now, at most the absolute timeout; None: back to the policy.

        Args:
            life: Seconds or a timedelta.

        Raises:
            ValueError: It is not positive.
        """
        seconds = life.total_seconds() if isinstance(life, timedelta) else life
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(
                f"expire_in takes a positive, finite time, not {life!r}: to end the session call logout(), "
                "to go back to the policy's timeouts expire_in(None)"
            )
        state = self._state
        self._write(state)
        if state.draft is not None:
            state.draft.ends = None if seconds is None else self._backend.clock() + round(seconds * 1000)

    def passive(self) -> None:
        """Let this request not count as activity, so that a page that polls does not keep a session alive."""
        self._state.flags |= PASSIVE

    def is_fresh(self, minutes: float = 5) -> bool:
        """Whether somebody logged in at most so long ago; ask again before what is dangerous or cannot be undone.

        Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3.
        """
        draft = self._read().draft
        since = draft.authenticated if draft is not None else None
        return since is not None and self._backend.clock() - since <= minutes * 60_000

    def flash(self, message: str, category: str = "info") -> None:
        """Keep a message for the next page that shows them; requests at the same time lose none of each other's.

        Where nothing can be saved any more, as on an error page that is made after the session was closed, the message
        is dropped and an event (`WriteDropped`) says so.
        """
        if self._is_closed():
            self._backend.drop_flash(self._state)
        else:
            flashes.add(self, message, category)

    def flashes(self) -> list[Flash]:
        """Return the messages that were not shown yet, oldest first, and forget them.

        Two pages that are rendered at the same time may both show a message that was there before: where that
        matters, ask within ``async with session.exclusive("flashes")``. Where nothing can be saved any more, they stay
        for the next page.
        """
        return flashes.take(self, forget=not self._is_closed())

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractAsyncContextManager[Session]:
        """Do something once at a time for this session, over all processes; a token refresh, for example.

        ::

            async with session.exclusive("oauth"):
                if session["token"]["expires"] < now:
                    session["token"] = await refresh(session["token"])

        The session is read anew when the lock is there and saved before it is given back, so that the next holder
        sees what this one did.

        Args:
            name: What is done; other names do not wait.
            life: Seconds after which another may go ahead, should this process die.
            wait: Seconds to wait for others at most.

        Raises:
            SessionBusy: Others held it all the time.
            SessionEnded: The session was ended by somebody else, and the policy says ``on_ended="raise"``.
            StoreUnavailable: The store does not answer.
        """
        return self._backend.exclusive_for(self, name, life=life, wait=wait)

    def view(self, key: str, value: Any, dump: Callable[[Any], Any]) -> None:
        """Let a typed object stand for a key: ``dump(value)`` is stored when the session is saved."""
        state = self._read()
        if state.draft is None:
            _begin(state, self._backend.clock())
        if state.views is None:
            state.views = {}
        state.views[key] = View(value, dump)
        state.flags |= EXPOSED

    def live_data(self) -> dict[str, Any]:
        """Return the dict that is saved: what is changed in it counts. For adapters whose API hands one out."""
        state = self._read()
        if state.draft is None:
            _begin(state, self._backend.clock())
        for key, value in state.data.items():
            if type(value) not in FROZEN:
                _expose(state, key, value)
        state.flags |= EXPOSED
        return state.data

    def viewed(self, key: str) -> Any:
        """Return the object that stands for a key in this request, see `view`; None when there is none."""
        views = self._state.views
        return None if views is None or key not in views else views[key].value

    # -- what waits for a store

    async def load(self) -> Self:
        """Read the session now if that has not happened; returns it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._backend.load(self)
        return self

    async def save(self) -> None:
        """Save now instead of when the response starts; needed in long streams and sockets.

        A new id that a login or `regenerate` asked for is made now; the old one is dead when the response starts. So a
        handler that fails after this leaves the browser the session that it had.

        Raises:
            SessionClosed: The response has started and this session has no id, or lives in a cookie.
            StoreUnavailable: The store does not answer.
        """
        await self._backend.save(self)

    async def refresh(self) -> None:
        """See what other requests saved meanwhile; own unsaved changes are merged over it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._backend.refresh(self)

    async def is_live(self) -> bool:
        """Ask the store whether the session still exists: False once it expired or anybody ended it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._backend.is_live(self)

    def mark_accessed(self) -> None:
        """Note that a handler took hold of the session (Starlette calls this)."""
        self._state.flags |= ACCESSED

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
            _begin(state, self._backend.clock())
        state.flags |= WRITTEN

    def _is_closed(self) -> bool:
        """Tell whether a write to a key would be refused because of how far the response is."""
        state = self._state
        if not state.phase or state.loaded:
            return False
        return state.phase == CLOSED or state.read is None or not self._backend.is_server_side or _is_ended(state)

    def _refuse_late_write(self, state: SessionState, new_id: bool) -> None:
        if state.phase == CLOSED:
            raise SessionClosed("written after the application returned: nothing saves it any more")
        if state.flags & OVER:
            raise SessionClosed("this session was ended by somebody else: nothing is saved into it any more")
        if state.read is not None and not state.read.raw and new_id and self._backend.is_server_side:
            raise SessionClosed("a session that was opened by its public id cannot change it: no client would learn it")
        if new_id or state.flags & ENDED:
            raise SessionClosed("a new id cannot be handed out any more: the response has started; do this before it")
        if state.read is None or not self._backend.is_server_side:
            raise SessionClosed(
                "written after the response started: the cookie can no longer be set. Write before the first byte, "
                "or create the session earlier in a server-side store"
            )

    @property
    def _out(self) -> str | None:
        return self._state.out


def state_of(session: Session) -> SessionState:
    """Return the state of a session, for the engine and the middleware."""
    return session._state


def backend_of(session: Session) -> Any:
    """Return the engine that a session belongs to."""
    return session._backend


def _is_ended(state: SessionState) -> bool:
    return bool(state.flags & (OVER | ENDED))


def _refuse_to_read(state: SessionState) -> NoReturn:
    raise SessionNotLoaded if state.loaded == PENDING else cast(Exception, state.error)


def _begin(state: SessionState, now: int) -> None:
    """Start over with empty contents."""
    state.draft = Contents(now)
    state.data = state.draft.data
    state.subject = None
    state.flags &= ~(LOGIN | REGENERATE | EXPOSED)
    state.increments = state.views = state.loans = state.owned = state.assigned = None


def _forget_key(state: SessionState, key: str) -> None:
    """Drop what was noted about a key whose value was replaced."""
    if state.increments is not None:
        state.increments.pop(key, None)
    if state.views is not None:
        state.views.pop(key, None)
    if state.loans is not None:
        state.loans = [loan for loan in state.loans if loan[0] != key] or None


def _expose(state: SessionState, key: str, value: Any) -> None:
    """Note that a container goes out, and which containers in it are the engine's own."""
    state.flags |= EXPOSED
    if state.assigned is None:
        state.assigned = set()
    if key in state.assigned:
        return
    state.assigned.add(key)
    if state.owned is None:
        state.owned = {}
    own(state.owned, value)


def own(owned: dict[int, Any], value: Any) -> None:
    """Add every container in a decoded value to those that the engine may change in place."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is dict:
            owned[id(each)] = each
            waiting.extend(item for item in each.values() if type(item) not in FROZEN)
        elif kind is list:
            owned[id(each)] = each
            waiting.extend(item for item in each if type(item) not in FROZEN)
        elif kind is set:
            owned[id(each)] = each


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the {what} {text!r} is no text: it holds half of a surrogate pair, which UTF-8 cannot encode"
        ) from error
    if "\x00" in text:
        raise ValueError(f"the {what} {text!r} holds a NUL character, which not every store can keep: leave it out")


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
