"""What the subcommands that look into a store share: opening it, walking through it, saying what a record is.

They need neither the application's secret nor its policy. Whether a session is live is judged by what the store was
given as its end, which is at most a minute later than the session's idle or absolute deadline, and by the deadline
that ``expire_in`` gave it, which the payload holds. What ``encrypt=True`` has sealed
stays sealed: whose it is and its times are known, its keys, tags and device are not.
"""

from __future__ import annotations

import itertools
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, TypeAlias

import click

from limpet import SessionManager, _moments, environment
from limpet._detached import is_key
from limpet._wire import forward, marks
from limpet._wire.facts import proven
from limpet._wire.record import SEALED, Contents, CorruptPayload, unpack
from limpet.cli._files import missing_file
from limpet.cli.group import Failure
from limpet.cli.options import operator
from limpet.contract import NEVER, ClientStore, Immediate, Record, Scans, Store, supports
from limpet.devices import summary
from limpet.protocols import Serializer
from limpet.serializers.json import JSONSerializer
from limpet.serializers.msgpack import MsgpackSerializer
from limpet.stores import open_store

__all__ = [
    "Kind",
    "PAGE",
    "SEALED_NOTE",
    "contents_of",
    "facts",
    "is_live",
    "is_revoked",
    "is_sealed",
    "kind_of",
    "looked_into",
    "milliseconds",
    "moment",
    "not_found",
    "pages",
    "progress",
    "require",
    "resolve",
    "server_store",
    "stands",
]

Kind: TypeAlias = Literal["session", "renewed", "mark", "encrypted", "unreadable"]

PAGE: Final = 500
"""Records that one step of a long walk takes."""

SEALED_NOTE: Final = "encrypted by encrypt=True: this command has no key, and cannot read keys, tags and device"
"""What is said of sessions that only the application can open."""

_SHORT: Final = re.compile("[0-9a-f]{8,63}")  # the beginning of a public id: logs and audit lines show eight digits
_SERIALIZERS: Final[tuple[Serializer, ...]] = (MsgpackSerializer(), JSONSerializer())


def milliseconds() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def server_store(url: str | None, *, exists: bool = True) -> Store:
    """Return the store that was named, or that the environment names.

    Raises:
        Failure: The sessions live in cookies or in the memory of a process, or there is nothing at that place yet.
    """
    kept = open_store(url or environment.store_from_environment(environment.is_development(None)))
    if supports(kept, ClientStore):
        raise Failure("these sessions are kept in the browsers' cookies: there is nothing on the server to look into")
    require(kept, exists=exists)
    return kept


def require(store: object, *, exists: bool = True) -> None:
    """Refuse a store in which this process cannot find what the application has written.

    Args:
        store: The store.
        exists: It must be there; else it may still have to be made.

    Raises:
        Failure: It is in the memory of a process, or there is nothing at that place yet.
    """
    if supports(store, Immediate):
        raise Failure(
            "a store in memory belongs to one process, and this command is another one: it cannot see the sessions "
            "of your application. Name a store that processes share, such as sqlite:///sessions.db"
        )
    missing = missing_file(store) if exists else None
    if missing is not None:
        raise Failure(
            f"there is nothing at {missing}: name the store that your application uses, with --store or LIMPET_STORE"
        )


@asynccontextmanager
async def looked_into(url: str | None) -> AsyncIterator[SessionManager]:
    """Open the store under a manager that reads what the application writes into it, and close it."""
    store = server_store(url)
    manager = operator(store)
    try:
        manager.engine.use_serializer(await _serializer_of(store))
        yield manager
    finally:
        await manager.shutdown()


async def _serializer_of(store: Store) -> Serializer:
    if supports(store, Scans):
        page, _ = await store.scan(None, 50)
        for _, record in page:
            if (serializer := _serializer_for(record)) is not None:
                return serializer
    return _SERIALIZERS[0]


def _serializer_for(record: Record) -> Serializer | None:
    return next((each for each in _SERIALIZERS if record.payload[:1] == each.format), None)


async def pages(manager: SessionManager) -> AsyncIterator[Sequence[tuple[str, Record]]]:
    """Walk through all records, page by page.

    Raises:
        Failure: The store cannot do that.
    """
    store: Any = manager.kept
    if not supports(store, Scans):
        raise Failure(f"{type(store).__name__} cannot walk through its sessions: give --subject, or a public id")
    cursor = None
    while True:
        page, cursor = await manager.engine.storage.call("scan", store.scan(cursor, PAGE))
        yield page
        if cursor is None:
            return


