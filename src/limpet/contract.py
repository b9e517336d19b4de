"""The contract of stores: what they keep, what they answer, and what some can do beside that.

To write a store, read `Store` and subclass `limpet.testing.StoreSuite` in a test. That is all.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "ABSENT",
    "DONE",
    "NEVER",
    "Checks",
    "ClientStore",
    "Counts",
    "Finds",
    "Immediate",
    "LoadsMany",
    "Outcome",
    "Pages",
    "Record",
    "Replaces",
    "Scans",
    "Settles",
    "Store",
    "Sweeps",
    "SweepsInParts",
    "Urgent",
    "make_record",
    "members",
    "supports",
]

P = TypeVar("P")
NEVER: Final = 2**63 - 1
"""The time of a deadline that does not exist, in milliseconds; the largest signed 64-bit integer."""


class Record(NamedTuple):
    """One session as a store keeps it.

    Attributes:
        version: A random signed 64-bit token, chosen anew by the writer for every attempt.
        payload: Opaque bytes, returned as given.
        accessed: When a request last used the session, in milliseconds since 1970.
        expires: When the store may forget the record, in milliseconds since 1970, or `NEVER`.
        subject: Whose session it is, or None; what an index by subject is kept over.
    """

    version: int
    payload: bytes
    accessed: int
    expires: int = NEVER
    subject: str | None = None

    def __repr__(self) -> str:
        """Say nothing of what is in it."""
        return f"<Record of {len(self.payload)} bytes>"


make_record: Callable[[tuple[int, bytes, int, int, str | None]], Record] = partial(tuple.__new__, Record)
"""Makes a `Record` of a tuple of its fields: in half the time that the class takes to bind five arguments."""


class _Outcome(enum.Enum):
    DONE = "done"
    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


DONE: Final = _Outcome.DONE
"""The write has happened, for good."""
ABSENT: Final = _Outcome.ABSENT
"""There is no record under that key; nothing was written."""

Outcome: TypeAlias = Literal[_Outcome.DONE, _Outcome.ABSENT] | Record
"""What a conditional write returns: `DONE`, `ABSENT`, or the record that stands in its way."""


@runtime_checkable
class Store(Protocol):
    """Keeps records. Bytes in, bytes out.

    A store has no clock, no crypto and no idea what a session is. Keys are 64 lower-case
    hexadecimal digits (a SHA-256 digest); a version is a signed 64-bit integer that the caller
    picks at random for every attempt. There is no upsert: a record comes into being by `create`
    alone, so that a session which was ended cannot be written back to life.

    Each call is atomic against every other call on the same key, from any task, thread or process
    that uses the same storage. It opens what it needs on first use.

    Absence is an answer, not an error. A service that fails, refuses or does not answer raises
    `StoreUnavailable`; a write that did not happen is never reported as `DONE`. When `DONE` is
    returned the write is as durable as the store promises in its documentation.

    ``now`` is the caller's time in milliseconds since 1970. A store that expires records by a clock of its own
    (Redis) turns ``expires - now`` into a relative life. A store may forget a record from ``expires`` on
    and need not: the manager judges every deadline itself.
    """

    async def open(self) -> None:
        """Open files and connections and create what is missing. Calling it again does nothing."""
        ...

    async def close(self) -> None:
        """Finish writes under way and release everything. A later call opens the store again."""
        ...

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        ...

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there (never `ABSENT`)."""
        ...

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``.

        Return `DONE`; or, in the same round trip, `ABSENT` or the record that is there now, as
        committed and not as some older snapshot shows it. ``accessed`` and ``expires`` never move back: the later of
        the stored
        and the given time is kept.
        """
        ...

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward, never back; version and payload stay. Return `DONE`, `ABSENT`."""
        ...

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it.

        Return `DONE`; `ABSENT` when there was none, which is fine; or the record that is there now and was kept
        because its version is another.
        """
        ...


@runtime_checkable
class Settles(Protocol):
    """A store that keeps its own time, so that the manager needs no timer for each read."""

    @property
    def settles_within(self) -> float | None:
        """Seconds after which ``load`` and ``touch`` have answered or raised `StoreUnavailable`; None: no such time."""
        ...


@runtime_checkable
class Sweeps(Protocol):
    """A store that does not forget expired records by itself."""

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most ``limit`` records with ``expires <= now``, each under that condition; return how many.

        Fewer than ``limit`` says that there are no more, unless `SweepsInParts` says otherwise.
        """
        ...


