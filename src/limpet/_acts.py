"""Who revoked what: a small record that tells other processes, and so their logs, what was done from outside.

The journal of revocations says when there is something new in it; so whoever does not revoke reads nothing. The record
holds the last sixteen acts and is forgotten after an hour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from limpet import events
from limpet._blocking import drive, is_driven
from limpet._inline import Inline
from limpet._wire import marks, tokens
from limpet.errors import StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.engine import Engine

__all__ = ["Act", "forget", "hear"]

_KEY: Final = marks.mark_key("acts")
_KEPT: Final = 16
_LIFE: Final = 3_600_000  # milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Sessions that somebody ended.

    Attributes:
        what: Which.
        tag: The first digits of a session's key.
        subject: Whose.
    """

    what: Literal["session", "subject", "tag", "everyone"]
    tag: str | None = None
    subject: str | None = None

    @property
    def said(self) -> bool:
        """Whether it is known who acts."""
        return events.ACTOR.get()[0] is not None

    def note(self, engine: Engine) -> Callable[[int], Awaitable[None]]:
        """Return what writes it with the number of the revocation, right before that takes effect."""
        by, why = events.ACTOR.get()
        act = {"id": tokens.new_version(), "what": self.what, "tag": self.tag, "subject": self.subject}

        async def write(number: int) -> None:
            if self.said:
                await marks.amend(
                    engine.storage, _KEY, partial(_added, engine, {**act, "number": number, "by": by, "why": why})
                )

        return write


def _added(engine: Engine, act: dict[str, Any], facts: marks.Facts) -> tuple[marks.Facts, int]:
    others = [one for one in _list(facts) if one.get("id") != act["id"]]  # an earlier try had another number
    return {**facts, "list": [*others, act][-_KEPT:]}, engine.clock() + _LIFE


def _list(facts: marks.Facts) -> list[dict[str, Any]]:
    kept = facts.get("list")
    return [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []


async def forget(engine: Engine, subject: str) -> None:
    """Take the name of a subject out of what was done to its sessions, or by it.

    Raises:
        StoreUnavailable: The store does not answer.
    """

    def nameless(facts: marks.Facts) -> tuple[marks.Facts, int]:
        acts = _list(facts)
        for act in acts:
            act.update({part: None for part in ("subject", "by") if act.get(part) == subject})
        return {**facts, "list": acts}, engine.clock()  # when it is forgotten moves forward only

    record = await engine.storage.load(_KEY)
    if record is not None and any(
        subject in (act.get("subject"), act.get("by")) for act in _list(marks.read(record.payload) or {})
    ):
        await marks.amend(engine.storage, _KEY, nameless)


def hear(engine: Engine) -> None:
    """Let the engine send `RevocationSeen` for what other processes do and sign."""

    def look(before: int) -> None:
        if is_driven():
            drive(_tell(engine, before))
        elif not isinstance(engine.runtime, Inline):
            engine.runtime.spawn(_tell(engine, before))

    engine.storage.positions.on_others = look


async def _tell(engine: Engine, before: int) -> None:
    try:
        record = await engine.storage.load(_KEY)
    except StoreUnavailable:
        return  # said as an event
    facts = {} if record is None else marks.read(record.payload) or {}
    for act in _list(facts):
        number = act.get("number")
        if isinstance(number, int) and number > before:
            engine.emit(
                events.RevocationSeen,
                act.get("tag"),
                subject=act.get("subject"),
                what=str(act.get("what", "")),
                number=number,
                by=act.get("by"),
                why=act.get("why"),
                device=None,  # who hears of it had no part in it
            )
