"""Carries out batches of statements: each once, and once more where that is no risk.

When a server shuts down, fails over or becomes read-only, all connections that idle lead nowhere. So the first one that
says so ends the others, and what it was asked is asked again over a new one. A read can be asked twice. A write can be
asked twice if it leaves its version behind: if that is what is there then, the first attempt had landed. If another
version is there, it cannot be told whether the first attempt had landed before it, and the caller gets an error that
says so. A deletion leaves nothing behind, so it is asked again only where it has certainly not happened. Where a
connection broke without a word from the server, a write is not asked again here: the engine does that, for every store,
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import chain
from typing import Any, Final, Protocol

from limpet.contract import ABSENT, DONE, Record
from limpet.errors import StoreUnavailable
from limpet.stores.postgres.errors import (
    Explains,
    TurnedReadOnly,
    failures,
    is_answer,
    is_lost,
    is_refused,
    is_told,
)
from limpet.stores.postgres.sql import Statements

__all__ = ["ALONE", "LOAD", "Execution", "record_of"]

ALONE: Final = "alone"
"""Statements that share nothing with others: a method of a connection and its arguments. They only read, or sweep."""
LOAD: Final = "load"
_READS: Final = (ALONE, LOAD)
_LEAVES_VERSION: Final = ("create", "update", "replace")
_TOUCH: Final = "touch"
_IDEMPOTENT: Final = (*_READS, _TOUCH)


class _Batch:
    """Questions of one kind.

    Attributes:
        answers: One for each, with an exception in the place of one that failed.
        todo: Which have none yet.
        under_way: Which the server was asked last, so that it may have answered them.
        unsure: Which may have been carried out before they were asked again.
        same: Touches of one session are one, with the latest times of all: the place of each other one, and of the one
            that is carried out for it.
    """

    def __init__(self, kind: str, asked: Sequence[tuple[Any, ...]]) -> None:
        self.kind = kind
        self.asked = asked
        self.answers: list[Any] = [None] * len(asked)
        self.todo: Sequence[int] = range(len(asked))
        self.under_way: Sequence[int] = ()
        self.unsure: frozenset[int] = frozenset()
        self.same: dict[int, int] = {}
        if kind == _TOUCH and len(asked) > 1:
            self._join_touches()

    def _join_touches(self) -> None:
        first: dict[bytes, int] = {}
        asked = list(self.asked)
        for at, (key, accessed, expires) in enumerate(asked):
            place = first.setdefault(key, at)
            if place != at:
                self.same[at] = place
                asked[place] = key, max(accessed, asked[place][1]), max(expires, asked[place][2])
        self.asked, self.todo = asked, list(first.values())

    def may_be_asked_again(self, error: BaseException) -> bool:
        if is_refused(error):
            return True
        if not is_lost(error):
            return False
        return not self.under_way or self.kind in _IDEMPOTENT or (self.kind in _LEAVES_VERSION and is_told(error))

    def take(self, at: int, answer: Any) -> None:
        """Note an answer to a write."""
        if at in self.unsure and isinstance(answer, Record) and self.kind in _LEAVES_VERSION:
            own: int = self.asked[at][1]
            answer = DONE if answer.version == own else _lost()
        self.answers[at] = answer


class Lends(Protocol):
    """The connections of a loop, or of a process without one."""

    def one(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection."""
        ...

    def forget(self) -> None:
        """End those that idle."""


class Execution:
    """Sends batches over connections, for `Batching`.

    Args:
        connections: Where they come from.
        sql: The statements.
        explain: Makes the error that callers see.
        plain: Values are given one by one, and not as arrays: behind a pooler.
    """

    def __init__(self, connections: Lends, sql: Statements, explain: Explains, *, plain: bool) -> None:
        self._connections = connections
        self._sql = sql
        self._explain = explain
        self._plain = plain

    async def send(self, kind: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to questions of one kind, with an exception in the place of one that failed."""
        batch = _Batch(kind, asked)
        error = await self._attempt(batch)
        if error is not None and batch.may_be_asked_again(error):
            batch.unsure = frozenset(batch.under_way if is_lost(error) else ())
            self._connections.forget()
            error = await self._attempt(batch)
        if error is not None:
            for at in batch.todo:
                batch.answers[at] = self._explain(error)
        for at, place in batch.same.items():
            failed = error is not None and place in batch.todo  # each caller gets an error of its own
            batch.answers[at] = self._explain(error) if failed else batch.answers[place]  # type: ignore[arg-type]
        return batch.answers

    async def _attempt(self, batch: _Batch) -> BaseException | None:
        """Ask what is still to be asked; return what went wrong."""
        batch.under_way = ()
        try:
            async with self._connections.one() as connection:
                if batch.kind == LOAD:
                    await self._load(connection, batch)
                elif batch.kind == ALONE:
                    await self._alone(connection, batch)
                else:
                    await self._write(connection, batch)
        except TurnedReadOnly as error:
            if batch.kind in _READS:  # what it has read may be what was there before the failover
                return error
        except failures() as error:
            return error
        batch.todo = ()
        return None

    async def _load(self, connection: Any, batch: _Batch) -> None:
        batch.under_way = batch.todo
        rows = await self._fetch(connection, LOAD, [(key,) for keys in batch.asked for key in keys])
        records = {row["key"]: record_of(row) for row in rows}
        batch.answers = [[records.get(key) for key in keys] for keys in batch.asked]

    async def _alone(self, connection: Any, batch: _Batch) -> None:
        for at in batch.todo:
            method, *words = batch.asked[at]
            batch.under_way = (at,)
            try:
                batch.answers[at] = await getattr(connection, method)(*words)
            except Exception as error:
                if not is_answer(error) or is_lost(error) or is_refused(error):
                    raise
                batch.answers[at] = self._explain(error)

    async def _write(self, connection: Any, batch: _Batch) -> None:
        asked = batch.asked
        while batch.todo:  # a statement changes a row once: another write of the same row goes with the next
            now: dict[bytes, int] = {}
            later = [at for at in batch.todo if now.setdefault(asked[at][0], at) != at]
            batch.under_way = tuple(now.values())
            found = dict.fromkeys(batch.under_way, None)
            for row in await self._fetch(connection, batch.kind, [asked[at] for at in batch.under_way]):
                found[now[row["key"]]] = row
            for at, row in found.items():
                batch.take(at, self._outcome(batch.kind, row))
            batch.todo, batch.under_way = later, ()

    def _outcome(self, kind: str, row: Any) -> Any:
        if row is None:
            return ABSENT
        if kind == _TOUCH or row["done"]:
            return DONE
        return ABSENT if row["version"] is None else record_of(row)

    async def _fetch(self, connection: Any, kind: str, asked: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        if len(asked) == 1 or self._plain:
            statement = self._sql.serving(kind, len(asked))
            return await connection.fetch(statement, *chain.from_iterable(asked))  # type: ignore[no-any-return]
        columns = map(list, zip(*asked, strict=True))
        return await connection.fetch(self._sql.serving(kind, 0), *columns)  # type: ignore[no-any-return]


def record_of(row: Any) -> Record:
    """Return the record that a row keeps."""
    subject = row["subject"]
    whose = None if subject is None else subject.decode("utf-8", "surrogatepass")
    return Record(row["version"], row["payload"], row["accessed"], row["expires"], whose)


def _lost() -> StoreUnavailable:
    return StoreUnavailable(
        "the reply to a write was lost and another request has written since: whether it was saved cannot be told"
    )
