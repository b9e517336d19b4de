"""What can be plugged into the engine: stores, serializers, sealers, transports, a runtime.

To write a store, read `Store` and subclass `limpet.testing.StoreSuite` in a test. That is all.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from limpet._core.record import Record

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "ABSENT",
    "DONE",
    "Checks",
    "ClientStore",
    "Finds",
    "Header",
    "Immediate",
    "Imported",
    "Importer",
    "InOrder",
    "LoadsMany",
    "Outcome",
    "Pages",
    "Reader",
    "Replaces",
    "Runtime",
    "Scans",
    "Sealer",
    "Serializer",
    "Settles",
    "Signal",
    "Store",
    "Sweeps",
    "Tracer",
    "Transport",
    "members",
    "supports",
]

T = TypeVar("T")
P = TypeVar("P")


def supports(store: object, power: type[P]) -> TypeIs[P]:
    """Tell whether a store has one of the optional powers below.

    Unlike `isinstance` with a protocol, which since Python 3.12 sees only what the class itself defines, this counts
    what ``__getattr__`` answers: a wrapping store that hands its attributes on keeps the powers of the store behind.
    """
    return all(getattr(store, name, None) is not None for name in members(power))


def members(power: type) -> Sequence[str]:
    """Return the names of the methods and attributes that a power consists of."""
    return _MEMBERS.get(power) or [name for name in vars(power) if not name.startswith("_")]


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

Header: TypeAlias = tuple[bytes, bytes]
"""One raw header as ASGI carries it: lower-case name, value."""


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
        """Delete at most ``limit`` records with ``expires <= now``, each under that condition; return how many."""
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
class Scans(Protocol):
    """A store that can walk through all its records, for copying and statistics."""

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` keys and records from ``cursor`` on (None: the start), and the next cursor or None."""
        ...


@runtime_checkable
class Checks(Protocol):
    """A store that can say whether it works and what about its configuration is dangerous."""

    async def check(self) -> Sequence[str]:
        """Talk to the service; return one sentence for each thing an operator should mend.

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


Reader: TypeAlias = Callable[[Sequence[Header]], tuple[str, Record] | None]
"""Finds and unseals the one cookie of nearly every request, ``headers -> (token, record)``; None: look again."""


class Imported(NamedTuple):
    """An old session.

    Attributes:
        data: What it holds.
        subject: Whose it is; None: anonymous.
        at: When it was last signed or saved, in milliseconds since 1970; None: that cannot be told.
    """

    data: Mapping[str, Any]
    subject: str | None = None
    at: int | None = None


class Importer(Protocol):
    """Reads another library's sessions until a date, so that nobody is logged out by moving in. Never writes one."""

    origin: str
    """The library's name, for the event."""
    cookie: str
    """The name of its cookie."""
    until: int
    """When it stops reading, in milliseconds since 1970."""
    forget: bool
    """The old cookie is deleted once the session has moved."""

    def find(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values of its cookie that the client sent; nothing is decoded."""
        ...

    async def read(self, token: str, now: int) -> Imported | None:
        """Return the old session, or None for anything that the old library would not accept.

        Raises:
            StoreUnavailable: The old store does not answer.
        """
        ...

    def clear(self) -> Header:
        """Return the response header that makes the client forget the old cookie."""
        ...


class Serializer(Protocol):
    """Turns plain values into bytes and back, each with the type it went in with.

    Canonical: equal values give equal bytes in every process. Data only: decoding never runs code.
    """

    format: bytes
    """One byte that names the format, the first of every payload."""

    def encode(self, value: Any) -> bytes:
        """Return the bytes of one value.

        Raises:
            UnstorableValue: It would not come back as it went in; the error names where it is.
        """
        ...

    def decode(self, data: bytes) -> Any:
        """Return the value.

        Raises:
            ValueError: These bytes are not of this format.
        """
        ...


@runtime_checkable
class InOrder(Protocol):
    """A serializer that can keep the order of dicts. One without this power gives them back as `encode` orders them."""

    def encode_in_order(self, value: Any) -> bytes:
        """Return bytes that `Serializer.decode` reads, and that differ from those of `encode` by the order of dicts.

        They have the same length and the same bytes in another order: so a change is told from another order fast.

        Raises:
            UnstorableValue: As for `Serializer.encode`.
        """
        ...


class Sealer(Protocol):
    """Turns bytes into a token that nobody without the keys can make, and back."""

    def seal(self, data: bytes) -> str:
        """Return a URL-safe token of these bytes under the newest key."""
        ...

    def open(self, token: str) -> bytes | None:
        """Return the bytes, or None for anything that no listed key sealed for this name and purpose."""
        ...

    def current(self, token: str) -> bool:
        """Return whether the token is sealed under the newest key; otherwise it is issued again."""
        ...


class Transport(Protocol):
    """Carries the token between client and server: a cookie, or a header."""

    vary: bytes
    """The request header that the response depends on, for ``Vary``."""

    def read(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values that the client presented, well-formed or not, usually none or one."""
        ...

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the response header that hands out the token; ``max_age`` in seconds, None for a browser session."""
        ...

    def clear(self) -> Header | None:
        """Return the response header that makes the client forget the token, if there is one."""
        ...


class Signal(Protocol):
    """What one task waits for until another sets it."""

    def set(self) -> None:
        """Let the one who waits go on."""
        ...

    def wait(self) -> Awaitable[None]:
        """Wait until it is set."""
        ...


class Runtime(Protocol):
    """What the engine needs of an event loop, so that it needs to know none."""

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Await the call for so long at most, then raise `StoreUnavailable`."""
        ...

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold the only turn for this key in this process."""
        ...

    def signal(self) -> Signal:
        """Return a new signal, for tasks of one request that queue for its session."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so long, for a lock that another process holds; 0: let other tasks run."""
        ...

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run to the end what nobody waits for, such as an asynchronous event listener."""
        ...


class Tracer(Protocol):
    """Watches what the engine does: spans and durations. It is never given an id, a key or a value."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return what surrounds a ``load`` or ``commit`` of a session, or one call of the store (``store.update``)."""
        ...


_MEMBERS: Final[Mapping[type, tuple[str, ...]]] = {
    Checks: ("check",),
    ClientStore: ("seal", "unseal", "current"),
    Finds: ("find",),
    Immediate: ("immediate",),
    InOrder: ("encode_in_order",),
    LoadsMany: ("load_many",),
    Pages: ("find_page",),
    Replaces: ("replace",),
    Scans: ("scan",),
    Settles: ("settles_within",),
    Store: ("open", "close", "load", "create", "update", "touch", "delete"),
    Sweeps: ("sweep",),
}