async def resolve(manager: SessionManager, given: Sequence[str], *, show: bool) -> dict[str, str]:
    """Return the whole public id for each that was given by its first digits; what names no session is left out.

    The store is walked through once, if any is not whole.

    Raises:
        Failure: Several sessions begin with these digits; the message names them.
    """
    whole = {one: one for one in given if not _SHORT.fullmatch(one)}
    short = [one for one in given if one not in whole]
    found: dict[str, set[str]] = {one: set() for one in short}
    if short:
        with progress("looking", show=show) as bar:
            async for page in pages(manager):
                bar.update(len(page))
                for key, record in page:
                    for one in short:
                        if key.startswith(one) and kind_of(record) != "mark":
                            found[one].add(key)
    for one, keys in found.items():
        if len(keys) > 1:
            raise Failure(f"{len(keys)} sessions begin with {one}: give one of {', '.join(sorted(keys))}")
        if keys:
            whole[one] = keys.pop()
    return whole


def not_found(given: Sequence[str]) -> str:
    """Return what to say of public ids that name no session: of one that is none, also what is accepted."""
    names = ", ".join(given)
    if all(is_key(one.lower()) or _SHORT.fullmatch(one.lower()) for one in given):
        return f"there is no session {names}: see `limpet list` for those there are"
    return (
        f"there is no session {names}: a public id has 64 hexadecimal digits, of which the first eight or more are "
        "enough; `limpet list` shows them, and `limpet list --subject` those of one user"
    )


def is_sealed(record: Record) -> bool:
    """Tell a session that is encrypted at rest, and needs the application's keys, from one that cannot be read."""
    return record.payload[:1] == SEALED


def contents_of(record: Record) -> Contents | None:
    """Return what a record says, or None if this command cannot read it."""
    serializer = _serializer_for(record)
    try:
        return None if serializer is None else unpack(record.payload, serializer)
    except CorruptPayload:
        return None


def is_live(record: Record, now: int) -> bool:
    """Tell whether a session is over neither by the store's deadline nor, if it can be read, by its own.

    It may have been revoked all the same: see `is_revoked`.
    """
    if record.expires <= now:
        return False
    contents = contents_of(record)
    return contents is None or contents.ends is None or contents.ends > now


async def stands(manager: SessionManager, record: Record, now: int) -> bool:
    """Tell whether a request would find the session alive, as far as this command can read it.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    return is_live(record, now) and not await is_revoked(manager, record)


async def is_revoked(manager: SessionManager, record: Record) -> bool:
    """Tell whether a session has ended by a revocation, and only its record is there still.

    Of a session that is encrypted at rest that cannot be told.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    positions = manager.engine.storage.positions
    await positions.current()
    contents = contents_of(record)
    return contents is not None and not await positions.holds(contents, record.subject)


def kind_of(record: Record) -> Kind:
    """Return what a record is: a session, a renewed id that leads to one, or a mark (a lock, a revocation, a tag).

    Sealed, a session and a renewed id cannot be told apart.
    """
    if marks.is_mark(record.payload):
        return "mark"
    if is_sealed(record):
        return "encrypted"
    if forward.is_forward(record.payload):
        return "renewed"
    return "unreadable" if contents_of(record) is None else "session"


def facts(key: str, record: Record) -> dict[str, Any]:
    """Return what may be shown of a session: no value, and nothing that could be sent as a cookie."""
    contents = contents_of(record)
    ends = record.expires if contents is None or contents.ends is None else min(record.expires, contents.ends)
    known: dict[str, Any] = {
        "public_id": key,
        "subject": record.subject,
        "last_seen": moment(record.accessed),
        "expires": None if ends == NEVER else moment(ends),
        "bytes": len(record.payload),
    }
    if is_sealed(record):
        known["encrypted"] = True
    if contents is not None:
        proof = proven(contents.bound)
        known |= {
            "created": moment(contents.created),
            "authenticated": None if contents.authenticated is None else moment(contents.authenticated),
            "remember": contents.remember,
            "device": summary(contents.device.get("agent", "")),
            "address": contents.device.get("address"),
            "tags": dict(contents.tags),
            "acr": contents.level,
            "amr": list(contents.methods),
            "bound": proof is not None,
            "algorithm": None if proof is None else proof[0],
            "proven": None if proof is None else moment(proof[1]),
            "keys": sorted(contents.data),
        }
    return known


def moment(at: int) -> str:
    """Return a time as RFC 3339 says it, in UTC."""
    return _moments.moment(at).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def progress(label: str, *, show: bool, total: int | None = None) -> Iterator[Any]:
    """Show a bar on the terminal while long work runs; its ``update(n)`` says that n more are done.

    Args:
        label: What is done.
        show: Show it, if there is a terminal.
        total: About how many there are, so that the end can be estimated; None: nobody knows.
    """
    if not show or not sys.stderr.isatty():
        yield _Silent()
        return
    if total is None:
        with click.progressbar(itertools.count(), label=label, show_pos=True, file=sys.stderr) as endless:
            yield endless
        return
    with click.progressbar(length=total, label=label, show_pos=True, show_eta=True, file=sys.stderr) as bar:
        yield bar


class _Silent:
    """A progress bar that shows nothing."""

    def update(self, steps: int) -> None:
        """Show nothing."""
