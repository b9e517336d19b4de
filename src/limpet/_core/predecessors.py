"""A change of id that its process could not finish: any process that reads the new record does.

The record of a new id names what it takes the place of (`limpet._wire.record.Predecessor`) from its first write on.
Nearly always that has ended when somebody comes with the new id; the next write then leaves the name out. Where the
process died, or lost the store, what others saved under the old id meanwhile is merged first, and then it is ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from limpet._core import conflict, ending
from limpet._core.attempt import Attempt
from limpet._core.notes import adopt
from limpet._core.plan import NO_PLAN
from limpet._core.state import LOGIN, SessionState, Stored
from limpet._wire import marks, tokens
from limpet._wire.marks import Gone
from limpet._wire.record import Found, Predecessor, without_predecessors
from limpet.errors import StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["end"]


async def end(engine: Context, found: Found, *, went_out: bool = True) -> Found | Gone | None:
    """End what a record names as its predecessors, where the process that was to do so could not.

    What others saved into them meanwhile is merged into the session first.

    Args:
        went_out: A browser came with this id; else the request that made it may be running, and ends them itself.

    Returns:
        The session as it is now, or what was found in its place.

    Raises:
        StoreUnavailable: The store does not answer; the next request tries again.
    """
    dead: set[str] = set()
    for _ in range(engine.policy.merge_attempts):
        living = await _living(engine, [row for row in found.contents.predecessors if row[0] not in dead], found.key)
        if living is None:
            return found
        named, there = living
        if isinstance(there, Gone):  # a logout was first
            return (await ending.end(engine, Stored(found.raw, found.key, found.record), "logout", None))[0]
        if not went_out:
            return found
        now = engine.clock()
        if named.base is None or there.record.version == named.version:
            grave = marks.tombstone(named.how, now, found.key, heir=named.base is not None)
            if await engine.storage.replace(there.key, grave, there.record.version) is None:
                dead.add(named.key)
            continue
        state = SessionState()
        adopt(state, found)
        attempt = Attempt(engine, state, NO_PLAN, now)
        attempt.repairs, attempt.increments = True, dict(named.increments)
        attempt.flags |= LOGIN if named.how == "login" else 0  # what that has noted is its own
        conflict.merge_in(attempt, there, named.base)
        base = without_predecessors(there.record.payload, engine.serializer)
        now_named = named._replace(version=there.record.version, base=base).row()
        rows = attempt.draft.predecessors
        attempt.draft.predecessors = [now_named if row[0] == named.key else row for row in rows]
        record = found.record._replace(version=tokens.new_version(), payload=engine.pack(state))
        obstacle = await engine.storage.update(found.key, record, found.record.version)
        if obstacle is None:
            conflict.tell(attempt)
            found = found._replace(record=record, contents=attempt.draft)
            continue
        again = await engine.storage.judge_if_any(found.raw, found.key, obstacle)
        if not isinstance(again, Found):
            return again
        found = again
    raise StoreUnavailable("the session was written to so often meanwhile that its change of id could not be finished")


async def _living(engine: Context, rows: Sequence[list[Any]], own: str) -> tuple[Predecessor, Found | Gone] | None:
    """Return the first of these predecessors that has not ended; one that is over by this host's clock alone ends.

    Or that a logout ended before its id could be changed, whoever has logged in since: that goes for the new one.
    """
    named = [Predecessor.of(row) for row in rows]
    if not named:
        return None
    for each, record in zip(named, await engine.storage.load_many([each.key for each in named]), strict=True):
        there = await engine.storage.judge_if_any(b"", each.key, record)
        if isinstance(there, Gone) and each.how == "regenerate":
            if there.is_final or (there.how == "login" and not there.heir and there.goes_on != own):
                return each, there
        elif isinstance(there, Found):
            return each, there
        if record is not None and there is None and not marks.is_mark(record.payload):
            await ending.end(engine, Stored(b"", each.key, record), each.how, own)
    return None
