"""One commit: what a plan means in calls of the store.

Every write carries the version that was read. When another request was there first, `conflict` merges three ways and
the write is tried again, until it is saved or the policy's budget ends.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from limpet._core import conflict, events, form_tokens, forward, logins, plan, rotation, sealing, tokens
from limpet._core.plan import Plan, Situation, Step
from limpet._core.protocols import DONE, Outcome
from limpet._core.record import NEVER, Contents, Record
from limpet._core.rotate_on import watched_changes
from limpet._core.session import Session
from limpet._core.standing import NOTHING_NOTED
from limpet.errors import SessionClosed, StoreUnavailable, UnstorableValue

if TYPE_CHECKING:
    from limpet._core.manager import Engine

__all__ = ["Commit"]


class Commit:
    """Carries out one commit of one session.

    Attributes:
        now: When it began, in milliseconds since 1970.
        notes: What of the handler's notes it carries out.
        increments: What was added to numbers, by key.
        payload: The contents, encoded.
        made: The version of the record that it created, if it did.
        orphan: The key of a record that nobody would know if the commit failed now.
        attempts: Conflicts so far.
    """

    notes = NOTHING_NOTED
    payload = b""
    made = 0
    orphan: str | None = None
    attempts = 0

    def __init__(self, engine: Engine, session: Session, *, failed: bool = False) -> None:
        self.engine = engine
        self.session = session
        self.failed = failed
        self.now = engine.clock()
        self.increments: dict[str, Any] = {}
        self.mine = session._contents

    async def run(self) -> None:
        """Decide and carry out."""
        engine, session = self.engine, self.session
        todo = plan.decide(self._situation())
        if todo == (False, Step.NOTHING):
            if not self.failed:
                session._take(self.notes)
            self.reissue()
        elif not engine.is_server_side:
            await sealing.seal(self, todo)
            session._take(self.notes)
        elif engine.immediate or todo == (False, Step.TOUCH):
            await self._carry_out_noted(todo)
        else:
            stood = self.notes, session._record
            async with engine.runtime.turn(session._key or f"new {id(session):x}"):
                if stood != (session._notes(), session._record):  # another task of this request went on meanwhile
                    todo = plan.decide(self._situation())
                await self._carry_out_noted(todo)

    async def _carry_out_noted(self, todo: Plan) -> None:
        """Carry out what was noted until now; what is noted while the store is waited for is the next commit's."""
        if self.failed:
            await self._carry_out(todo)
            return
        self.session._take(self.notes)
        try:
            await self._carry_out(todo)
        except BaseException:
            self.session._note_again(self.notes)
            self.give_increments_back()
            raise

    # -- what is the situation

    def _situation(self) -> Situation:
        session, policy = self.session, self.engine.policy
        contents, record = session._contents, session._record
        self.mine = contents
        live = record is not None and contents is not None
        changed = worth = rotates = False
        if contents is not None and not self.failed:
            logins.describe(self, contents)
            if contents.previous and not session._forwarded and session._raw:
                session._grace_of = contents.previous
                contents.previous, session._written = None, True
            if session._written or session._exposed:
                self.encode()
                # What comes after a logout begins a new session, be it equal to the old one.
                changed = session._ended or session._displaced or self.payload != session._base
                if changed and policy.rotate_on and not session._phase:
                    rotates = self._rotates(contents)
                if (session._login or session._regenerate or rotates) and form_tokens.drop_old(session, contents.data):
                    self.encode()
            worth = (changed or session._login) and (bool(contents.data) or session._subject is not None)
        self.notes = session._notes()
        return Situation(
            stored=record is not None or (session._ended and bool(session._ids)),
            ended=session._ended,
            displaced=session._displaced,
            changed=changed,
            worth_saving=worth,
            new_id=session._login or session._regenerate or rotates,
            failed=self.failed,
            renewal_due=live and not session._phase and session._accessed and self._renewal_due(),
            touch_due=live and not changed and self._touch_due(),
        )

    def _rotates(self, contents: Contents) -> bool:
        """Tell whether a key of ``rotate_on`` appeared or changed; its appearance is a login."""
        changed = watched_changes(self.session, contents.data)
        if changed and not self.session._login:
            contents.authenticated = self.now
            if None in changed.values():
                contents.created = self.now
            self.encode()
        return bool(changed)

    def _touch_due(self) -> bool:
        if not self.engine.policy.rolling or self.session._detached or not self._deadline_moves():
            return False
        return self.session._accessed or not self._cookie_slides()

    def _deadline_moves(self) -> bool:
        """Tell whether a use now moves the idle deadline by as much as is worth writing down."""
        policy, record, contents = self.engine.policy, self.session._record, self.contents
        if record is None or contents.ends is not None:
            return False
        idle = plan.idle_timeout(contents, policy)
        interval = None if idle is None else policy.touch_after(idle)
        return interval is not None and self.now - record.accessed >= interval

    def _cookie_slides(self) -> bool:
        """Tell whether a use moves the cookie's own deadline, so that the cookie must be sent again."""
        engine, contents = self.engine, self.contents
        return not engine.is_server_side or (
            engine.persistent
            and plan.absolute_deadline(contents, engine.policy) == NEVER
            and plan.deadline(contents, self.now, engine.policy) != NEVER
        )

    def _renewal_due(self) -> bool:
        interval = self.engine.policy.renewal_interval_ms
        if interval is None or self.session._forwarded or not self.engine.is_server_side:
            return False
        return self.now - max(self.contents.renewed or 0, self.contents.created) >= interval

    # -- carrying it out

    async def _carry_out(self, todo: Plan) -> None:
        session = self.session
        late = session._record is not None and self.now >= session._record.expires
        if todo.end:
            await self._end()
        elif late and todo.step is not Step.NOTHING:
            if not await self._still_there(todo):
                return
            if todo.step is Step.RENEW and session._forwarded:  # another request has renewed it meanwhile
                todo = Plan(False, Step.NOTHING if self.payload == session._base else Step.UPDATE)
        if todo.step in (Step.CREATE, Step.MOVE) and session._phase:
            raise SessionClosed("a new id cannot be handed out any more: the response has started")
        if session._grace_of is not None and todo.step is not Step.NOTHING:
            # First, so that a failure leaves the note of it in the record, and the next request begins the grace.
            await rotation.begin_grace(self, session._grace_of)
            session._grace_of = None
        match todo.step:
            case Step.CREATE:
                await logins.admit(self, self._create)
            case Step.UPDATE:
                slides = self._cookie_slides() and self._deadline_moves()
                await self.update()
                session._reissue = session._reissue or slides  # a save moves the deadline as a touch does
            case Step.MOVE:
                await logins.admit(self, partial(rotation.change_id, self, rotation.move))
            case Step.RENEW:
                await logins.admit(self, partial(rotation.change_id, self, rotation.renew))
            case Step.TOUCH:
                await self._touch()
            case Step.NOTHING:
                pass
        self.reissue()

    async def _still_there(self, todo: Plan) -> bool:
        """The deadline passed while the request ran: go on if others kept the session alive, or if it is a login."""
        session = self.session
        if todo.step is Step.TOUCH:
            return False
        raw, _, record = self.stored()
        found = await self.engine.locate(raw, met=True)
        if found is None:
            if self.notes.login:
                return True
            conflict.lost(self)
            return False
        if found.record.version != record.version:
            conflict.merge_in(self, found)
            conflict.follow(session, found)
        return True

    async def _end(self) -> None:
        """Delete the record, and tell the client to forget the token."""
        engine, session = self.engine, self.session
        if session._record is None:
            found = await engine.search(session)
            if found is None:
                return
            raw, key, record = found.raw, found.key, found.record
        else:
            raw, key, record = self.stored()
        await self._kill(raw, key, record)
        session._ids = ()
        session._raw = session._key = session._record = session._base = None
        session._forwarded = session._reissue = False
        if not session._phase:
            session._out = ""
        engine.emit(events.SessionLoggedOut, key, subject=record.subject)

    async def _kill(self, raw: bytes, key: str, record: Record) -> None:
        """Delete whatever version is there, and what a renewal on the way made of it."""
        engine, version = self.engine, record.version
        while True:
            outcome = await engine.write("delete", partial(engine.server.delete, key, version), key)
            if not isinstance(outcome, Record):
                return
            conflict.count(self, timed=False)  # a logout is not given up because a clock jumped
            version = outcome.version
            if forward.is_forward(outcome.payload):
                target = forward.open_forward(outcome.payload, raw, key)
                found = await engine.locate(target.raw, met=True) if target else None
                if found is not None:
                    await self._kill(found.raw, found.key, found.record)

    async def _create(self) -> None:
        engine, session = self.engine, self.session
        await self.insert()
        engine.emit(events.SessionCreated, session._key, subject=session._subject)
        if self.notes.login:
            engine.emit(events.SessionLoggedIn, session._key, subject=session._subject)

    async def insert(self) -> None:
        """Write the contents under a new id, and let the session stand for that record."""
        engine, session, record = self.engine, self.session, self.record()
        while True:
            raw = tokens.new_id()
            key = engine.key_of(raw)
            outcome = await engine.write("create", partial(engine.server.create, key, record, now=self.now), key)
            if conflict.landed(outcome, record):
                break
            conflict.count(self)
        session._raw, session._key = raw, key
        self.made, self.orphan = record.version, key
        self.saved(record)
        session._forwarded = session._reissue = False
        session._out = engine.present(raw)
        await logins.check(self)

    async def update(self, refused: Outcome | None = None) -> None:
        """Replace the record that was read, merging with whoever was there first.

        Args:
            refused: What the store said to a first attempt, if one was made that did not land.
        """
        engine, session, outcome = self.engine, self.session, refused
        while True:
            if outcome is None:
                _, key, read = self.stored()
                record = self.record()
                write = partial(engine.server.update, key, record, read.version, now=self.now)
                try:
                    outcome = await engine.write("update", write, key, record.version)
                except BaseException:  # cancelled, too: it may have landed
                    session._tried = {**session._tried, record.version: dict(self.increments)}
                    raise
                if conflict.landed(outcome, record):
                    self.saved(record)
                    break
            if not await conflict.meet(self, outcome):
                return
            if self.payload == session._base:
                break
            outcome = None
        if self.attempts:
            engine.emit(events.SessionMerged, session._key, subject=session._subject, attempts=self.attempts + 1)

    async def _touch(self) -> None:
        engine, session, (_, key, record) = self.engine, self.session, self.stored()
        expires = self.expires()
        try:
            outcome = await engine.call("touch", engine.server.touch(key, self.now, expires, now=self.now), key)
        except StoreUnavailable:
            return  # said as an event; nothing of the user's is lost, and the next request touches again
        if outcome is not DONE:  # somebody ended the session meanwhile
            session._reissue = False
            return
        session._record = record._replace(accessed=self.now, expires=max(record.expires, expires))
        if self._cookie_slides():
            session._reissue = True

    # -- small steps

    @property
    def contents(self) -> Contents:
        """The contents that are to be saved."""
        assert self.mine is not None
        return self.mine

    @property
    def key(self) -> str:
        """The store key of a session that is stored."""
        assert self.session._key is not None
        return self.session._key

    def stored(self) -> tuple[bytes, str, Record]:
        """Return raw id, key and record of a session that is stored."""
        session = self.session
        assert session._raw is not None
        assert session._key is not None
        assert session._record is not None
        return session._raw, session._key, session._record

    def encode(self) -> None:
        """Encode the session as it is now, and hold it to the policy's size."""
        policy = self.engine.policy
        self.payload = self.engine.encode(self.session, self.contents)
        if len(self.payload) > policy.max_size:
            key, size = self.largest()[0]
            raise UnstorableValue(
                key,
                f"the session has {len(self.payload)} bytes and SessionPolicy(max_size=...) allows {policy.max_size}; "
                f"this key has {size}",
            )
        self.take_increments()

    def take_increments(self) -> None:
        """Note what was added to numbers until now; what is added later is the next commit's."""
        taken, self.session._increments = self.session._increments, None
        for key, by in (taken or {}).items():
            self.increments[key] = self.increments.get(key, 0) + by

    def give_increments_back(self) -> None:
        """Leave to the next commit what this one did not save."""
        self.take_increments()
        self.session._increments, self.increments = self.increments or None, {}

    def largest(self) -> tuple[tuple[str, int], ...]:
        """Return the three largest keys with their encoded sizes in bytes."""
        encode = self.engine.serializer.encode
        sizes = [(key, len(encode(value))) for key, value in (self.contents.data or {"": None}).items()]
        return tuple(sorted(sizes, key=lambda pair: -pair[1])[:3])

    def expires(self) -> int:
        """Return when the store may forget the session if nobody uses it after now."""
        return plan.forget_at(self.contents, self.now, self.engine.policy)

    def record(self) -> Record:
        """Return the encoded contents as a record, under a version of its own."""
        read = self.session._record
        accessed = read.accessed if read is not None and self.session._detached else self.now
        return Record(tokens.new_version(), self.payload, accessed, self.expires(), self.session._subject)

    def saved(self, record: Record) -> None:
        """Let the session stand on a record that was just written."""
        session, contents = self.session, self.contents
        session._record, session._base = record, record.payload
        if session._tried:
            session._tried = {}
        if contents.ends != session._ends_read:
            session._ends_read, session._reissue = contents.ends, self.engine.persistent

    def reissue(self) -> None:
        """Hand the same token out again: under the newest key, with a new Max-Age, or in place of a renewed id."""
        engine, session = self.engine, self.session
        if not session._reissue or session._out is not None or session._phase:
            return
        if not engine.is_server_side:
            if session._record is not None and session._accessed:
                session._out = engine.client.seal(session._record)
        elif session._raw is not None and (session._accessed or session._forwarded):
            session._out = engine.present(session._raw)
        session._reissue = False
