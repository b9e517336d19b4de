"""Whose places a limit of sessions counts: the sessions of one browser are one.

Two logins from one id are one browser: the later takes the place of the earlier. So where sessions are limited each
notes its *lineage*, the ids that it came from: the last one, and those before as long as their ends are known. Of one
lineage are two logins of one browser, and the two records of a session whose id is changing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._core.state import LOGIN
from limpet._listing import Kept, decoded, live
from limpet._wire import forward, marks
from limpet.contract import Record
from limpet.errors import ConfigurationError

if TYPE_CHECKING:
    from limpet._core.attempt import Attempt
    from limpet._core.context import Context

__all__ = ["Places", "by_browser", "has_room", "ids_of", "limit_of", "lineage_of", "of_this_browser", "reached"]

_HOPS: Final = 8  # changes of an id that are followed
_LONGEST: Final = 4  # ids that a lineage names
_AT_LOGIN: Final = 8  # ids that it names at a login, which leaves out those whose ends nobody knows any more


class Places(NamedTuple):
    """What of a subject's sessions is this browser's own: a login takes the place of it.

    Attributes:
        keys: The ids that the browser had, as store keys: sessions that lie there or came from there are its own.
    """

    keys: frozenset[str] = frozenset()

    def hold(self, kept: Kept) -> bool:
        """Tell whether a session is one of them."""
        return not self.keys.isdisjoint(_names(kept))


def lineage_of(*keys: str, longest: int = _LONGEST) -> str:
    """Return the lineage of a session that came from these ids, or notes about an old session, the last one first."""
    return " ".join([*dict.fromkeys(keys)][:longest])


def ids_of(lineage: str | None) -> list[str]:
    """Return the store keys of the ids that a session came from."""
    return lineage.split() if lineage else []


def _names(kept: Kept) -> list[str]:
    return [kept.key, *ids_of(None if kept.contents is None else kept.contents.lineage)]


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
    others = by_browser([kept for kept in await live(engine, subject) if not places.hold(kept)])
    return sum(group[0].rank > rank for group in others) < limit


def by_browser(sessions: Iterable[Kept]) -> list[list[Kept]]:
    """Return sessions, those of one browser together, the newest login first.

    Of one browser are those that came from one id, and a session that a login is about to take the place of.
    """
    newest_first = sorted(sessions, key=lambda kept: kept.rank, reverse=True)
    together: dict[str, str] = {}

    def find(name: str) -> str:
        while (other := together.get(name, name)) != name:
            name = other
        return name

    for kept in newest_first:
        for name in _names(kept):
            together[find(name)] = find(kept.key)
    groups: dict[str, list[Kept]] = {}
    for kept in newest_first:
        groups.setdefault(find(kept.key), []).append(kept)
    return list(groups.values())


async def reached(
    engine: Context, keys: Iterable[str | None], now: int, before: Sequence[str] = ()
) -> dict[str, Record | None]:
    """Return what lies under these keys, and under all that they led to by logins and other changes of an id.

    Args:
        before: Those of them that lead on only if they have ended so lately that this is known. The others are known to
            have, and what came after them is younger, whatever the clocks of the hosts say that wrote it.
    """
    there: dict[str, Record | None] = {}
    waiting = [key for key in dict.fromkeys(keys) if key is not None]
    for _ in range(_HOPS):
        if not waiting:
            break
        there.update(zip(waiting, await engine.storage.load_many(waiting), strict=True))
        after = [key for name in waiting for key in _led_to(name, there[name], now, known=name not in before)]
        waiting = [key for key in dict.fromkeys(after) if key not in there]
    return there


def _led_to(key: str, record: Record | None, now: int, *, known: bool) -> list[str]:
    if record is None:
        return []
    if forward.is_forward(record.payload):
        return [forward.successor(record.payload)]
    gone = marks.ended(key, record, now, met_alive=known)
    return [] if gone is None else [*gone.others, *([gone.successor] if gone.successor else [])]


def _has_moved(key: str, there: Mapping[str, Record | None], now: int) -> bool:
    """Tell whether an id has ended, so lately that this is known: of one that was renewed, whether the last one has."""
    record, renewed = there[key], False
    for _ in range(_HOPS):
        if record is None or not forward.is_forward(record.payload):
            break
        key, renewed = forward.successor(record.payload), True
        record = there.get(key)
    if record is None:
        return False
    return renewed if not marks.is_mark(record.payload) else marks.ended(key, record, now) is not None


async def of_this_browser(attempt: Attempt) -> Places:
    """Return what a login takes the place of, and let the login note from which ids it came."""
    engine, state, draft = attempt.engine, attempt.state, attempt.draft
    legacy = None if state.legacy is None else state.legacy.key
    gone = None if state.gone is None else state.gone.key
    leaving = None if state.leaving is None else state.leaving.stored.key
    own = [legacy, leaving, gone, attempt.replaces, *(rival.key for rival in state.rivals)]
    came = [*dict.fromkeys(key for key in own if key is not None)]
    earlier = [*ids_of(draft.lineage), *(key for rival in state.rivals for key in ids_of(rival.contents.lineage))]
    # Only those that the lineage will name: what a login takes the place of, it ends by these names.
    before = [key for key in dict.fromkeys(earlier) if key not in came][: max(0, _AT_LOGIN - len(came))]
    now = engine.clock()  # once: what leads on is named, so that what it leads to is ended
    there = await reached(engine, [*came, *before], now, before)
    alive = (decoded(engine, key, record) for key, record in there.items() if record and record.subject is not None)
    more = [name for kept in alive for name in _names(kept) if name not in there]  # of another who is logged in there
    there |= await reached(engine, more, now, more)
    ended = (key for key in there if _has_moved(key, there, now))
    known = [key for key in ended if key not in came]  # those before, and those that an id led to
    late = gone if gone is not None or leaving is not None else attempt.replaces
    if late is not None and late != legacy and (record := there[late]) is not None:
        state.gone = marks.ended(late, record, now, met_alive=True) or state.gone  # another from that id was quicker
    if attempt.flags & LOGIN:
        draft.lineage = lineage_of(*came, *known, longest=_AT_LOGIN) or None
    attempt.encode()
    living = (key for key, record in there.items() if record is not None and record.subject is not None)
    return Places(frozenset([*came, *known, *(key for key in living if key not in before)]))
