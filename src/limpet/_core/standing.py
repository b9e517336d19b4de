"""Where a session stands: what was read, what was noted, and how far request and response are.

`Session` adds what a handler sees; `Engine` and its commits work with this.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, NoReturn, TypeVar, cast
from uuid import UUID

from limpet._core.record import Contents, Record
from limpet.errors import SessionClosed, SessionNotLoaded, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.importing import Old
    from limpet._core.manager import Engine
    from limpet._core.protocols import Header

__all__ = [
    "CLOSED",
    "FAILED",
    "FROZEN",
    "NOTHING_NOTED",
    "OPEN",
    "PENDING",
    "READY",
    "SEALED",
    "STARTED",
    "Notes",
    "Phase",
    "Rare",
    "Standing",
    "State",
    "View",
]

T = TypeVar("T")

FROZEN: Final = frozenset(
    {str, int, float, bool, type(None), bytes, datetime, date, time, timedelta, Decimal, UUID}
)  # a value of these types cannot change after it was handed out


class State(enum.IntEnum):
    """How far a session has been read."""

    READY = 0  # there is something to look at, perhaps nothing stored
    PENDING = 1  # a well-formed id came; the store has not been asked
    SEALED = 2  # the cookie holds the session; it has not been opened
    FAILED = 3  # the store was asked and did not answer


class Phase(enum.IntEnum):
    """How far the response is, which decides what a write can still become."""

    OPEN = 0  # nothing sent: everything is possible
    STARTED = 1  # headers sent: no new cookie any more
    CLOSED = 2  # the application has returned: nothing is saved any more


# To look a member up at its class takes 0.15 us, and a request would do so ten times.
READY: Final = State.READY
PENDING: Final = State.PENDING
SEALED: Final = State.SEALED
FAILED: Final = State.FAILED
OPEN: Final = Phase.OPEN
STARTED: Final = Phase.STARTED
CLOSED: Final = Phase.CLOSED


class Notes(NamedTuple):
    """What a handler asked for and no commit has taken up yet."""

    written: bool = False
    ended: bool = False
    displaced: bool = False
    login: bool = False
    regenerate: bool = False


NOTHING_NOTED: Final = Notes()


class View:
    """A typed object that stands for one key: written back into the data if it changed."""

    __slots__ = ("_before", "_dump", "value")

    def __init__(self, value: Any, dump: Callable[[Any], Any]) -> None:
        self.value = value
        self._dump = dump
        self._before = dump(value)

    def write_back(self, key: str, data: dict[str, Any], combine: Callable[[str, Any, Any, Any], Any]) -> None:
        """Store the plain form of the object under its key, unless nobody changed it.

        Args:
            combine: Merges a key: the plain form before and now, and what a merge put into the data.
        """
        now = self._dump(self.value)
        if now != self._before:
            there = data.get(key, self._before)
            data[key] = now if there == self._before else combine(key, self._before, now, there)
            self._before = self._dump(self.value)  # an object of its own: a later merge changes what is in the data


class Rare(Generic[T]):
    """An attribute that few requests set.

    All of them share one dict, which is made when the first is set to something else than its default: as long as there
    is none (``session._rare is None``), a session was at most read and written.
    """

    __slots__ = ("_default", "_name")

    def __init__(self, default: T) -> None:
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type[Standing], name: str) -> None:
        self._name = name

    def __get__(self, session: Standing, owner: type[Standing] | None = None) -> T:
        if session._rare is None:
            return self._default
        value: T = session._rare.get(self._name, self._default)
        return value

    def __set__(self, session: Standing, value: T) -> None:
        if session._rare is None:
            if value is self._default:
                return
            session._rare = {}
        session._rare[self._name] = value


class Standing:
    """The state behind a `Session`."""

    __slots__ = (
        "_accessed",
        "_base",
        "_contents",
        "_data",
        "_engine",
        "_exposed",
        "_ids",
        "_key",
        "_line",
        "_out",
        "_phase",
        "_presented",
        "_rare",
        "_raw",
        "_record",
        "_state",
        "_subject",
        "_written",
        "context",
    )

    _anonymous_only = Rare(default=False)
    _displaced = Rare(default=False)
    _ended = Rare(default=False)
    _ends_read: Rare[int | None] = Rare(default=None)
    _error: Rare[Exception | None] = Rare(default=None)
    _forwarded = Rare(default=False)
    _grace_of: Rare[str | None] = Rare(default=None)
    _increments: Rare[dict[str, Any] | None] = Rare(default=None)
    _login = Rare(default=False)
    _old: Rare[Old | None] = Rare(default=None)
    _over = Rare(default=False)  # somebody else ended the session, and something written was dropped
    _regenerate = Rare(default=False)
    _reissue = Rare(default=False)
    _tried: Rare[Mapping[int, dict[str, Any]]] = Rare(default=MappingProxyType({}))
    _views: Rare[dict[str, View] | None] = Rare(default=None)
    _watched = Rare(default=False)  # a key of ``rotate_on`` was set

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rare: dict[str, Any] | None = None
        self._state: State = READY
        self._phase: Phase = OPEN
        self._accessed = self._written = self._exposed = False
        self._data: dict[str, Any] = {}
        self._contents: Contents | None = None
        self._record: Record | None = None
        self._base: bytes | None = None
        self._subject: str | None = None
        self._key: str | None = None
        self._raw: bytes | None = None
        self._ids: Sequence[str] = ()
        self._presented: Sequence[Header] = ()  # where the ids are, as long as nobody has looked for them
        self._out: str | None = None
        self._line: tuple[str, Header] | None = None  # the header for what is in `_out`, if it is written already
        self.context: Mapping[str, Any] | None = None

    def _read(self) -> None:
        self._accessed = True
        if self._state:
            self._engine.unseal(self)

    @property
    def _detached(self) -> bool:
        """Whether it was opened by its public id, with no client to hand a new id to."""
        return self._raw == b""

    def _unread(self) -> bool:
        return self._state is not READY

    def _refuse_to_read(self) -> NoReturn:
        raise SessionNotLoaded if self._state is PENDING else cast(Exception, self._error)

    def _write(self, *, new_id: bool = False) -> None:
        self._accessed = True
        if self._state:
            self._engine.unseal(self)
        if self._phase:
            self._refuse_late_write(new_id)
        if self._rare is not None and self._anonymous_only:
            raise StoreUnavailable("the session store did not answer; this request can read an anonymous session only")
        if self._contents is None:
            self._begin()
        self._written = True

    def _refuse_late_write(self, new_id: bool) -> None:
        if self._phase is CLOSED:
            raise SessionClosed("written after the application returned: nothing saves it any more")
        if self._over:
            raise SessionClosed("this session was ended by somebody else: nothing is saved into it any more")
        if self._detached and new_id:
            raise SessionClosed("a session that was opened by its public id cannot change it: nobody would be told")
        if new_id or self._ended:
            raise SessionClosed("a new id cannot be handed out any more: the response has started; do this before it")
        if self._key is None or not self._engine.is_server_side:
            raise SessionClosed(
                "written after the response started: the cookie can no longer be set. Write before the first byte, "
                "or create the session earlier in a server-side store"
            )

    def _notes(self) -> Notes:
        """Return what was asked for."""
        return Notes(self._written, self._ended, self._displaced, self._login, self._regenerate)

    def _take(self, notes: Notes) -> None:
        """Consider this done. Called before a store is waited for, so that what comes meanwhile is noted anew."""
        written, ended, displaced, login, regenerate = notes
        self._written &= not written
        self._ended &= not ended
        self._displaced &= not displaced
        self._login &= not login
        self._regenerate &= not regenerate

    def _note_again(self, notes: Notes) -> None:
        """Consider this not done after all: the commit failed."""
        written, ended, displaced, login, regenerate = notes
        self._written |= written
        self._ended |= ended
        self._displaced |= displaced
        self._login |= login
        self._regenerate |= regenerate

    def _forget(self) -> None:
        """Stand for no stored session any more: somebody ended it."""
        self._raw = self._key = self._record = self._base = self._contents = self._out = None
        self._data, self._subject = {}, None
        self._increments = self._views = None
        self._tried = {}
        self._login = self._regenerate = self._reissue = self._forwarded = self._written = self._exposed = False

    def _begin(self) -> None:
        """Start over with empty contents."""
        self._contents = Contents(self._engine.clock())
        self._data = self._contents.data
        self._subject = None
        self._over = self._login = self._regenerate = False
        self._increments = self._views = None
