"""Which subjects have logged in with a tag, so that who revokes the tag knows where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._core import plan
from limpet._core.state import Stored
from limpet._wire import marks
from limpet._wire.record import CorruptPayload, unpack
from limpet.errors import StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["leave", "register"]

_LISTED: Final = 200  # subjects that are listed under one tag
_DAY: Final = 86_400_000  # milliseconds


async def register(engine: Context, name: str, value: str, subject: str, until: int) -> None:
    """Note that a subject has logged in with a tag: first, so that who revokes the tag looks at the subject.

    Of a tag with very many subjects it is noted, once a day, that there are more: then all sessions are looked at.
    """
    key = marks.tag_key(name, value)
    there = await engine.storage.load(key)
    known = (marks.read(there.payload) or {}) if there is not None else {}
    if until <= known.get("many", 0) or known.get("subjects", {}).get(subject, 0) >= until:
        return

    def add(facts: marks.Facts) -> tuple[marks.Facts, int]:
        now = engine.clock()
        subjects = {who: end for who, end in facts.get("subjects", {}).items() if end > now}
        many = facts.get("many", 0)
        if subject in subjects or len(subjects) < _LISTED:
            subjects[subject] = max(until, subjects.get(subject, 0))
        else:
            many = max(many, until + _DAY)
        later = engine.storage.positions.keep_until() if facts.get("at") else 0
        more = {"many": many} if many else {}
        return {**facts, **more, "subjects": subjects}, max(*subjects.values(), many, later)

    await marks.amend(engine.storage, key, add)


async def leave(engine: Context, stored: Stored) -> None:
    """Drop the lists of tags that only this session, which was logged out, is on: a tag of its own leaves nothing."""
    try:
        contents = unpack(stored.record.payload, engine.serializer)
    except CorruptPayload:
        return
    own = {stored.record.subject: plan.absolute_deadline(contents, engine.policy)}
    for name, value in contents.tags.items():
        key = marks.tag_key(name, value)
        try:
            there = await engine.storage.load(key)
            facts = None if there is None else marks.read(there.payload)
            if there is not None and facts is not None and facts == {"subjects": own}:
                await engine.storage.delete(key, there.version)
        except StoreUnavailable:
            return  # said as an event
