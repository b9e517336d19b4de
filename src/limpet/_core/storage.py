"""The only caller of stores: time limits, retries, lost replies, renewed and replaced ids, events about the store.

A conditional write returns None when it has happened for good, now or in an attempt whose reply was lost, as its
version token shows. Else it returns what stands in its way: the record that is there now, or False if there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, cast

from limpet import events
from limpet._core import plan
from limpet._core.plan import Rules
from limpet._core.positions import Positions
from limpet._emitter import Emitter
from limpet._native import caused
from limpet._powers import NO_RECORDS, NoRecords, Powers
from limpet._wire import forward, marks, tokens
from limpet._wire.journal import JOURNAL, Journal
from limpet._wire.marks import Gone
from limpet._wire.record import CorruptPayload, ForeignPayload, Found, unpack
from limpet._wire.records import UNTOLD, Obstacle
from limpet.contract import ABSENT, DONE, ClientStore, Outcome, Record, Store, supports
from limpet.errors import LimpetError, StoreUnavailable
from limpet.policy import SessionPolicy
from limpet.protocols import Serializer

__all__ = ["Storage"]

T = TypeVar("T")

FUTURE: Final = 90_000_000
"""Milliseconds by which a record may be from the future: a clock wrong by a day, and an hour of summer time."""

_HOPS: Final = 8  # renewals that an old id is followed through; more means a loop
_SETTLED: Final = frozenset({"load", "touch"})
# What is tried once may rely on the store's own time limit; what is tried twice may not, as both attempts share one.


class Storage:
    """Calls the store of one manager.

    Attributes:
        store: As it was given: it keeps records, or the sessions are in their cookies.
        server: The store, where it is one that keeps records.
        client: The store, where it is one that keeps the session in the cookie.
        kept: Keeps the sessions, or the marks of what ended those that are in cookies; None: there is nothing to ask.
        is_server_side: The store keeps records.
        immediate: Its calls never wait.
        has_marks: Sessions can be revoked from outside, so that a load has to look at the journal.
    """

    def __init__(
        self,
        store: Store | ClientStore,
        *,
        rules: Rules,
        serializer: Serializer,
        emitter: Emitter,
        key_of: Callable[[bytes], str],
        host: str,
        monotonic: Callable[[], int],
    ) -> None:
        self.store = store
        self.is_server_side: bool = not supports(store, ClientStore)
        self.server: Store = cast("Store", store if self.is_server_side else NoRecords())
        self.client: ClientStore = cast("ClientStore", store)
        self.kept: Store | None = self.server if self.is_server_side else getattr(store, "revocation_store", None)
        self.rules = rules
        self.policy: SessionPolicy = rules.policy
        self.serializer = serializer
        self.emitter = emitter
        self.emit: Callable[..., None] = emitter.emit
        self.clock: Callable[[], int] = emitter.clock
        self.key_of = key_of
        powers = Powers(self.kept)
        self._many, self._pages, self._finds = powers.many, powers.pages, powers.finds
        self._replaces, self._urgent = powers.replaces, powers.urgent
        self.immediate: bool = powers.immediate
        self.has_marks: bool = powers.is_findable if self.is_server_side else self.kept is not None
        self._settles = powers.settles_within is not None and powers.settles_within <= rules.policy.store_timeout
        self.positions: Positions = Positions(self, rules.policy, host, monotonic)

    # -- calls

    async def call(self, name: str, call: Awaitable[T], key: str | None = None) -> T:
        """Await one call of the store within its time limit.

        Raises:
            StoreUnavailable: It failed, or took longer.
        """
        emitter = self.emitter
        if not (self.immediate or (self._settles and name in _SETTLED)):
            call = emitter.runtime.limit(call, self.policy.store_timeout)
        if emitter.tracer is not None:  # around the limit: what ran out of time is no call that its caller took back
            call = emitter.traced(f"store.{name}", call)
        try:
            return await call
        except StoreUnavailable as error:
            self._note_failure(name, error, key)
            raise

    def _note_failure(self, name: str, error: StoreUnavailable, key: str | None) -> None:
        kind = "store " + name
        self.emitter.log.warning(kind, "session store: %s failed: %s", name, error)
        self.emit(events.StoreFailed, key, call=name, reason=type(error.__cause__ or error).__name__)

    def _warn(self, kind: str, message: str, key: str, *words: object) -> None:
        self.emitter.log.warning(kind, message, tokens.tag(key), *words)

    def write(
        self,
        name: str,
        attempt: Callable[[], Awaitable[Outcome]],
        key: str,
        version: int | None = None,
        urgent: bool = False,
    ) -> Coroutine[Any, Any, Obstacle]:
        """Await one conditional write, tried once more when the connection failed and the time limit is not used up.

        The second attempt carries the same version token. If the first had landed and only its reply was lost, the
        record that comes back carries that token.

        Args:
            version: The token, where the call writes one.
            urgent: That somebody else has written since, after a reply was lost, is no error.

        Raises:
            StoreUnavailable: Both attempts failed, or another request has written since, so that it cannot be told
                whether the first one had landed.
        """
        return self.call(name, self._twice(attempt, version, urgent), key)

    async def _twice(self, attempt: Callable[[], Awaitable[Outcome]], version: int | None, urgent: bool) -> Obstacle:
        failure: StoreUnavailable | None = None
        try:
            return _obstacle(await attempt(), version)
        except StoreUnavailable as error:
            if self.immediate or error.waited:  # else the second attempt's end would hide why the first one waited
                raise
            failure = error
        obstacle = _obstacle(await attempt(), version)
        if version is not None and isinstance(obstacle, Record) and not urgent:
            lost = StoreUnavailable(UNTOLD)
            raise caused(lost, failure) from failure
        return obstacle

    def load(self, key: str) -> Coroutine[Any, Any, Record | None]:
        """Return the record of a key."""
        return self.call("load", self._kept().load(key), key)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of several keys: in one round trip, where the store can."""
        if self._many is not None:
            return await self.call("load", self._many.load_many(keys))
        return [await self.load(key) for key in keys]

    def create(self, key: str, record: Record, *, urgent: bool = False) -> Coroutine[Any, Any, Obstacle]:
        """Write a record where there is none.

        Args:
            urgent: For marks. Where the reply was lost and another request has written since, that is no error; and a
                store that is full takes it, where it can.
        """
        create = self._kept().create
        if urgent and self._urgent is not None:
            create = self._urgent.create_urgently
        now = self.clock()
        return self.write("create", lambda: create(key, record, now=now), key, record.version, urgent)

    def update(self, key: str, record: Record, expected: int, *, urgent: bool = False) -> Coroutine[Any, Any, Obstacle]:
        """Replace the record of a version.

        Args:
            urgent: As for `create`.
        """
        if urgent and self._urgent is not None:
            return self.replace(key, record, expected)
        update, now = self._kept().update, self.clock()
        return self.write("update", lambda: update(key, record, expected, now=now), key, record.version, urgent)

    def replace(self, key: str, record: Record, expected: int) -> Coroutine[Any, Any, Obstacle]:
        """Replace the record of a version, and shorten its life where the store can.

        Unlike `update`, an attempt that another request was quicker than is no error, since its loss can be told: a
        record that is left behind never gives way to another session.
        """
        replace = self._kept().update if self._replaces is None else self._replaces.replace
        now = self.clock()
        return self.write("replace", lambda: replace(key, record, expected, now=now), key, record.version, urgent=True)

    def delete(self, key: str, version: int | None = None) -> Coroutine[Any, Any, Obstacle]:
        """Delete a record, or only that version of it; False: there was none, which is as good."""
        delete = self._kept().delete
        return self.write("delete", lambda: delete(key, version), key)

    async def touch(self, key: str, accessed: int, expires: int) -> bool:
        """Move the times forward; False: there is no record.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self.call("touch", self.server.touch(key, accessed, expires, now=self.clock()), key) is DONE

    def _kept(self) -> Store:
        return self.server if self.kept is None else self.kept

    # -- sessions

    async def locate(self, raw: bytes, key: str, *, met_alive: bool = False) -> Found | Gone | None:
        """Return the live session of an id or a key, through the forward records that renewals left.

        What is found under an id that the application replaced or ended lately is its tombstone. Reads the journal of
        revocations in the same round trip.

        Args:
            raw: The id, or b"" where only the key is known.
            met_alive: The request met the session alive when it began: so it is served after the grace of a renewal
                too, and told of a tombstone after its minute.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        journal: Journal | None = None
        if self.has_marks and self._many is not None:
            record, there = await self.call("load", self._many.load_many((key, JOURNAL)), key)
            journal = self.positions.take(there)
        else:
            record = await self.load(key)
            if self.has_marks and record is not None:
                journal = self.positions.take(await self.load(JOURNAL))
        if record is None and raw and not met_alive:
            self.emitter.note_unknown(key)
        return None if record is None else await self.judge(raw, key, record, journal=journal, met_alive=met_alive)

    async def judge(
        self,
        raw: bytes,
        key: str,
        record: Record,
        hops: int = 0,
        *,
        journal: Journal | None = None,
        met_alive: bool = False,
    ) -> Found | Gone | None:
        """Judge a record that was read: follow a forward, refuse what is corrupt, revoked or past its deadline.

        Args:
            journal: As it was read with the record; None: as this process has read it last.
        """
        now = self.clock()
        kind = record.payload[:1]
        if kind == marks.FORMAT:
            return marks.ended(key, record, now, met_alive=met_alive)
        if kind == forward.FORMAT:
            return await self._follow(raw, key, record, hops, now, journal, met_alive=met_alive)
        try:
            contents = unpack(record.payload, self.serializer)
        except ForeignPayload as foreign:  # other workers are newer, or older: to them it is a session
            self._warn("foreign", "session %s was left alone: %s", key, foreign)
            self.emit(events.CorruptRecord, key, reason=str(foreign))
            return None
        except CorruptPayload as problem:  # a name of its own: mypyc gives a variable one type in a function
            reason = str(problem)
        else:
            if plan.is_over(contents, record.accessed, self.rules, now):
                there = await self.load(key) if now >= record.expires else None
                if there is not None and there.expires > record.expires:  # it was used after it had been read
                    return await self.judge(raw, key, there, hops, journal=journal, met_alive=met_alive)
                self.emit(events.SessionExpired, key, subject=record.subject)
                if there is not None:  # no request can be under way with it any more
                    await self.try_to_drop(key, there.version)
                return None
            if record.accessed - now > FUTURE:
                self._warn("future", "session %s is from the future: the clocks of two hosts are out of order", key)
                self.emit(events.CorruptRecord, key, reason="it is from the future")
                return None
            journal = journal or self.positions.journal
            if (
                self.has_marks
                and contents.seen != journal.seq
                and not await self.positions.holds(contents, record.subject, journal)
            ):
                there = await self.load(key)  # what was spared since it was read says so by now
                if there is None or there.version == record.version:
                    return None  # revoked, and not deleted yet
                return await self.judge(raw, key, there, hops, met_alive=met_alive)
            return Found(raw, key, record, contents, hops > 0)
        self._warn("corrupt", "session %s could not be read and was deleted: %s", key, reason)
        self.emit(events.CorruptRecord, key, reason=reason)
        await self.try_to_drop(key, record.version)
        return None

    async def judge_if_any(self, raw: bytes, key: str, there: Obstacle) -> Found | Gone | None:
        """Judge what is there, for a request that met the session alive; None also if there is no record."""
        return await self.judge(raw, key, there, met_alive=True) if isinstance(there, Record) else None

    async def _follow(
        self, raw: bytes, key: str, record: Record, hops: int, now: int, journal: Journal | None, *, met_alive: bool
    ) -> Found | Gone | None:
        if hops >= _HOPS:
            return None
        if not raw:
            following, after = b"", forward.successor(record.payload)
        else:
            target = forward.open_forward(record.payload, raw, key)
            if target is None:
                self._warn("forward", "session %s leads nowhere and was deleted", key)
                self.emit(events.CorruptRecord, key, reason="a forward record that its id does not open")
                await self.try_to_drop(key, record.version)
                return None
            if target.grace_ends and now >= target.grace_ends and not met_alive:
                self.emit(events.SessionReused, key)
                known = now < target.grace_ends + marks.TOMBSTONE_LIFE
                return Gone(key, record, "renewal", forward.successor(record.payload)) if known else None
            following, after = target.raw, self.key_of(target.raw)
        there = await self.load(after)
        return (
            None
            if there is None
            else await self.judge(following, after, there, hops + 1, journal=journal, met_alive=met_alive)
        )

    async def try_to_drop(self, key: str, version: int | None = None) -> None:
        """Delete a record that nobody can use, or only that version, if the store still answers; else it expires."""
        try:
            await self.delete(key, version)
        except StoreUnavailable:
            return  # said as an event

    # -- by subject

    def require_index(self) -> None:
        """Check that the store finds sessions by subject.

        Raises:
            LimpetError: It does not.
        """
        if not self.is_server_side:
            raise LimpetError(NO_RECORDS)
        if self._finds is None and self._pages is None:
            raise LimpetError(
                f"{type(self.store).__name__} cannot find sessions by subject: "
                "it has neither find() nor find_page(), see Finds and Pages"
            )

    async def page_of(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return about ``limit`` records of a subject, and the next cursor or None.

        Raises:
            LimpetError: The store keeps no index by subject.
            StoreUnavailable: The store does not answer.
        """
        self.require_index()
        if self._pages is not None:
            return await self.call("find", self._pages.find_page(subject, cursor, limit))
        assert self._finds is not None
        return await self.call("find", self._finds.find(subject)), None


def _obstacle(outcome: Outcome, version: int | None) -> Obstacle:
    if outcome is DONE:
        return None
    if outcome is ABSENT:
        return False
    return None if version is not None and outcome.version == version else outcome