@runtime_checkable
class SweepsInParts(Protocol):
    """A store that looks at some of its records in each sweep, so that no call grows with their number."""

    @property
    def sweep_goes_on(self) -> bool:
        """Whether the last `Sweeps.sweep` has left records out, at which the next one will look."""
        ...


@runtime_checkable
class Finds(Protocol):
    """A store that knows the records of one subject without looking at the others."""

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the keys and records of that subject, in no particular order; stale index entries are dropped."""
        ...


@runtime_checkable
class Pages(Protocol):
    """A store that hands out the records of one subject a page at a time, so that no call grows with their number."""

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return at most about ``limit`` keys and records of that subject from ``cursor`` on, and the next cursor.

        The work of a call grows with ``limit`` and not with the number of records. A page may have fewer, and up to
        128 more where a server keeps a short list as a whole. A record that is there from the first to the last page
        is returned at least once. ``None`` as a cursor is the start, and as the next one the end.
        """
        ...


@runtime_checkable
class LoadsMany(Protocol):
    """A store that reads several records in one round trip."""

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys in their order, None for each that is absent."""
        ...


@runtime_checkable
class Replaces(Protocol):
    """A store that can shorten the life of a record, for what is left behind when an id ends."""

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `Store.update` does, and take ``accessed`` and ``expires`` as given, even if they are earlier."""
        ...


@runtime_checkable
class Urgent(Protocol):
    """A store that can be full, and takes even then what ends sessions; its `Replaces.replace` does so too."""

    async def create_urgently(self, key: str, record: Record, *, now: int) -> Outcome:
        """Do what `Store.create` does, also while the store is full: for small records that end sessions."""
        ...


@runtime_checkable
class Scans(Protocol):
    """A store that can walk through all its records, for copying and statistics."""

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` keys and records from ``cursor`` on (None: the start), and the next cursor or None."""
        ...


@runtime_checkable
class Counts(Protocol):
    """A store that knows without walking through them about how many records it has."""

    async def count(self) -> int:
        """Return about how many records there are, for progress and gauges: marks and what has expired are counted too.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """A store that can say whether it works and what about its configuration is dangerous."""

    async def check(self) -> Sequence[str]:
        """Talk to the service; return one sentence for each thing an operator should fix.

        Raises:
            StoreUnavailable: It does not work at all.
        """
        ...


@runtime_checkable
class Immediate(Protocol):
    """Marks a store whose calls never wait, so that no time limit is set around them."""

    immediate: Literal[True]


@runtime_checkable
class ClientStore(Protocol):
    """Keeps the whole session in the client's cookie. Not a `Store`: nothing can be merged or ended by the server."""

    def seal(self, record: Record) -> str:
        """Return the cookie value that holds the record."""
        ...

    def unseal(self, token: str) -> Record | None:
        """Return the record, or None for anything that this manager did not seal."""
        ...

    def current(self, token: str) -> bool:
        """Return whether the token is sealed under the newest key; otherwise it is issued again."""
        ...


def supports(store: object, power: type[P]) -> TypeIs[P]:
    """Tell whether a store has one of the optional powers below.

    Unlike `isinstance` with a protocol, which since Python 3.12 sees only what the class itself defines, this counts
    what ``__getattr__`` answers: a wrapping store that hands its attributes on keeps the powers of the store behind.
    """
    return all(getattr(store, name, None) is not None for name in members(power))


def members(power: type) -> Sequence[str]:
    """Return the names of the methods and attributes that a power consists of."""
    return _MEMBERS.get(power) or [name for name in vars(power) if not name.startswith("_")]


_MEMBERS: Final[Mapping[type, tuple[str, ...]]] = {
    Checks: ("check",),
    ClientStore: ("seal", "unseal", "current"),
    Counts: ("count",),
    Finds: ("find",),
    Immediate: ("immediate",),
    LoadsMany: ("load_many",),
    Pages: ("find_page",),
    Replaces: ("replace",),
    Scans: ("scan",),
    Settles: ("settles_within",),
    Store: ("open", "close", "load", "create", "update", "touch", "delete"),
    Sweeps: ("sweep",),
    SweepsInParts: ("sweep_goes_on",),
    Urgent: ("create_urgently",),
}
