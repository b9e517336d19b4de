"""The records of one subject: a page at a time, judged, each session once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._core import plan
from limpet._wire import marks
from limpet._wire.record import Contents, CorruptPayload, unpack
from limpet.contract import Record

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["PAGE", "Kept", "decoded", "live", "pages_of"]

PAGE: Final = 500
"""Records that one call of the store takes, and that are looked at or sorted before other tasks run again."""


class Kept(NamedTuple):
    """A record of one subject; ``contents`` is None where it cannot be read."""

    key: str
    record: Record
    contents: Contents | None

    @property
    def seen(self) -> int:
        """The revocations that were taken into account when it began."""
        return 0 if self.contents is None else self.contents.seen

    @property
    def rank(self) -> tuple[int, int, str]:
        """Which login it was among those of its subject: by the store's count, and by time where that did not count."""
        if self.contents is None:
            return 0, 0, self.key
        return self.contents.order, self.contents.authenticated or self.contents.created, self.key

    def __repr__(self) -> str:
        """Name the session, and show nothing of what is in it."""
        return f"<Kept {self.key[:8]}>"


async def pages_of(engine: Context, subject: str) -> AsyncIterator[list[Kept]]:
    """Return all records of a subject page by page, also those that are past their deadline or cannot be read.

    Each page has a time limit of its own, and other tasks run between two of them.

    Raises:
        LimpetError: The store keeps no index by subject.
        StoreUnavailable: The store does not answer.
    """
    cursor: str | None = None
    while True:
        page, cursor = await engine.storage.page_of(subject, cursor, PAGE)
        yield [decoded(engine, key, record) for key, record in page if not marks.is_mark(record.payload)]
        if cursor is None:
            return
        await engine.emitter.runtime.sleep(0)


async def live(engine: Context, subject: str) -> list[Kept]:
    """Return the live sessions of a subject, each once.

    A renewal that was interrupted leaves two records, of which the browser has the one before: that one is returned.
    """
    storage, policy = engine.storage, engine.policy
    if storage.has_marks:
        await storage.positions.read()
    alive: dict[str, Kept] = {}
    async for page in pages_of(engine, subject):
        now = engine.clock()
        for kept in page:
            contents = kept.contents
            if contents is None or now >= plan.deadline(contents, kept.record.accessed, policy):
                continue
            if not storage.has_marks or await storage.positions.holds(contents, kept.record.subject):
                alive[kept.key] = kept
    return [kept for kept in alive.values() if kept.contents is None or kept.contents.previous not in alive]


def decoded(engine: Context, key: str, record: Record) -> Kept:
    """Return a record with what its payload says, as far as it can be read."""
    try:
        return Kept(key, record, unpack(record.payload, engine.serializer))
    except CorruptPayload:
        return Kept(key, record, None)
