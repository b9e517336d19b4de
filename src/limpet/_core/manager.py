"""The engine: reads a session when a request begins and hands it to `commit` when the response starts.

This module and `commit` are the only callers of stores. Neither knows an event loop: what they need
of one is a `Runtime`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

from limpet._core import conflict, events, forward, importing, marks, plain, plan, revocation, sealing, tokens
from limpet._core.calls import Calls
from limpet._core.commit import Commit
from limpet._core.hush import hush
from limpet._core.inline import Inline
from limpet._core.policy import SessionPolicy
from limpet._core.protocols import (
    ClientStore,
    Header,
    Importer,
    Reader,
    Runtime,
    Sealer,
    Serializer,
    Store,
    Transport,
)
from limpet._core.record import NEVER, Contents, CorruptPayload, ForeignPayload, Found, Record, pack, unpack
from limpet._core.session import Session
from limpet._core.standing import CLOSED, FAILED, PENDING, READY, SEALED
from limpet.errors import LimpetError, SessionClosed, StoreUnavailable

__all__ = ["Engine", "Found", "Inline"]

log = logging.getLogger("limpet")

_HOPS: Final = 8  # renewals that an old id is followed through; more means a loop


class Engine(Calls):
    """Loads and commits sessions. `limpet.SessionManager` puts one together from settings that a person writes."""

    def __init__(
        self,
        *,
        store: Store | ClientStore,
        policy: SessionPolicy,
        transport: Transport,
        serializer: Serializer,
        namespace: str,
        clock: Callable[[], int],
        id_sealer: Sealer | None = None,
        persistent: bool = True,
        runtime: Runtime | None = None,
        describe: Callable[[Mapping[str, Any]], dict[str, str]] | None = None,
        importers: Sequence[Importer] = (),
        reader: Reader | None = None,
    ) -> None:
        super().__init__(store, policy, clock, runtime or Inline())
        self.transport = transport
        self.serializer = serializer
        self.namespace = namespace
        self.id_sealer = id_sealer
        self.persistent = persistent
        self.describe = describe
        self.importers = tuple(importers)
        self.reader = reader  # finds and unseals a cookie where there is but one, in one go
        # An importer reads cookies, however the token of this manager travels.
        imports = bool(self.importers) and transport.vary.lower() != b"cookie"
        self.vary = transport.vary + b", Cookie" if imports else transport.vary
        self.warned_of_copies = False
        self.quiet_ms = plan.quiet_ms(policy)
        self._safe_idle, self._safe_age = plan.safe_ms(policy)
        self.plain_updates = (
            self.revocation is None and policy.renewal_interval_ms is None and policy.absolute_ms is not None
        )
        self._key_prefix = tokens.key_prefix(namespace)
        self.void_until = 0  # the last not-before mark that this manager wrote: a login after it is later than it

    # -- a request begins

    def begin(self, headers: Sequence[Header], make: Callable[[Engine], Session] = Session) -> Session:
        """Return the session of a request, of the class that an adapter has. No I/O; nothing is decoded or verified."""
        session = make(self)
        if self.kept is None and not self.importers:
            session._presented, session._state = headers, SEALED  # the cookie is looked for when it is needed
            return session
        presented = self.transport.read(headers)
        if presented:
            session._ids = tuple(presented)
            session._state = PENDING
        if self.importers:
            importing.look(self, session, headers)
        return session

    async def load(self, session: Session) -> None:
        """Read the session from the store, once. Unknown, expired, malformed, forged: anonymous.

        Raises:
            StoreUnavailable: The store does not answer; later use of the session raises it again.
        """
        if session._state is SEALED:
            self.unseal(session)
        if session._state is READY:
            return
        usual = len(session._ids) == 1 and self.is_server_side and session._rare is None and self.tracer is None
        try:
            if usual:
                search: Awaitable[Found | sealing.Opened | None] = plain.load(self, session)
            else:
                search = self.search(session) if self.is_server_side else sealing.find(self, session)
            found = await (search if self.tracer is None else self.traced("load", search))
            old = await importing.read(self, session._old) if found is None and session._old is not None else None
        except StoreUnavailable as error:
            hush(error)
            if self.policy.on_load_error == "anonymous":
                session._state, session._anonymous_only = READY, True
                return
            session._state, session._error = FAILED, error
            raise
        if session._unread():  # another task of the same request may have been faster
            session._state = READY
            if found is not None:
                self.adopt(session, found)
            elif old is not None:
                importing.adopt(self, session, old)

    unseal = plain.unseal

    def adopt(self, session: Session, found: Found | sealing.Opened) -> None:
        """Let the session stand for what was found."""
        if isinstance(found, sealing.Opened):
            sealing.adopt(self, session, found)
            return
        session._raw, session._key, session._record = found.raw, found.key, found.record
        session._contents, session._data = found.contents, found.contents.data
        session._subject = found.record.subject
        session._base = found.record.payload
        if found.contents.ends is not None or found.forwarded or session._rare is not None:
            session._ends_read, session._forwarded = found.contents.ends, found.forwarded
            session._reissue = session._reissue or found.forwarded

    async def search(self, session: Session) -> Found | None:
        """Return the one live session among the tokens that a request presented; two different ones are none."""
        live: dict[str, Found] = {}
        for token in session._ids:
            raw = self.verify(token)
            found = None if raw is None else await self.locate(raw)
            if found is not None:
                live[found.key] = found
                if self.id_sealer is not None and not self.id_sealer.current(token):
                    session._reissue = True
        if len(live) > 1:
            self.emit(events.AmbiguousCookie)
            return None
        return next(iter(live.values()), None)

    # -- ids and records

    def verify(self, token: str) -> bytes | None:
        """Return the raw id in a token, or None for anything that this manager did not hand out."""
        if self.id_sealer is None:
            return tokens.decode_id(token)
        raw = self.id_sealer.open(token)
        return raw if raw is not None and len(raw) == tokens.ID_BYTES else None

    def present(self, raw: bytes) -> str:
        """Return the token that a client is given for an id."""
        return tokens.encode_id(raw) if self.id_sealer is None else self.id_sealer.seal(raw)

    def key_of(self, raw: bytes) -> str:
        """Return the store key of an id."""
        return sha256(self._key_prefix + raw).hexdigest()

    async def locate(self, raw: bytes, hops: int = 0, *, met: bool = False, key: str | None = None) -> Found | None:
        """Return the live session of an id, through the forward records that renewals left.

        Args:
            key: Its store key, where that is known; needed if the raw id is not (``b""``).
            met: The request met the session alive when it began: the grace of a renewal since then does not bind it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        key = key or self.key_of(raw)
        record = await self.call("load", self.server.load(key), key)
        return None if record is None else await self.admit(raw, key, record, hops, met=met)

    async def admit(self, raw: bytes, key: str, record: Record, hops: int = 0, *, met: bool = False) -> Found | None:
        """Judge a record that was read: follow a forward, refuse what is corrupt or past its deadline."""
        now = self.clock()
        kind = record.payload[:1]
        if kind == marks.FORMAT:
            return None
        if kind == forward.FORMAT:
            if not raw:
                key = forward.successor(record.payload)
                found = await self.locate(raw, hops + 1, key=key) if hops < _HOPS else None
                return found and found._replace(forwarded=True)
            target = forward.open_forward(record.payload, raw, key)
            if target is None:
                await self._discard(key, record, "a forward record that its id does not open")
                return None
            if target.grace_ends and now >= target.grace_ends and not met:
                self.emit(events.SessionReused, key)
                return None
            found = await self.locate(target.raw, hops + 1, met=met) if hops < _HOPS else None
            return found and found._replace(forwarded=True)
        try:
            contents = unpack(record.payload, self.serializer)
        except ForeignPayload as problem:  # other workers are newer, or older: to them it is a session
            log.warning("session %s was left alone: %s", tokens.tag(key), problem)
            self.emit(events.CorruptRecord, key, reason=str(problem))
            return None
        except CorruptPayload as problem:
            await self._discard(key, record, str(problem))
            return None
        if self.is_over(contents, record.accessed, now):
            self.emit(events.SessionExpired, key, subject=record.subject)
            if now >= record.expires:  # nobody can be on the way with it any more
                await self._forget(key, record)
            return None
        return Found(raw, key, record, contents)

    def is_over(self, contents: Contents, accessed: int, now: int) -> bool:
        """Judge a session by its deadlines; those of nearly every session need not be computed for that."""
        if now - accessed < self._safe_idle and now - contents.created < self._safe_age and contents.ends is None:
            return False
        return now >= plan.deadline(contents, accessed, self.policy)

    async def _discard(self, key: str, record: Record, reason: str) -> None:
        log.warning("session %s could not be read and was deleted: %s", tokens.tag(key), reason)
        self.emit(events.CorruptRecord, key, reason=reason)
        await self._forget(key, record)

    async def _forget(self, key: str, record: Record) -> None:
        try:
            await self.call("delete", self.server.delete(key, record.version), key)
        except StoreUnavailable:
            log.warning("session %s is dead and its record could not be deleted now", tokens.tag(key))

    # -- a response starts, or ends

    def is_idle(self, session: Session) -> bool:
        """Return whether a commit would find nothing to do: nothing noted, handed out or due.

        Two comparisons in place of a `Commit` and its plan, 10 us of a request that only reads.
        """
        if session._state:
            return True  # nobody has read it
        if (session._rare is not None and self._is_noted(session)) or session._written or session._exposed:
            return False
        record, contents = session._record, session._contents
        if record is None or contents is None:
            return True
        now = self.clock()
        if now - record.accessed >= self.quiet_ms or (contents.previous is not None and not session._forwarded):
            return False
        interval = self.policy.renewal_interval_ms
        return interval is None or now - max(contents.renewed or 0, contents.created) < interval

    def _is_noted(self, session: Session) -> bool:
        if session._old is not None and importing.note(session):
            return True
        if session._ended or session._login or session._regenerate or session._displaced:
            return True
        return session._reissue or session._grace_of is not None

    reseal = plain.reseal

    async def commit(self, session: Session, *, failed: bool = False) -> None:
        """Carry out what was noted on the session; what is to be sent is then in `header`.

        Args:
            failed: The request ended in an exception or a status of 500 and more.

        Raises:
            StoreUnavailable: The store does not answer; nothing is reported as saved.
            SessionConflict: A strict key was changed on two sides, or the merge budget ended.
            UnstorableValue: A value cannot be stored; the stored record is untouched.
            CookieTooLarge: The session does not fit into its cookie; the old cookie stays valid.
        """
        if not self.is_idle(session):
            await self.carry_out(session, failed=failed)

    async def carry_out(self, session: Session, *, failed: bool = False) -> None:
        """Carry out what was noted on a session that is not idle; see `commit`."""
        if session._anonymous_only:
            return
        failed = failed and not self.policy.save_on_error
        usual = self.is_server_side and not failed and self.tracer is None
        try:
            if usual and await plain.update(self, session):
                return
            commit = Commit(self, session, failed=failed).run()
            await (commit if self.tracer is None else self.traced("commit", commit))
        except LimpetError as error:
            hush(error)
            raise

    async def save(self, session: Session) -> None:
        """Commit now, as `Session.save` asks."""
        if session._phase is CLOSED:
            raise SessionClosed("saved after the application returned")
        if session._phase and not self.is_server_side and self.differs(session):
            raise SessionClosed(
                "this session lives in its cookie, which can no longer be set: the response has started"
            )
        await self.commit(session)

    def header(self, session: Session) -> Header | None:
        """Return the header that hands out or takes back the token, if this response needs one; once."""
        token, session._out = session._out, None
        if token is None:
            return None
        line, session._line = session._line, None
        if line is not None and line[0] is token:
            return line[1]
        if not token:
            return self.transport.clear()
        contents, record = session._contents, session._record
        if contents is None or record is None:
            return self.transport.write(token, None)
        deadline = plan.cookie_deadline(contents, record.accessed, self.policy)
        return self.transport.write(token, self.max_age(deadline, self.clock()))

    def max_age(self, deadline: int, now: int) -> int | None:
        """Return the seconds that the client should keep a token, or None for a browser session.

        Args:
            deadline: When the session ends, in milliseconds since 1970 as ``now`` is, or `NEVER`.
        """
        if deadline == NEVER or not self.persistent:
            return None
        return max(1, (deadline - now + 999) // 1000)

    # -- questions about a session

    def differs(self, session: Session) -> bool:
        """Return whether the session has something to save."""
        if session._ended or session._displaced or session._login or session._regenerate:
            return True
        if session._contents is None or not (session._written or session._exposed):
            return False
        payload = self.encode(session, session._contents)
        return payload != session._base if session._base is not None else bool(session._data or session._subject)

    def encode(self, session: Session, contents: Contents) -> bytes:
        """Return the payload of a session as it is now, typed views written back into its data."""
        if session._views and contents is session._contents:
            for key, view in session._views.items():
                view.write_back(key, contents.data, partial(conflict.combine, self))
        return pack(contents, self.serializer)

    def deadline_of(self, session: Session) -> int | None:
        """Return when the session ends if nobody uses it, in milliseconds since 1970; None if there is none."""
        if session._contents is None:
            return None
        accessed = session._record.accessed if session._record else self.clock()
        return plan.deadline(session._contents, accessed, self.policy)

    async def is_live(self, session: Session) -> bool:
        """Return whether the store still has the session and its deadlines have not passed."""
        await self.load(session)
        if not self.is_server_side:
            return await revocation.stands(self, session)
        if session._raw is None:
            return session._record is not None and not session._ended
        if session._ended:
            return False
        found = await self.locate(session._raw, met=True, key=session._key)
        if found is not None:
            conflict.follow(session, found)  # so that a long-lived socket never has many renewals to follow
        elif session._record is not None:
            session._record = session._record._replace(expires=0)  # a commit has to look again: no slack for it
        return found is not None

    async def refresh(self, session: Session) -> None:
        """Read the record again and merge unsaved changes over it."""
        await self.load(session)
        if self.is_server_side and session._raw is not None and not session._ended:
            found = await self.locate(session._raw, met=True, key=session._key)
            await conflict.rebase(Commit(self, session), found)
