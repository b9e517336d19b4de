"""Reads sessions for the page: by subject, by public id, by the beginning of one, and all of them a page at a time.

Only live sessions are shown: what is past its deadline, what a renewal left behind and what is no session is passed
over. No step looks at more records than it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from limpet import _form_tokens as form_tokens
from limpet import _listing as listing
from limpet._core import plan
from limpet._detached import is_key
from limpet._listing import Kept
from limpet._session_info import info_of
from limpet._wire import forward, marks
from limpet._wire.record import Found
from limpet.contract import Finds, Pages, Record, Scans, supports
from limpet.directory import SessionInfo
from limpet.manager import SessionManager

__all__ = ["Book", "Facts", "Listing", "is_part_of_id"]

_STEP: Final = 200  # records that one look into the store takes
_STEPS: Final = 25  # looks that one page may cost: a store full of expired records must not hold it up
_PART: Final = re.compile(r"[0-9a-f]{8,63}")
_HIDDEN: Final = frozenset({form_tokens.KEY})  # shown to nobody: with these, forms could be sent in the person's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Some sessions.

    Attributes:
        rows: The sessions.
        following: Where the next page begins, or None after the last.
        looked_at: How many records were looked at.
    """

    rows: Sequence[SessionInfo]
    following: str | None = None
    looked_at: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """One session in full.

    Attributes:
        info: What lists show of it.
        entries: How many values it holds.
        size: Bytes that its record has.
        values: The values by their key; None where they are not to be shown.
    """

    info: SessionInfo
    entries: int
    size: int
    values: Mapping[str, Any] | None


class Book:
    """The sessions of one manager.

    Args:
        manager: Whose sessions; its store keeps them on the server.
        show_values: `facts` holds what the application put into a session.
    """

    def __init__(self, manager: SessionManager, *, show_values: bool) -> None:
        self._manager = manager
        self._show_values = show_values
        self.finds: bool = supports(manager.store, Finds) or supports(manager.store, Pages)
        self.scans: bool = supports(manager.store, Scans)
        # Of cookie sessions, all of one subject can be ended where a note of it is kept, though none can be seen.
        revocation = manager.engine.revocation
        self.revocation: str = "none" if revocation is None else revocation.mode
        self.ends_all: bool = self.finds if manager.engine.is_server_side else self.revocation == "epoch"

    async def of_subject(self, subject: str) -> Listing:
        """Return the live sessions of a subject, the last used first.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        rows = await self._manager.sessions_of(subject) if self.finds and subject else []
        return Listing(rows=rows, looked_at=len(rows))

    async def page(self, cursor: str | None, most: int) -> Listing:
        """Return about ``most`` sessions from a cursor on, in the order in which the store has them.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        rows: dict[str, SessionInfo] = {}
        looked = 0
        for _ in range(_STEPS):
            batch, cursor = await self.scan(cursor, most - len(rows))
            looked += len(batch)
            rows |= {kept.key: self._info(kept) for kept in await self.live(batch)}
            if cursor is None or len(rows) >= most:
                break
        return Listing(rows=list(rows.values()), following=cursor, looked_at=looked)

    async def beginning_with(self, part: str) -> Listing:
        """Return the sessions whose public id begins so, as logs abbreviate it, among the first few thousand records.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        rows: dict[str, SessionInfo] = {}
        looked, cursor = 0, None
        for _ in range(_STEPS):
            batch, cursor = await self.scan(cursor, _STEP)
            looked += len(batch)
            matching = [(key, record) for key, record in batch if key.startswith(part)]
            rows |= {kept.key: self._info(kept) for kept in await self.live(matching)}
            if cursor is None:
                break
        return Listing(rows=list(rows.values()), following=cursor, looked_at=looked)

    async def facts(self, public_id: str) -> Facts | None:
        """Return a live session, also under the id that it had before a renewal; None if there is none.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        manager = self._manager
        found = await manager.engine.storage.locate(b"", public_id) if is_key(public_id) else None
        if not isinstance(found, Found):
            return None
        data = {key: value for key, value in found.contents.data.items() if key not in _HIDDEN}
        return Facts(
            info=self._info(Kept(found.key, found.record, found.contents)),
            entries=len(data),
            size=len(found.record.payload),
            values=data if self._show_values else None,
        )

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` records from a cursor on, and the next cursor.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._manager.engine.storage.call("scan", cast(Scans, self._manager.store).scan(cursor, limit))

    async def live(self, batch: Sequence[tuple[str, Record]]) -> list[Kept]:
        """Return the live sessions among some records.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        manager, now = self._manager, self._manager.clock()
        positions = manager.engine.storage.positions
        await positions.current()
        read = [
            listing.decoded(manager.engine, key, record)
            for key, record in batch
            if not marks.is_mark(record.payload) and not forward.is_forward(record.payload)
        ]
        return [
            kept
            for kept in read
            if kept.contents is not None
            and now < plan.deadline(kept.contents, kept.record.accessed, manager.policy)
            and await positions.holds(kept.contents, kept.record.subject)
        ]

    def _info(self, kept: Kept) -> SessionInfo:
        return info_of(self._manager.engine, kept, None)


def is_part_of_id(text: str) -> bool:
    """Tell the beginning of a public id, of eight digits at least, from any other text."""
    return _PART.fullmatch(text) is not None
