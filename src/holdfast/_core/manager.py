"""The engine: reads a session when a request begins and hands it to `commit` when the response starts.

This module and `commit` are the only callers of stores. Neither knows an event loop: what they need
of one is a `Runtime`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from holdfast._core import conflict, events, forward, marks, plan, sealing, tokens
from holdfast._core.commit import Commit
from holdfast._core.emitter import Emitter
from holdfast._core.inline import Inline
from holdfast._core.policy import SessionPolicy
from holdfast._core.protocols import (
    ClientStore,
    Header,
    Immediate,
    Outcome,
    Runtime,
    Sealer,
    Serializer,
    Store,
    Transport,
)
from holdfast._core.record import NEVER, Contents, CorruptPayload, Record, pack, unpack
from holdfast._core.session import Phase, Session, State
from holdfast._core.standing import Standing
from holdfast.errors import HoldfastError, SessionClosed, StoreUnavailable

__all__ = ["Engine", "Found", "Inline"]

T = TypeVar("T")
log = logging.getLogger("holdfast")

_HOPS: Final = 8  # renewals that an old id is followed through; more means a loop


class Found(NamedTuple):
    """A live session as the store has it.

    Attributes:
        raw: The 32 bytes of its id; b"" where it was found by its key.
        key: Its store key.
        record: The record as read.
        contents: What the payload says.
        forwarded: A renewed id led here.
    """

    raw: bytes
    key: str
    record: Record
    contents: Contents
    forwarded: bool = False


class Engine(Emitter):
    """Loads and commits sessions. `holdfast.SessionManager` puts one together from settings that a person writes."""

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
    ) -> None:
        super().__init__(clock, runtime or Inline())
        self.store = store
        self.policy = policy
        self.transport = transport
        self.serializer = serializer
        self.namespace = namespace
        self.id_sealer = id_sealer
        self.persistent = persistent
        self.describe = describe
        # A runtime-checkable protocol takes microseconds to check: once is enough.
        self._client = store if isinstance(store, ClientStore) else None
        self._server = None if isinstance(store, ClientStore) else store
        self.is_server_side = self._server is not None
        self.immediate = isinstance(store, Immediate)
        self.void_until = 0  # the last not-before mark that this manager wrote: a login after it is later than it

    # -- a request begins

    def begin(self, headers: Sequence[Header], make: Callable[[Engine], Session] = Session) -> Session:
        """Return the session of a request, of the class that an adapter has. No I/O; nothing is decoded or verified."""
        session = make(self)
        presented = self.transport.read(headers)
        if presented:
            session._ids = tuple(presented)
            session._state = State.PENDING if self.is_server_side else State.SEALED
        return session

    async def load(self, session: Session) -> None:
        """Read the session from the store, once. Unknown, expired, malformed, forged: anonymous.

        Raises:
            StoreUnavailable: The store does not answer; later use of the session raises it again.
        """
        if session._state is State.SEALED:
            self.unseal(session)
        if session._state is State.READY:
            return
        try:
            search = self.search(session)
            found = await (search if self.tracer is None else self.traced("load", search))
        except StoreUnavailable as error:
            if self.policy.on_load_error == "anonymous":
                session._state, session._anonymous_only = State.READY, True
                return
            session._state, session._error = State.FAILED, error
            raise
        if session._unread():  # another task of the same request may have been faster
            session._state = State.READY
            if found is not None:
                self.adopt(session, found)

    def unseal(self, session: Standing) -> None:
        """Open a session that lives in its cookie."""
        sealing.unseal(self, session)

    def adopt(self, session: Session, found: Found) -> None:
        """Let the session stand for what was found."""
        session._raw, session._key, session._record = found.raw, found.key, found.record
        session._contents, session._data = found.contents, found.contents.data
        session._subject = found.record.subject
        session._base = found.record.payload
        session._forwarded = found.forwarded
        session._ends_read = found.contents.ends
        session._reissue = session._reissue or found.forwarded

    async def search(self, session: Session) -> Found | None:
        """Return the one live session among the tokens that a request presented; two different ones are none."""
        live: dict[str, Found] = {}
        for token in session._ids:
            raw = self.verify(token)
            found = None if raw is None else await self.locate(raw)
            if found is not None:
                live[found.key] = found
                session._reissue = self.id_sealer is not None and not self.id_sealer.current(token)
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
        return tokens.store_key(self.namespace, raw)

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
        if marks.is_mark(record.payload):
            return None
        if forward.is_forward(record.payload):
            if not raw:
                return await self.locate(raw, hops + 1, key=forward.successor(record.payload)) if hops < _HOPS else None
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
        except CorruptPayload as problem:
            await self._discard(key, record, str(problem))
            return None
        if now >= plan.deadline(contents, record.accessed, self.policy):
            self.emit(events.SessionExpired, key, subject=record.subject)
            if now >= record.expires:  # nobody can be on the way with it any more
                await self._forget(key, record)
            return None
        return Found(raw, key, record, contents)

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
        if session._state is not State.READY or session._anonymous_only:
            return  # nobody used it: there is nothing to carry out
        if not (session._written or session._exposed or session._accessed or session._record or session._ended):
            return
        commit = Commit(self, session, failed=failed and not self.policy.save_on_error).run()
        await (commit if self.tracer is None else self.traced("commit", commit))

    async def save(self, session: Session) -> None:
        """Commit now, as `Session.save` asks."""
        if session._phase is Phase.CLOSED:
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
        return self.transport.write(token, self.max_age(session)) if token else self.transport.clear()

    def max_age(self, session: Session) -> int | None:
        """Return the seconds that the client should keep the token, or None for a browser session."""
        contents, record = session._contents, session._record
        if not self.persistent or contents is None or record is None:
            return None
        limit = plan.cookie_deadline(contents, record.accessed, self.policy)
        return None if limit == NEVER else max(1, -(-(limit - self.clock()) // 1000))

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
        if not self.is_server_side or session._raw is None:
            return session._record is not None and not session._ended
        if session._ended:
            return False
        found = await self.locate(session._raw, met=True, key=session._key)
        if found is not None:
            conflict.follow(session, found)  # so that a long-lived socket never has many renewals to follow
        return found is not None

    async def refresh(self, session: Session) -> None:
        """Read the record again and merge unsaved changes over it."""
        await self.load(session)
        if self.is_server_side and session._raw is not None and not session._ended:
            found = await self.locate(session._raw, met=True, key=session._key)
            await conflict.rebase(Commit(self, session), found)

    # -- calling the store

    @property
    def client(self) -> ClientStore:
        """The store, where it is one that keeps the session in the cookie."""
        assert self._client is not None
        return self._client

    @property
    def server(self) -> Store:
        """The store, where it is one that keeps records."""
        if self._server is None:
            raise HoldfastError(
                "a cookie session has no record on the server: use a store such as sqlite:///sessions.db"
            )
        return self._server

    async def call(self, name: str, call: Awaitable[T], key: str | None = None) -> T:
        """Await one call of the store within its budget.

        Raises:
            StoreUnavailable: It failed, or took longer.
        """
        if self.tracer is not None:
            call = self.traced(f"store.{name}", call)
        try:
            return await (call if self.immediate else self.runtime.limit(call, self.policy.store_timeout))
        except StoreUnavailable as error:
            log.warning("session store: %s failed: %s", name, error)
            self.emit(events.StoreFailed, key, call=name, reason=type(error.__cause__ or error).__name__)
            raise

    async def write(
        self, name: str, attempt: Callable[[], Awaitable[Outcome]], key: str, version: int | None = None
    ) -> Outcome:
        """Await one conditional write, tried once more when the connection failed.

        The second attempt carries the same version token. If the first had landed and only its reply was lost, the
        record that comes back carries that token, and the caller recognises its own write.

        Args:
            version: The token, where it matters whether the first attempt had landed before somebody else wrote.

        Raises:
            StoreUnavailable: Both attempts failed, or the record that came back does not tell.
        """

        async def twice() -> Outcome:
            try:
                return await attempt()
            except StoreUnavailable as error:
                outcome = await attempt()
                if version is not None and isinstance(outcome, Record) and outcome.version != version:
                    raise StoreUnavailable(
                        "the reply to a write was lost and another request has written since: whether it was saved "
                        "cannot be told"
                    ) from error
                return outcome

        return await self.call(name, attempt() if self.immediate else twice(), key)
