"""Whose places a limit of sessions counts: the sessions of one browser are one.

Two logins from one id are one browser: the later takes the place of the earlier. So where sessions are limited each
notes its *lineage*, the id that it came from. Of one lineage are two logins of one browser, and the two records of a
session whose id is changing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._core import forward, marks, tokens
from limpet._core.listing import Kept, live
from limpet._core.record import unpack
from limpet._core.state import LOGIN
from limpet.errors import ConfigurationError

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["HOPS", "Places", "by_browser", "has_room", "limit_of", "lineage_of", "of_this_browser"]

HOPS: Final = 4
"""Changes of id that are followed."""


class Places(NamedTuple):
    """What of a subject's sessions is this browser's own: a login takes the place of it.

    Attributes:
        keys: Their store keys.
        lineages: What all have in common that came from the same id.
    """

    keys: frozenset[str] = frozenset()
    lineages: frozenset[str] = frozenset()

    def hold(self, kept: Kept) -> bool:
        """Tell whether a session is one of them."""
        return kept.key in self.keys or (kept.contents is not None and kept.contents.lineage in self.lineages)


def lineage_of(key: str) -> str:
    """Return what all logins from one id have in common.

    Args:
        key: The store key of the id, or of the note about another library's session.
    """
    return key[:16]


def limit_of(engine: Context, subject: str) -> int | None:
    """Return how many sessions a subject may have, or None for any number."""
    limit = engine.policy.max_sessions
    if not callable(limit):
        return limit
    given = limit(subject)
    if given is not None and type(given) is not int:
        raise ConfigurationError(
            f"the function max_sessions returned {given!r}: it is to return a whole number of sessions, or None"
        )
    return given


async def has_room(
    engine: Context, subject: str, limit: int, places: Places, rank: tuple[int, int, str] = (0, 0, "")
) -> bool:
    """Tell whether a subject may have one more session beside those that are this browser's own.

    Args:
        rank: Those of a lower rank give way.
    """
    if limit < 1:
        return False
    sessions = await live(engine, subject)
    others = by_browser(kept for kept in sessions if not places.hold(kept))
    return sum(group[0].rank > rank for group in others) < limit


def by_browser(sessions: Iterable[Kept]) -> list[list[Kept]]:
    """Return sessions, those of one browser together, the newest login first.

    Of one browser are those of one lineage, and a session that a login is about to take the place of.
    """
    newest_first = sorted(sessions, key=lambda kept: kept.rank, reverse=True)
    known = [None if kept.contents is None else kept.contents.lineage for kept in newest_first]
    groups: dict[str, list[Kept]] = {}
    for kept, lineage in zip(newest_first, known, strict=True):
        own = lineage_of(kept.key)
        groups.setdefault(own if own in known else lineage or kept.key, []).append(kept)
    return list(groups.values())


async def of_this_browser(attempt: Attempt) -> Places:
    """Return what a login takes the place of, and let the login note from which id it came."""
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    old = None if state.old is None else state.old.key
    gone_key = None if state.gone is None else state.gone.key
    leaving = None if state.leaving is None else state.leaving.read.key
    origins = [key for key in (old, leaving, gone_key, attempt.replaces) if key is not None]
    keys = {*origins, *(rival.key for rival in state.rivals)}
    lineages = set() if draft.lineage is None else {draft.lineage}
    if state.ended is not None and state.ended.record.subject == state.subject:
        before = unpack(state.ended.record.payload, engine.serializer).lineage
        lineages |= set() if before is None else {before}
    came = key = origins[0] if origins else None
    for _ in range(HOPS):
        if key is None:
            break
        keys.add(key)
        lineages.add(lineage_of(key))
        there, at, key = await engine.storage.load(key), key, None
        if there is not None and forward.is_forward(there.payload):
            key = forward.successor(there.payload)
        elif there is not None and marks.is_mark(there.payload):  # another request from the same id was quicker
            gone = marks.buried(at, there, engine.clock(), met=True)
            key = None if gone is None else gone.successor
            if at == came and at != old:
                state.gone = gone or state.gone
    if attempt.flags & LOGIN:
        draft.lineage = draft.lineage or tokens.b64encode(tokens.new_id()[:12]) if came is None else lineage_of(came)
    attempt.encode()
    return Places(frozenset(keys), frozenset(lineages))
