"""What one commit works with: the session encoded, as a record, and the first record of a new id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from limpet import _form_tokens as form_tokens
from limpet._core import plan
from limpet._core.plan import Plan, Step
from limpet._core.settle import settle_views
from limpet._core.state import (
    DISPLACED,
    ENDED,
    FORWARDED,
    LOGIN,
    PASSIVE,
    PREDECESSORS_ENDED,
    REISSUE,
    WATCHED,
    SessionState,
    Stored,
)
from limpet._merge import diff_keys
from limpet._wire import tokens
from limpet._wire.facts import IMPORT
from limpet._wire.record import Contents, Predecessor, unpack, without_predecessors
from limpet.contract import Record, make_record
from limpet.errors import SessionConflict, StoreUnavailable, UnstorableValue

if TYPE_CHECKING:
    from limpet._core.context import Context
    from limpet._wire.records import Obstacle

__all__ = ["Attempt", "Overtaken"]

_make: Final = make_record


class Overtaken(SessionConflict):
    """Another task of the request has logged in, or begun the session anew, while this one waited: decide again."""


class Attempt:
    """What one commit of one session works with.

    Attributes:
        now: When it began, in milliseconds since 1970.
        flags: What had happened to the session when it began.
        payload: The contents, encoded.
        increments: What was added to numbers, by key.
        conflicts: How often another request was there first.
        made: The key and version of the record that it created, or of the one under which a login stays; None: neither.
        kept: What was there before a login that stays under its id, to go back to.
        patient: It carries on what was acknowledged before: the time that merging may take does not bind it.
        repairs: No handler is there, besides, that could be told of a limit or conflict.
        revived: Keys that others deleted and this one changed, which stay, with the values that were read.
        replaces: The key of the session whose id changes, if one does.
        subject: Whose the record is to be.
        uncertain: It cannot be told whether the old id leads to the new record, which therefore stays.
    """

    __slots__ = (
        "conflicts",
        "draft",
        "engine",
        "flags",
        "increments",
        "kept",
        "made",
        "now",
        "patient",
        "payload",
        "plan",
        "repairs",
        "replaces",
        "revived",
        "state",
        "subject",
        "uncertain",
    )

    def __init__(self, engine: Context, state: SessionState, plan: Plan, now: int) -> None:
        assert state.draft is not None
        self.engine = engine
        self.state = state
        self.plan = plan
        self.now = now
        self.flags = state.flags
        self.draft: Contents = state.draft
        self.subject: str | None = state.subject
        self.payload = plan.payload
        self.increments: dict[str, Any] = {}
        self.conflicts = 0
        self.made: tuple[str, int] | None = None
        self.kept: Stored | None = None
        self.replaces: str | None = None
        self.revived: dict[str, Any] = {}
        self.uncertain = False
        self.patient = False
        self.repairs = False
        if state.increments is not None:
            self.take_increments()

    def check_overtaken(self) -> None:
        """Check that what was decided still holds: it is about the session that this commit set out to save.

        Raises:
            Overtaken: It does not.
        """
        if self.state.draft is not self.draft or self.state.flags & (LOGIN | WATCHED) & ~self.flags:
            raise Overtaken("another task of the request logged in or out while the session was saved")

    # -- what is to be written

    def prepare(self) -> None:
        """Let the contents say what the plan found out, and encode them."""
        plan_, draft, engine = self.plan, self.draft, self.engine
        stale = not self.payload or self.state.leaving is not None
        if draft.predecessors:
            draft.predecessors, stale = () if self.flags & PREDECESSORS_ENDED else draft.predecessors, True
        if plan_.grace is not None:
            draft.previous, stale = None, True
        if plan_.rotates is not None and not self.flags & LOGIN:
            draft.authenticated = None if plan_.rotates == "gone" else self.now
            draft.level, draft.methods = None, ()  # they were said of the login before
            if plan_.rotates == "appeared":
                draft.created = self.now
            stale = True
        moves = bool(self.flags & LOGIN) or plan_.step is plan.Step.MOVE
        if moves and self.state.stored is not None and not self.flags & (ENDED | DISPLACED):
            stale = form_tokens.drop_old(engine.base(self.state), draft.data) or stale
        begins = bool(self.flags & LOGIN) or plan_.rotates in ("appeared", "changed")
        if engine.description is not None:
            stale = engine.describe(self.state, draft, self.flags, begins) or stale
        if engine.binder is not None and (begins or (self.state.stored is None and IMPORT in draft.methods)):
            stale = engine.binder.begin(self.state, draft) or stale
        if self.state.views is not None or self.state.loans is not None:
            settle_views(engine, self.state)
            stale = True
        if stale:
            self.encode()
        elif len(self.payload) > engine.policy.max_size:
            self.check_size()

    def encode(self) -> None:
        """Encode the session as it is now, if it is still the one to save, and hold it to the policy's size."""
        self.check_overtaken()
        self.take_increments()
        self.name_predecessors()
        self.payload = self.engine.pack(self.state)
        self.check_size()
        self.take_increments()

    def name_predecessors(self) -> None:
        """Let the record name what it takes the place of, so that any process that reads it can end that."""
        state = self.state
        named = [] if state.leaving is None else [self._bare(state.leaving.named(self.increments))]
        if self.flags & LOGIN:
            named += [Predecessor(rival.key, rival.record.version, "login", None, {}) for rival in state.rivals]
        if named:
            self.draft.predecessors = [each.row() for each in named]
            state.flags &= ~PREDECESSORS_ENDED
        elif self.draft.predecessors:  # they may live: a job leaves that to who has the cookie
            rows = unpack(self.stored().record.payload, self.engine.serializer).predecessors
            self.draft.predecessors = [Predecessor.of(row).plus(self.increments).row() for row in rows]

    def _bare(self, row: Predecessor) -> Predecessor:
        """Return it without what its own record names: else each change of id would keep all that came before."""
        return row if row.base is None else row._replace(base=without_predecessors(row.base, self.engine.serializer))

    def check_size(self) -> None:
        """Hold the payload to the policy's size.

        Raises:
            UnstorableValue: It is larger; the error names the largest key.
        """
        limit = self.engine.policy.max_size
        if len(self.payload) <= limit or self.repairs:
            return
        size = len(without_predecessors(self.payload, self.engine.serializer))
        if size > limit:
            key, share = self.largest()[0]
            raise UnstorableValue(
                key,
                f"the session has {size} bytes and SessionPolicy(max_size=...) allows {limit}; this key has {share}",
            )

    def largest(self) -> tuple[tuple[str, int], ...]:
        """Return the three largest keys with their encoded sizes in bytes."""
        encode = self.engine.serializer.encode
        sizes = [(key, len(encode(value))) for key, value in (self.draft.data or {"": None}).items()]
        return tuple(sorted(sizes, key=lambda pair: -pair[1])[:3])

    def take_increments(self) -> None:
        """Note what was added to numbers until now; what is added later is the next commit's."""
        taken, self.state.increments = self.state.increments, None
        if taken is not None:
            for key, by in taken.items():
                self.increments[key] = self.increments.get(key, 0) + by

    def give_increments_back(self) -> None:
        """Leave to the next commit what this one did not save."""
        self.take_increments()
        self.state.increments, self.increments = self.increments or None, {}

    def used_at(self) -> int:
        """Return the last use that the record notes: now, unless this is no activity."""
        stored = self.state.stored
        if stored is not None and (self.flags & PASSIVE or (not stored.raw and self.engine.is_server_side)):
            return stored.record.accessed
        return self.now

    def record(self) -> Record:
        """Return the encoded contents as a record, under a version of its own; nothing compares that of a cookie."""
        used, stored = self.used_at(), self.state.stored
        expires = plan.forget_at(self.draft, used, self.engine.policy)
        keeps = not self.engine.is_server_side and self.plan.step is not Step.MOVE
        version = stored.record.version if keeps and stored is not None else tokens.new_version()
        return _make((version, self.payload, used, expires, self.subject))

    # -- what was written

    def is_as_planned(self, step: Step) -> bool:
        """Tell whether the plan holds for this step, so that what it compared need not be compared again."""
        return self.plan.step is step and (self.payload is self.plan.payload or self.plan.grace is not None)

    def stored(self) -> Stored:
        """Return what a session that is stored was read as."""
        assert self.state.stored is not None
        return self.state.stored

    def saved(self, raw: bytes, key: str | None, record: Record) -> None:
        """Let the session stand on a record that was just written."""
        state, before = self.state, self.state.stored
        if before is not None and before.key == key and self.draft.ends != before.ends:
            state.flags |= REISSUE if self.engine.rules.lasts(self.draft) else 0
        elif before is None and state.draft is not self.draft:
            state.flags |= ENDED  # by another task, which saw nothing to end yet
        state.stored = Stored(raw, key, record, self.draft.ends)
        state.tried = None

    async def insert(self) -> None:
        """Write the contents under a new id, and let the session stand for that record."""
        engine, state, record = self.engine, self.state, self.record()
        while True:
            raw = engine.ids.new()
            key = engine.ids.key_of(raw)
            failure: StoreUnavailable | None = None
            obstacle: Obstacle = None
            try:
                obstacle = await engine.storage.create(key, record)
            except StoreUnavailable as error:
                failure = error
            if failure is not None:  # it may have landed, and a login would be listed that no browser has
                if not failure.waited:  # a store that hangs is not waited for twice
                    await engine.storage.try_to_drop(key)
                raise failure
            if obstacle is None:
                break
            self.count()
        self.made = key, record.version
        self.saved(raw, key, record)
        state.flags &= ~(FORWARDED | REISSUE)
        state.out, state.line = engine.ids.present(raw), None
        state.created = key

    async def rewrite(self) -> Obstacle:
        """Save merged contents into the record that this attempt made; return what stands in the way, None if done."""
        assert self.made is not None
        (key, version), record = self.made, self.record()
        obstacle = await self.engine.storage.update(key, record, version)
        if obstacle is None:
            self.made = key, record.version
            self.saved(self.stored().raw, key, record)
        return obstacle

    async def drop_made(self, failure: BaseException | None = None) -> None:
        """Delete the record that this attempt made, as its id went out to nobody; or put back what was there before.

        Args:
            failure: Why: a store that hangs is not waited for twice, and the record stays until it expires.
        """
        made, kept, self.made, self.kept = self.made, self.kept, None, None
        self.state.created = None
        if made is None or (isinstance(failure, StoreUnavailable) and failure.waited):
            return
        if kept is None:
            await self.engine.storage.try_to_drop(made[0])
        else:
            await self._put_back(made, kept)

    async def _put_back(self, made: tuple[str, int], kept: Stored) -> None:
        """Take back a login that was written under the id that the session had, if nobody has written since."""
        state, login, back = self.state, self.stored(), kept.record._replace(version=tokens.new_version())
        state.stored, state.tried = kept, {made[1]: dict(self.increments), back.version: {}}
        try:
            obstacle = await self.engine.storage.replace(made[0], back, made[1])
        except StoreUnavailable:
            return  # said as an event; what is tried next looks which of the two is there
        state.tried = None
        if obstacle is None:
            state.stored = kept.on(back)
        else:  # others have what was added to numbers
            state.stored, self.increments = login, {}

    def count(self, keys: tuple[str, ...] = ()) -> None:
        """Count a conflict against the policy's budget.

        Args:
            keys: What was in conflict, for the error.

        Raises:
            SessionConflict: The budget of attempts or of time has ended.
        """
        self.conflicts += 1
        policy, spent = self.engine.policy, self.engine.clock() - self.now
        if self.conflicts >= policy.merge_attempts or (not self.patient and spent > policy.merge_timeout * 1000):
            raise SessionConflict(
                f"gave up after {self.conflicts} conflicts in {spent} ms; nothing was saved", keys=keys
            )

    def keep_changes_only(self, base: dict[str, Any]) -> None:
        """Leave of the data only what this request changed: the rest belonged to a session that was ended."""
        data = self.state.data
        changed = diff_keys(base, data, self.engine.serializer.encode)
        for key in [key for key in data if key not in changed]:
            del data[key]
        self.encode()
