"""Ends a session wherever it has gone meanwhile, by a renewal or by a new id; tells whether it was this that did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limpet._core.state import SessionState, Stored
from limpet._listing import decoded
from limpet._wire import forward, marks, moved
from limpet._wire.marks import Gone
from limpet._wire.record import Found, Predecessor
from limpet.contract import Record
from limpet.errors import StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["end", "end_predecessors", "find_presented", "is_current", "successor"]


async def end(
    engine: Context, stored: Stored, how: str, successor: str | None, *, alone: bool = False
) -> tuple[Gone | None, bool]:
    """End a session, whatever version of it is there, and wherever a renewal or a new id has moved it.

    Args:
        alone: What it was to take the place of stays: its id may not have gone out, and a browser has that one.

    Returns:
        The tombstone under the key that was read, or None if there is none; and whether it was this that ended it.

    Raises:
        StoreUnavailable: The store does not answer, or others wrote so often meanwhile that it could not be ended.
    """
    passed: list[tuple[str, Record, str]] = []
    if not alone:
        await end_predecessors(engine, stored.key or "", stored.record, how)
    first, ended = await _follow(engine, stored, how, successor, passed)
    for key, there, after in passed:  # last: whoever reads one of these may take it for over, and all of it is
        grave = marks.tombstone(how, engine.clock(), successor, [after])
        if await engine.storage.replace(key, grave, there.version) is None and key == stored.key:
            first = Gone(key, grave, how, successor)
    return first, ended


async def _follow(
    engine: Context, stored: Stored, how: str, successor: str | None, passed: list[tuple[str, Record, str]]
) -> tuple[Gone | None, bool]:
    """Do what `end` does where the session is now; note the forwards that led there, and to which key each."""
    raw, key, there = stored.raw, stored.key or "", stored.record
    first: Gone | None = None
    for _ in range(engine.policy.merge_attempts):
        grave = marks.tombstone(how, engine.clock(), successor)
        if not marks.is_mark(there.payload) and not forward.is_forward(there.payload):
            obstacle = await engine.storage.replace(key, grave, there.version)
            if obstacle is None:
                return first or Gone(key, grave, how, successor), True
            if not isinstance(obstacle, Record):
                return first, False
            there = obstacle
        if marks.is_mark(there.payload):
            gone = marks.ended(key, there, engine.clock(), met_alive=True)
            first = first or gone
            if gone is None or gone.goes_on is None:
                return first, False
            raw, after = b"", gone.goes_on
        elif forward.is_forward(there.payload):
            target = forward.open_forward(there.payload, raw, key) if raw else None
            raw, after = b"" if target is None else target.raw, forward.successor(there.payload)
            passed.append((key, there, after))
        else:
            continue
        found = None if after == successor else await engine.storage.load(after)
        if found is None:  # nothing is left, or another process has ended it for the same successor
            return first, False
        key, there = after, found
    raise StoreUnavailable("the session was written to so often meanwhile that it could not be ended: try again")


async def end_predecessors(engine: Context, key: str, there: Record, how: str) -> None:
    """End first what a change of id that could not be finished was to end: once this is gone, nobody knows of it.

    A revocation leaves what is not of the same subject: it may be all that a browser has.
    """
    contents = decoded(engine, key, there).contents
    for named in map(Predecessor.of, () if contents is None else contents.predecessors):
        record = await engine.storage.load(named.key)
        found = await engine.storage.judge_if_any(b"", named.key, record) if how == "revoke" else None
        others = isinstance(found, Found) and found.record.subject != there.subject
        if record is not None and not marks.is_mark(record.payload) and not others:
            await end(engine, Stored(b"", named.key, record), named.how, key)


async def find_presented(
    engine: Context, state: SessionState, met: Sequence[Stored]
) -> tuple[list[Stored], list[Stored]]:
    """Look up the ids that a request presented, and are of none that it has met, as a logout ends them too.

    Returns:
        Those that are alive by this host's clock, and those that are over by it, but maybe not by that of another.
    """
    alive, over, known = list[Stored](), list[Stored](), {each.key for each in met}
    for raw in filter(None, map(engine.ids.verify, state.ids)):
        if (key := engine.ids.key_of(raw)) in known:
            continue
        found = await engine.storage.locate(raw, key)
        there = await engine.storage.load(key) if found is None else found.record
        if isinstance(found, Found):
            alive += [] if found.key in known else [Stored(found.raw, found.key, found.record)]
        elif there is not None and marks.is_mark(there.payload):
            state.gone = found or marks.ended(key, there, engine.clock(), met_alive=True) or state.gone
        elif there is not None and (forward.is_forward(there.payload) or decoded(engine, key, there).contents):
            over.append(Stored(raw, key, there))
    return alive, over


async def successor(engine: Context, gone: Gone | None) -> Stored | None:
    """Return the session that goes on under another id than the one that was presented, if there is one."""
    key = None if gone is None else gone.goes_on
    while key is not None:
        there = await engine.storage.load(key)
        if there is None:
            return None
        after = moved.led_to(key, there)
        if after is None:
            return None if marks.is_mark(there.payload) else Stored(b"", key, there)
        key = after
    return None


async def is_current(engine: Context, key: str) -> bool:
    """Look whether an id still is its session's: a touch cannot tell, since a tombstone counts as a record.

    The cookie of an id that a login, a logout or a renewal has ended meanwhile would take the place of theirs in the
    browser.
    """
    try:
        record = await engine.storage.load(key)
    except StoreUnavailable:
        return False
    return record is not None and not marks.is_mark(record.payload) and not forward.is_forward(record.payload)
