"""The state of one session during one request: `reading` fills it, `Session` notes in it, `commit` carries that out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from limpet._merge import add_up
from limpet._wire.marks import Gone
from limpet._wire.record import Contents, Found, Predecessor
from limpet.contract import Record

if TYPE_CHECKING:
    from limpet.protocols import Header, Imported, Importer

__all__ = [
    "ACCESSED",
    "AMBIGUOUS",
    "CLOSED",
    "CROSS_SITE",
    "DISPLACED",
    "EAGER",
    "ENDED",
    "EXPOSED",
    "FAILED",
    "FORWARDED",
    "FROZEN",
    "LAPSED",
    "LOGIN",
    "OFFERS",
    "OPEN",
    "OTHER_CLIENT",
    "OVER",
    "PASSIVE",
    "PENDING",
    "PREDECESSORS_ENDED",
    "READY",
    "READ_ONLY",
    "REGENERATE",
    "REFUSED",
    "REISSUE",
    "RESTYLED",
    "SEALED",
    "STARTED",
    "SUCCEEDS",
    "UNPROVEN",
    "WATCHED",
    "WRITTEN",
    "Leaving",
    "Legacy",
    "Loan",
    "Stored",
    "SessionState",
    "View",
]

FROZEN: Final = frozenset({str, int, float, bool, type(None), bytes, datetime, date, time, timedelta, Decimal, UUID})
"""A value of these types cannot change after it was handed out."""

# -- how far a session has been read (`SessionState.loaded`)

READY: Final = 0
"""There is something to look at, perhaps nothing stored."""
PENDING: Final = 1
"""A well-formed id came, and the store has not been asked."""
SEALED: Final = 2
"""The cookie holds the session, and has not been opened."""
FAILED: Final = 3
"""The store was asked and did not answer."""

# -- how far the response is (`SessionState.phase`), which decides what a write can still become

OPEN: Final = 0
"""Nothing was sent: everything is possible."""
STARTED: Final = 1
"""The headers were sent: no new cookie any more."""
CLOSED: Final = 2
"""The application has returned: nothing is saved any more."""

# -- what happened to it (`SessionState.flags`)

ACCESSED: Final = 1
"""A handler read or wrote the session; ``Vary: Cookie`` depends on it."""
WRITTEN: Final = 2
"""A key was set or deleted."""
EXPOSED: Final = 4
"""A container was handed out, which can be changed in place."""
LOGIN: Final = 8
"""`Session.login` was called."""
REGENERATE: Final = 16
"""`Session.regenerate` was called."""
ENDED: Final = 32
"""The handler ended the session; what it wrote since belongs to a new one."""
DISPLACED: Final = 64
"""A login of another subject takes the place of the session that was read."""
OVER: Final = 128
"""Somebody else ended or replaced the session: it is anonymous and stores nothing, until a login."""
REISSUE: Final = 256
"""The token goes out again: under the newest key, with a new Max-Age, or in place of a renewed id."""
FORWARDED: Final = 512
"""A renewed id led to the session that was read."""
READ_ONLY: Final = 1024
"""The store failed on reading and the policy asks for an anonymous session that cannot be written."""
WATCHED: Final = 2048
"""A key of ``SessionPolicy.rotate_on`` was set or deleted."""
PASSIVE: Final = 4096
"""This request does not count as activity."""
AMBIGUOUS: Final = 8192
"""The request presented two different live sessions."""
CROSS_SITE: Final = 16384
"""The request came from another site, without the cookie that it would have had from our own."""
EAGER: Final = 131072
"""The application asks for ids by itself: an empty session is kept, and a login keeps the id that it finds (Django)."""
PREDECESSORS_ENDED: Final = 32768
"""What the record names as its predecessors has ended: the next write leaves it out."""
RESTYLED: Final = 262144
"""The cookie goes out with other attributes than before, which is noted in the record."""
REFUSED: Final = 524288
"""The framework has answered with an error of the engine: what the request wrote is dropped, as after an exception."""
OTHER_CLIENT: Final = 1048576
"""The request comes from another client than the one that logged in, and the policy asks for a new login."""
SUCCEEDS: Final = 65536
"""A login was saved that takes the place of what its request presented: that ends when the response starts."""
OFFERS: Final = 2097152
"""A login was noted that the browser is to bind to its device, which the response asks of it."""
UNPROVEN: Final = 4194304
"""The session that was presented is bound to a device, and the request did not show that it comes from there."""
LAPSED: Final = 8388608
"""The proof of its device that the request came with has run out since."""


class Stored:
    """What was read from the store or the cookie, or written there last; replaced as a whole, never changed.

    Attributes:
        raw: The raw id; b"" for a session that was opened by its public id, and for one in its cookie.
        key: The store key; for a cookie session the key of the mark that would end it, or None.
        record: The record as the store has it; its payload is what changes are compared with.
        ends: The session's own deadline as it is stored, in milliseconds since 1970, or None.
    """

    __slots__ = ("ends", "key", "raw", "record")

    def __init__(self, raw: bytes, key: str | None, record: Record, ends: int | None = None) -> None:
        self.raw: bytes = raw
        self.key: str | None = key
        self.record: Record = record
        self.ends: int | None = ends

    def on(self, record: Record) -> Stored:
        """Return the same session as another record has it."""
        return Stored(self.raw, self.key, record, self.ends)

    def __repr__(self) -> str:
        """Name the session without its id."""
        return f"<Stored {self.key[:8] if self.key else 'cookie'}>"


class Leaving(NamedTuple):
    """The record under the old id, whose end waits until the new id goes out with the response.

    Attributes:
        stored: As it was read.
        how: ``"login"`` or ``"regenerate"``.
        merges: What others save into it meanwhile is merged into the new record.
        increments: What was added to numbers since it was read, by key, and is saved under the new id.
        fresh: An earlier save of this request made it, so that its id has not gone out either.
        saved: What was saved under a new id before a login moved it on: from which record, and under which.
    """

    stored: Stored
    how: str
    merges: bool
    increments: dict[str, Any]
    fresh: bool = False
    saved: tuple[Leaving, Stored | None] | None = None

    def named(self, increments: Mapping[str, Any]) -> Predecessor:
        """Return how the record of the new id names it, with what is added to numbers beside."""
        stored, base = self.stored, self.stored.record.payload if self.merges else None
        return Predecessor(stored.key or "", stored.record.version, self.how, base, self.increments).plus(increments)

    def learn(self, known: Sequence[list[Any]], there: Sequence[list[Any]]) -> None:
        """Note what others have added to numbers under the new id: the rows of its record say it, as known and now."""
        before, now = ({row[0]: row[4] for row in rows}.get(self.stored.key, {}) for rows in (known, there))
        add_up(self.increments, {key: total - before.get(key, 0) for key, total in now.items()})

    def __repr__(self) -> str:
        """Name the session without its id."""
        return f"<Leaving {self.stored!r}>"


class View:
    """A typed object that stands for one key.

    Attributes:
        value: The object.
        dump: Returns the plain form of the object, which is what is stored.
        before: The plain form when it was last written into the data.
    """

    __slots__ = ("before", "dump", "value")

    def __init__(self, value: Any, dump: Callable[[Any], Any]) -> None:
        self.value = value
        self.dump = dump
        self.before = dump(value)

    def copy(self) -> View:
        """Return another one of the same object, whose `before` can be replaced."""  # `copy.copy` needs a `__dict__`
        copied = View(self.value, self.dump)
        copied.before = self.before
        return copied


class Loan:
    """A container of the application that a merge replaced in the data by one of the engine's own.

    The application may still hold and change it: what it adds is merged in when the session is saved.

    Attributes:
        value: The application's object, which the engine never changes.
        before: Its encoding when it was replaced.
        nested: It lies inside of another container, so that a change to it cannot be carried over and is an error.
    """

    __slots__ = ("before", "nested", "value")

    def __init__(self, value: Any, before: bytes, nested: bool) -> None:
        self.value = value
        self.before = before
        self.nested = nested

    def copy(self) -> Loan:
        """Return another one of the same object, whose `before` can be replaced."""
        return Loan(self.value, self.before, self.nested)


class Legacy:
    """The session of another library that a request brought.

    Attributes:
        found: The importers that found a cookie of theirs, each with its values.
        source: The importer whose session was taken over.
        token: The value of its cookie.
        draft: The contents that it became; a session that holds others was begun anew.
        key: The store key of the note that says that it was taken; None: none is kept, or it was not looked for.
        how: What the session that took its place came by: ``"import"``, ``"login"`` or ``"regenerate"``; that is noted
            when the response starts. None: there is nothing to note.
        saved: That session was saved before, so that what it holds was acknowledged.
        increments: What was added to numbers since the old session was read, by key.
        imported: What it held.
        base: What was taken over of it, encoded.
        left_out: Keys whose values cannot be stored.
        noted: The new session is to be written.
        dropped: The session was ended: the old cookie is deleted.
    """

    __slots__ = (
        "base",
        "draft",
        "dropped",
        "found",
        "how",
        "imported",
        "increments",
        "key",
        "left_out",
        "noted",
        "saved",
        "source",
        "token",
    )

    def __init__(self, found: Sequence[tuple[Importer, Sequence[str]]]) -> None:
        self.found: Sequence[tuple[Importer, Sequence[str]]] = found
        self.source: Importer | None = None
        self.token: str = ""
        self.draft: Contents | None = None
        self.key: str | None = None
        self.how: str | None = None
        self.saved: bool = False
        self.increments: dict[str, Any] = {}
        self.imported: Imported | None = None
        self.base: bytes = b""
        self.left_out: tuple[str, ...] = ()
        self.noted: bool = False
        self.dropped: bool = False


class SessionState:
    """Everything that is known of one session in one request.

    Attributes:
        loaded: How far it has been read: `READY`, `PENDING`, `SEALED` or `FAILED`.
        phase: How far the response is: `OPEN`, `STARTED` or `CLOSED`.
        flags: One bit for each thing that happened.
        stored: What was read or written last; None: nothing is stored.
        draft: The contents as the handler has them; None before the first write of a new session.
        data: The handler's mapping: ``draft.data``, or an empty dict.
        subject: Whose session it is; None: anonymous.
        ids: The distinct tokens that the request presented.
        presented: The headers of the request, as long as its cookie was not looked for; else empty.
        headers: The headers of the request.
        increments: What `Session.increment` added, by key; None: nothing.
        views: The typed objects that stand for keys; None: none.
        loans: Containers of the application that a merge replaced, with their keys; None: none.
        owned: Containers that the engine decoded and handed out, by identity; None: none yet.
        assigned: Keys whose containers need not be looked through: they came from the handler, or are in ``owned``.
        tried: Versions of writes that may have landed, with the increments each carried; None: none.
        leaving: The old id of a change that `Session.save` began; None: none.
        replaced: What a saved cookie, which has not gone out, takes the place of, if `SUCCEEDS`; None: only a rival.
        created: The key of a record that was made in this request and whose id has not gone out; None: none.
        rivals: The live sessions that were presented at once, or the one that its device did not vouch for; else empty.
        gone: The tombstone that was found under the presented id; None: there was none.
        was: The key and the subject of the session that has ended, for events; None where it is not known.
        met_alive: The request met its session alive, or began it.
        legacy: The session of another library; None: there was no cookie of one.
        error: Why the store could not be read; None: it could.
        position: The revocations that this process knew of when the login was noted; see `limpet._core.positions`.
        left: The flags that a login which was noted has left behind.
        login_at: When the login was noted, on this host's monotonic clock, in nanoseconds.
        out: The token that the response hands out; "": it takes the token back; None: neither.
        line: The response header for ``out`` where it is written already; None: it is not.
        clears: The response deletes the cookie under other paths and domains too.
        context: What is known of the client, for `DevicePolicy`; None: nothing is noted.
    """

    __slots__ = (
        "assigned",
        "clears",
        "context",
        "created",
        "data",
        "draft",
        "error",
        "flags",
        "gone",
        "headers",
        "ids",
        "increments",
        "leaving",
        "left",
        "legacy",
        "line",
        "loaded",
        "loans",
        "login_at",
        "met_alive",
        "out",
        "owned",
        "phase",
        "position",
        "presented",
        "replaced",
        "rivals",
        "stored",
        "subject",
        "tried",
        "views",
        "was",
    )

    def __init__(self) -> None:
        self.loaded: int = READY
        self.phase: int = OPEN
        self.flags: int = 0
        self.stored: Stored | None = None
        self.draft: Contents | None = None
        self.data: dict[str, Any] = {}
        self.subject: str | None = None
        self.ids: Sequence[str] = ()
        self.presented: Sequence[Header] = ()
        self.headers: Sequence[Header] = ()
        self.increments: dict[str, Any] | None = None
        self.views: dict[str, View] | None = None
        self.loans: list[tuple[str, Loan]] | None = None
        self.owned: dict[int, Any] | None = None
        self.assigned: set[str] | None = None
        self.tried: dict[int, dict[str, Any]] | None = None
        self.leaving: Leaving | None = None
        self.replaced: Stored | None = None
        self.created: str | None = None
        self.rivals: Sequence[Found] = ()
        self.gone: Gone | None = None
        self.was: tuple[str | None, str | None] = None, None
        self.met_alive: bool = False
        self.legacy: Legacy | None = None
        self.error: Exception | None = None
        self.position: int = 0
        self.left: int = 0
        self.login_at: int = 0
        self.out: str | None = None
        self.line: Header | None = None
        self.clears: bool = False
        self.context: Mapping[str, Any] | None = None
