"""Small records that a manager keeps in the store beside the sessions: marks, locks and tags.

They are ordinary records, written by `create` and version-checked `update` alone, under keys of their own: a digest
of what they are about. They belong to the store and not to one manager, as an index by subject does, so that what one
manager revokes holds for all that share the store, the command line included.

A not-before mark says that a login before that time is void. Whoever revokes writes it first and looks for sessions
then; whoever logs in writes the session first and looks for a mark then. So either the one sees the session or
the other sees the mark, whatever the order. Clocks of several hosts are taken to agree, as deadlines need anyway.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from limpet._core import conflict, tokens
from limpet._core.record import Record

if TYPE_CHECKING:
    from limpet._core.manager import Engine
    from limpet._core.protocols import Store

__all__ = ["EVERYONE", "FORMAT", "LIFE", "amend", "before", "forbid", "is_mark", "mark_key", "read", "tag_key", "write"]

FORMAT: Final = b"N"
"""The first byte of such a record, where a session has its serializer's and a renewed id ``F``."""
EVERYONE: Final = ("not-before",)
"""What the mark for all subjects is about; the mark for one has the subject behind it."""
LIFE: Final = 86_400_000
"""Milliseconds that a not-before mark is kept: longer than any request takes from its login to its response."""

_TAG: Final = b"limpet:mark:1"
_HEAD: Final = 5  # as in a session's payload: the format byte, four bytes of CRC-32

Facts: TypeAlias = dict[str, Any]


def mark_key(*about: str) -> str:
    """Return the store key of what a mark is about: each part with its length in front, so that no two meet."""
    digest = sha256(_TAG)
    for part in about:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def tag_key(name: str, value: str) -> str:
    """Return the store key of the list of subjects that have logged in with a tag."""
    return mark_key("tag", name, value)


def is_mark(payload: bytes) -> bool:
    """Tell such a record from a session's by its first byte."""
    return payload[:1] == FORMAT


def write(facts: Mapping[str, Any]) -> bytes:
    """Return the payload that says these facts."""
    import json

    body = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()
    return FORMAT + zlib.crc32(body).to_bytes(4, "big") + body


def read(payload: bytes) -> Facts | None:
    """Return the facts, or None for a payload that is damaged or something else."""
    import json

    body = payload[_HEAD:]
    if not is_mark(payload) or zlib.crc32(body) != int.from_bytes(payload[1:_HEAD], "big"):
        return None
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not all(type(facts.get(name, 0)) is int for name in ("before", "until")):
        return None
    subjects = facts.get("subjects", {})
    whole = isinstance(subjects, dict) and all(type(end) is int for end in subjects.values())
    return facts if whole else None


async def amend(
    engine: Engine, key: str, change: Callable[[Facts], tuple[Facts, int]], store: Store | None = None
) -> None:
    """Change the facts of a mark, whoever else changes it at the same time; a damaged one is written anew.

    Args:
        change: Takes the facts that are there ({} for none), returns new ones and when the store may forget them.
        store: Where the mark is kept; None: with the sessions.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    store = store or engine.server
    there: Record | None = await engine.call("load", store.load(key), key)
    while True:
        now = engine.clock()
        facts, expires = change((read(there.payload) or {}) if there else {})
        record = Record(tokens.new_version(), write(facts), now, expires)
        if there is None:
            step = partial(store.create, key, record, now=now)
        else:
            step = partial(store.update, key, record, there.version, now=now)
        outcome = await engine.write("create" if there is None else "update", step, key)
        if conflict.landed(outcome, record):
            return
        there = outcome if isinstance(outcome, Record) else None


async def forbid(engine: Engine, key: str, note: Callable[[Facts], None] | None = None) -> int:
    """Make every login before now void; returns the time of the mark, in milliseconds since 1970.

    Two marks of one manager are never of the same millisecond, and a login that this manager notes after a mark is
    later than it.

    Args:
        note: Looks at the facts that were there.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    now = engine.clock()
    mark = engine.void_until = max(now, engine.void_until + 1)

    def later(facts: Facts) -> tuple[Facts, int]:
        if note is not None:
            note(facts)
        return {**facts, "before": max(mark, facts.get("before", 0))}, now + LIFE

    await amend(engine, key, later)
    return mark


async def before(engine: Engine, key: str) -> int:
    """Return until when logins are void by this mark, in milliseconds since 1970; 0 if there is none.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    record = await engine.call("load", engine.server.load(key), key)
    facts = read(record.payload) if record is not None else None
    return 0 if facts is None else int(facts.get("before", 0))
