"""Which subjects have logged in with a tag, so that who revokes the tag knows where to look."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from limpet._core import plan
from limpet._listing import PAGE, Kept, decoded
from limpet._wire import marks
from limpet.errors import LimpetError

if TYPE_CHECKING:
    from limpet._core.context import Context
    from limpet._wire.record import Contents
    from limpet._wire.records import Records

__all__ = ["forget", "leave", "register", "subjects_of"]

_LISTED: Final = 200  # subjects that are listed under one tag
_DAY: Final = 86_400_000  # milliseconds


async def register(engine: Context, name: str, value: str, subject: str, until: int) -> None:
    """Note that a subject has logged in with a tag: first, so that who revokes the tag looks at the subject.

    Of a tag with very many subjects it is noted, once a day, that there are more: then all sessions are looked at.
    """
    key, whose = marks.tag_key(name, value), marks.digest_of(subject)
    its_name = marks.name_key(whose)
    there = await engine.storage.load_many([key, its_name])
    known, named = [{} if record is None else marks.read(record.payload) or {} for record in there]

    def add(facts: marks.Facts) -> tuple[marks.Facts, int]:
        now = engine.clock()
        subjects = {who: end for who, end in facts.get("subjects", {}).items() if end > now}
        many = facts.get("many", 0)
        if whose in subjects or len(subjects) < _LISTED:
            subjects[whose] = max(until, subjects.get(whose, 0))
        else:
            many = max(many, until + _DAY)
        later = engine.storage.positions.keep_until() if facts.get("at") else 0
        more = {"many": many} if many else {}
        return {**facts, **more, "subjects": subjects}, max(*subjects.values(), many, later)

    def say(facts: marks.Facts) -> tuple[marks.Facts, int]:
        last = max(until, facts.get("until", 0))
        return {"name": subject, "until": last}, last

    steps = []
    if until > known.get("many", 0):
        if named.get("until", 0) < until:
            steps.append(partial(marks.amend, engine.storage, its_name, say))
        if known.get("subjects", {}).get(whose, 0) < until:
            steps.append(partial(marks.amend, engine.storage, key, add))
    await engine.emitter.runtime.together(steps)


async def subjects_of(storage: Records, facts: marks.Facts) -> list[str]:
    """Return the subjects that the mark of a tag lists, as far as their names are still kept.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    listed = [marks.name_key(whose) for whose in facts.get("subjects", {})]
    found = await storage.load_many(listed) if listed else ()
    names = ((marks.read(record.payload) or {}).get("name") for record in found if record is not None)
    return [name for name in names if isinstance(name, str)]


async def leave(engine: Context, ended: Sequence[Kept]) -> None:
    """Drop the lists of tags that only these sessions, which were logged out, are on: a tag of its own leaves nothing.

    And the name of their subject, if those were its last. A login that is being saved at this moment may need it:
    who revokes its tag ends it all the same, and its record is deleted when it is used, or expires.
    """
    for each in ended:
        if each.contents is not None and each.contents.tags and each.record.subject is not None:
            try:
                await _leave(engine, each.contents, each.record.subject)
            except LimpetError:
                continue  # said as an event, or the store keeps no index by subject


async def _leave(engine: Context, contents: Contents, subject: str) -> None:
    whose = marks.digest_of(subject)
    own = {whose: plan.absolute_deadline(contents, engine.policy)}
    page, more = await engine.storage.page_of(subject, None, PAGE)
    others = [decoded(engine, key, record).contents for key, record in page]
    for name, value in contents.tags.items():
        if more is not None or any(each is None or each.tags.get(name) == value for each in others):
            continue  # another session of the subject may be on it
        key = marks.tag_key(name, value)
        there = await engine.storage.load(key)
        facts = None if there is None else marks.read(there.payload)
        if there is not None and facts is not None and facts == {"subjects": own}:
            await engine.storage.delete(key, there.version)
    named = await engine.storage.load(marks.name_key(whose))
    if named is not None and not others and more is None:
        await engine.storage.delete(marks.name_key(whose), named.version)


async def forget(engine: Context, subject: str, pairs: set[tuple[str, str]]) -> None:
    """Forget the name of a subject that has no session, and take it off the lists of these tags.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    whose = marks.digest_of(subject)
    await engine.storage.delete(marks.name_key(whose))

    def drop(facts: marks.Facts) -> tuple[marks.Facts, int]:
        now = engine.clock()
        subjects = {who: end for who, end in facts.get("subjects", {}).items() if who != whose and end > now}
        later = engine.storage.positions.keep_until() if facts.get("at") else now
        return {**facts, "subjects": subjects}, max([*subjects.values(), later])

    for name, value in pairs:
        await marks.amend(engine.storage, marks.tag_key(name, value), drop)
