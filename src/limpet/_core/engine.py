"""The engine: reads a session when a request begins and saves it when the response starts.

Read in this order: `session` (what a handler holds), `state` (what is known of it), `plan` (what is to be done),
`commit` (carries it out), `storage` (the only caller of stores). None of them knows an event loop: what they need of
one is a `Runtime`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Any

from limpet._core import commit as commits
from limpet._core import conflict, cookie_session, events, importing, locks, plan, record, rotation, tokens
from limpet._core.attempt import Attempt
from limpet._core.emitter import Emitter
from limpet._core.inline import Inline
from limpet._core.plan import NO_PLAN, Plan, Rules, Step
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
    Tracer,
    Transport,
)
from limpet._core.record import NEVER, Contents, Found, pack
from limpet._core.redact import redact
from limpet._core.session import Session, state_of
from limpet._core.state import (
    AMBIGUOUS,
    CLOSED,
    CROSS_SITE,
    DISPLACED,
    ENDED,
    FAILED,
    FORWARDED,
    LOGIN,
    OVER,
    PASSIVE,
    PENDING,
    READ_ONLY,
    READY,
    REISSUE,
    SEALED,
    Gone,
    Read,
    SessionState,
)
from limpet._core.storage import Storage
from limpet.errors import LimpetError, SessionClosed, StoreUnavailable

__all__ = ["Engine"]

log = logging.getLogger("limpet")


class Engine:
    """Loads and commits sessions. `limpet.SessionManager` puts one together from settings that a person writes.

    Attributes:
        storage: Calls the store.
        rules: What the policy comes to.
        revocation: How cookie sessions are ended, if they can be.
        watch: What this process has seen of locks that others hold.
        owner: What put the engine together, a `limpet.SessionManager`; None: nothing did.
    """

    owner: Any = None

    def __init__(
        self,
        *,
        store: Store | ClientStore,
        policy: SessionPolicy,
        transport: Transport,
        serializer: Serializer,
        namespace: str,
        clock: Callable[[], int],
        monotonic: Callable[[], int],
        host: str = "",
        id_sealer: Sealer | None = None,
        unsigned_until: int = 0,
        persistent: bool = True,
        runtime: Runtime | None = None,
        describe: Callable[[Mapping[str, Any]], dict[str, str]] | None = None,
        importers: Sequence[Importer] = (),
        reader: Reader | None = None,
    ) -> None:
        self.emitter = Emitter(clock, runtime or Inline())
        self.emit = self.emitter.emit
        self.clock = clock
        self.policy = policy
        self.transport = transport
        self.serializer = serializer
        self.namespace = namespace
        self.id_sealer = id_sealer
        self.persistent = persistent
        self.description = describe
        self.importers = tuple(importers)
        self.reader = reader  # finds and unseals a cookie where there is but one, in one go
        self._unsigned_until = unsigned_until
        self._key_prefix = tokens.key_prefix(namespace)
        client_side = not _is_server_side(store)
        self.rules = Rules(policy, is_server_side=not client_side, persistent=persistent)
        self.rotate_on = self.rules.rotate_on
        self.storage = Storage(
            store,
            rules=self.rules,
            serializer=serializer,
            emitter=self.emitter,
            key_of=self.key_of,
            host=host,
            monotonic=monotonic,
        )
        self.is_server_side = self.storage.is_server_side
        self.client = self.storage.client
        self.kept = self.storage.kept
        self.revocation: cookie_session.Revocation | None = getattr(store, "revocation", None) if client_side else None
        self.watch = locks.Watch(monotonic)
        # An importer reads cookies, however the token of this manager travels.
        self.reads_cookies = bool(self.importers) or transport.vary.lower() == b"cookie"
        extra = self.reads_cookies and transport.vary.lower() != b"cookie"
        self.vary = transport.vary + b", Cookie" if extra else transport.vary
        self.unfinished: dict[str, list[tuple[str, int]]] = {}  # old ids that may live, by the key of the new one
        self._warned_of_copies = False
        self._warned_of_rivals = False

    def use_serializer(self, serializer: Serializer) -> None:
        """Read and write in another format from now on, as a tool does that has looked at what a store holds."""
        self.serializer = self.storage.serializer = serializer

    def use_clock(self, clock: Callable[[], int]) -> None:
        """Go by another clock from now on, as a test does that turns it."""
        self.clock = self.emitter.clock = self.storage.clock = clock

    @property
    def runtime(self) -> Runtime:
        """What the engine needs of an event loop."""
        return self.emitter.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self.emitter.runtime = runtime

    @property
    def tracer(self) -> Tracer | None:
        """What watches loads, commits and store calls, such as `limpet.otel` makes one."""
        return self.emitter.tracer

    @tracer.setter
    def tracer(self, tracer: Tracer | None) -> None:
        self.emitter.tracer = tracer

    # -- a request begins

    def begin(self, headers: Sequence[Header], make: Callable[[Engine], Session] = Session) -> Session:
        """Return the session of a request, of the class that an adapter has. No I/O; nothing is decoded or verified."""
        session = make(self)
        state = state_of(session)
        if self.kept is None and not self.importers:
            state.presented, state.loaded = headers, SEALED  # the cookie is looked for when it is needed
            return session
        presented = self.transport.read(headers)
        if presented:
            state.ids = presented
            state.loaded = PENDING
        if self.importers:
            importing.look(self, state, headers)
        return session

    async def load(self, session: Session) -> None:
        """Read the session from the store, once. Unknown, expired, malformed, forged: anonymous.

        Raises:
            StoreUnavailable: The store does not answer; later use of the session raises it again.
        """
        state = state_of(session)
        if state.loaded == SEALED:
            cookie_session.open_sealed(self, state)
        if state.loaded == READY:
            return
        try:
            if self.emitter.tracer is None:
                await self._load(state)
            else:
                await self.emitter.traced("load", self._load(state))
        except StoreUnavailable as error:
            redact(error)
            if self.policy.on_load_error == "anonymous":
                state.loaded = READY
                state.flags |= READ_ONLY
                return
            state.loaded, state.error = FAILED, error
            raise

    async def _load(self, state: SessionState) -> None:
        found: Found | cookie_session.Opened | None = None
        gone: Gone | None = None
        if not self.is_server_side:
            found = await cookie_session.find(self, state) if state.ids else None
        else:
            live: list[Found] = []
            for token in state.ids:
                raw = self.verify(token)
                each = None if raw is None else await self.storage.locate(raw, self.key_of(raw))
                if isinstance(each, Gone):
                    gone = each
                elif each is not None and all(each.key != other.key for other in live):
                    live.append(each)
                    if self.id_sealer is not None and not self.id_sealer.current(token):
                        state.flags |= REISSUE
            if len(live) == 1:
                found = live[0]
            elif live:
                state.rivals = live
                self.note_ambiguous(state)
        if state.loaded == READY:
            return  # another task of the same request was faster
        if found is None and not state.rivals and gone is None and state.old is not None:
            await importing.read(self, state, state.old)
        state.loaded = READY
        if isinstance(found, Found):
            if self.unfinished and found.key in self.unfinished:
                await rotation.finish_later(self, found.key)
            self.adopt(state, found)
            await self._keep_for_this_request(state)
        elif found is not None:
            cookie_session.adopt(self, state, found)
        elif gone is not None and not state.rivals:
            state.gone = gone
            state.flags |= OVER

    def adopt(self, state: SessionState, found: Found) -> None:
        """Let the session stand for what was found."""
        state.read = Read(found.raw, found.key, found.record, found.contents.ends)
        state.draft, state.data, state.subject = found.contents, found.contents.data, found.record.subject
        state.met = True
        if found.forwarded:
            state.flags |= FORWARDED | REISSUE

    async def _keep_for_this_request(self, state: SessionState) -> None:
        """Note the use now where the session could end while the request runs: a use counts from its beginning.

        That is so once an eighth of the idle timeout has passed; busier sessions are touched when the response starts.
        """
        read, draft = state.read, state.draft
        if read is None or draft is None or not self.policy.rolling or draft.ends is not None or state.flags & PASSIVE:
            return
        idle = plan.idle_timeout(draft, self.policy)
        now = used = self.clock()
        if idle is None or now - read.record.accessed <= idle // 8 or not read.raw:
            return
        if plan.cookie_slides(draft, self.rules, now):  # a touch by a request that uses the session stays due
            used -= self.policy.touch_after(idle) or 0
        if used <= read.record.accessed:
            return
        expires = plan.forget_at(draft, used, self.policy)
        try:
            there = await self.storage.touch(read.key or "", used, expires)
        except StoreUnavailable:
            return  # said as an event; the session is alive, and the commit touches again
        if there:
            state.read = read._replace(
                record=read.record._replace(accessed=used, expires=max(read.record.expires, expires))
            )

    def open_sealed(self, state: SessionState) -> None:
        """Open a session that lives in its cookie."""
        cookie_session.open_sealed(self, state)

    def note_ambiguous(self, state: SessionState) -> None:
        """Note that a request presented two live sessions; the first time it is logged."""
        state.flags |= AMBIGUOUS
        self.emit(events.AmbiguousCookie)
        if not self._warned_of_rivals:
            self._warned_of_rivals = True
            log.warning(
                "a request presented two different sessions under one cookie name and was served as anonymous: was "
                "the cookie's domain or path changed, or does a neighbour on the same domain set it? The next login "
                "or logout ends both and deletes what can be deleted"
            )

    # -- ids

    def verify(self, token: str) -> bytes | None:
        """Return the raw id in a token, or None for anything that this manager did not hand out."""
        if self.id_sealer is None:
            raw = tokens.decode_id(token)
            return tokens.id_of_signed(token) if raw is None else raw
        raw = self.id_sealer.open(token)
        if raw is None and self._unsigned_until and self.clock() < self._unsigned_until:
            return tokens.decode_id(token)
        return raw if raw is not None and len(raw) == tokens.ID_BYTES else None

    def present(self, raw: bytes) -> str:
        """Return the token that a client is given for an id."""
        return tokens.encode_id(raw) if self.id_sealer is None else self.id_sealer.seal(raw)

    def key_of(self, raw: bytes) -> str:
        """Return the store key of an id."""
        return sha256(self._key_prefix + raw).hexdigest()

    # -- a response starts, or ends

    def is_idle(self, session: Session) -> bool:
        """Return whether a commit would find nothing to do: nothing noted, handed out or due."""
        return plan.is_quiet(state_of(session), self.rules, self.clock())

    async def commit(self, session: Session, *, failed: bool = False) -> None:
        """Carry out what was noted on the session; what is to be sent is then in `headers`.

        Args:
            failed: The request ended in an exception or a status of 500 and more.

        Raises:
            StoreUnavailable: The store does not answer; nothing is reported as saved.
            SessionConflict: A strict key was changed on two sides, or the merge budget ended.
            SessionLimitReached: The policy refuses a login.
            UnstorableValue: A value cannot be stored; the stored record is untouched.
            CookieTooLarge: The session does not fit into its cookie; the old cookie stays valid.
        """
        state = state_of(session)
        failed = failed and not self.policy.save_on_error
        if (failed and state.created is not None) or not plan.is_quiet(state, self.rules, self.clock()):
            await self._commit(state, failed=failed, final=True)

    async def _commit(self, state: SessionState, *, failed: bool, final: bool) -> None:
        await self._enter(state)
        try:
            if self.emitter.tracer is None:
                await commits.commit(self, state, failed=failed, final=final)
            else:
                await self.emitter.traced("commit", commits.commit(self, state, failed=failed, final=final))
        except LimpetError as error:
            redact(error)
            raise
        finally:
            self._leave(state)

    async def save(self, session: Session) -> None:
        """Commit now, as `Session.save` asks."""
        state = state_of(session)
        if state.phase == CLOSED:
            raise SessionClosed("saved after the application returned")
        if state.phase and not self.is_server_side and self.differs(state):
            raise SessionClosed(
                "this session lives in its cookie, which can no longer be set: the response has started"
            )
        if not plan.is_quiet(state, self.rules, self.clock()):
            await self._commit(state, failed=False, final=state.phase != 0)

    async def _enter(self, state: SessionState) -> None:
        """Wait until no other task decides, writes or refreshes this session."""
        while state.working:
            signal = self.runtime.signal()
            if state.waiting is None:
                state.waiting = []
            state.waiting.append(signal)
            await signal.wait()
        state.working = True

    def _leave(self, state: SessionState) -> None:
        state.working = False
        if state.waiting:
            state.waiting.pop(0).set()

    def headers(self, session: Session) -> list[Header]:
        """Return the headers that hand out or take back the token, if this response needs them; once."""
        state = state_of(session)
        token, line = state.out, state.line
        clears, state.clears = state.clears, False
        if token is None:
            return []
        state.out = state.line = state.created = None
        headers: list[Header] = []
        if line is not None and line[0] == token:
            headers.append(line[1])
        elif token:
            headers.append(self.transport.write(token, self._max_age_of(state)))
        else:
            cleared = self.transport.clear()
            if cleared is not None:
                headers.append(cleared)
        others = getattr(self.transport, "clear_others", None) if clears else None
        if others is not None:
            headers.extend(others())
        return headers

    def header(self, session: Session) -> Header | None:
        """Return the header that hands out or takes back the token, if this response needs one; once."""
        headers = self.headers(session)
        return headers[0] if headers else None

    def _max_age_of(self, state: SessionState) -> int | None:
        if state.draft is None or state.read is None:
            return None
        deadline = plan.cookie_deadline(state.draft, state.read.record.accessed, self.policy)
        return self.max_age(deadline, self.clock())

    def max_age(self, deadline: int, now: int) -> int | None:
        """Return the seconds that the client should keep a token, or None for a browser session.

        Args:
            deadline: When the session ends, in milliseconds since 1970 as ``now`` is, or `NEVER`.
        """
        if deadline == NEVER or not self.persistent:
            return None
        return max(1, (deadline - now + 999) // 1000)

    # -- questions about a session

    def decide(self, state: SessionState, now: int, failed: bool = False) -> Plan:
        """Return what a commit would do now."""
        return plan.decide(state, self.rules, now, self.pack, self.same, self._base, failed=failed)

    def differs(self, state: SessionState) -> bool:
        """Return whether the session has something to save."""
        todo = self.decide(state, state.read.record.accessed if state.read is not None else self.clock())
        if todo.step is Step.RENEW:
            return (
                state.read is not None and bool(todo.payload) and not self.same(todo.payload, state.read.record.payload)
            )
        return todo.end or todo.step in (Step.CREATE, Step.UPDATE, Step.EMPTY, Step.MOVE)

    def same(self, payload: bytes, base: bytes) -> bool:
        """Tell whether two payloads hold equal contents."""
        return payload == base or record.same(payload, base, self.serializer)

    def pack(self, state: SessionState) -> bytes:
        """Return the payload of a session as it is now."""
        assert state.draft is not None
        if state.views is None and state.loans is None:
            return pack(state.draft, self.serializer)
        draft = Contents.of({**state.draft.document(), "data": {}})
        copied = SessionState(state.began)
        draft.data = copied.data = dict(state.data)
        copied.views, copied.loans = _asked(state)
        conflict.settle_views(self, copied)
        return pack(draft, self.serializer)

    def settle_views(self, state: SessionState) -> None:
        """Write what became of typed objects, and of containers that a merge replaced, into the data."""
        conflict.settle_views(self, state)

    def _base(self, state: SessionState) -> Mapping[str, Any]:
        return {} if state.read is None else record.unpack(state.read.record.payload, self.serializer).data

    def deadline_of(self, state: SessionState) -> int | None:
        """Return when the session ends if nobody uses it, in milliseconds since 1970; None if there is none."""
        if state.draft is None:
            return None
        accessed = state.read.record.accessed if state.read is not None else self.clock()
        return plan.deadline(state.draft, accessed, self.policy)

    async def is_live(self, session: Session) -> bool:
        """Return whether the store still has the session and its deadlines have not passed."""
        await self.load(session)
        state = state_of(session)
        read = state.read
        if read is None or state.flags & (ENDED | OVER):
            return False
        if not self.is_server_side:
            contents = record.unpack(read.record.payload, self.serializer, sealed=True)
            return await cookie_session.is_live(self, contents, read.record.subject)
        found = await self.storage.locate(read.raw, read.key or "", met=True)
        if not isinstance(found, Found):
            if state.read is read:  # a save from now on has to look again: there is no slack for it
                state.read = read._replace(record=read.record._replace(expires=0))
            return False
        if found.forwarded and state.read is read:  # so that a long-lived socket never has many renewals to follow
            state.read = read._replace(raw=found.raw, key=found.key)
            state.flags |= FORWARDED | REISSUE
        return True

    async def refresh(self, session: Session) -> None:
        """Read the record again and merge unsaved changes over it."""
        await self.load(session)
        state = state_of(session)
        await self._enter(state)
        try:
            read, draft = state.read, state.draft
            if self.is_server_side and read is not None and draft is not None and not state.flags & ENDED:
                found = await self.storage.locate(read.raw, read.key or "", met=True)
                differs = self.differs(state)
                attempt = Attempt(self, state, NO_PLAN, self.clock())
                conflict.rebase(attempt, found, differs)
        except LimpetError as error:
            redact(error)
            raise
        finally:
            self._leave(state)

    def exclusive_for(
        self, session: Session, name: str, *, life: float, wait: float
    ) -> AbstractAsyncContextManager[Session]:
        """Hold a lock of one session."""
        return locks.exclusive(self, session, name, life=life, wait=wait)

    # -- notes

    def note_login(self, state: SessionState) -> None:
        """Note which revocations are known now, for a login that was just called."""
        self.storage.positions.note_login(state)

    def describe(self, state: SessionState, draft: Contents, flags: int) -> bool:
        """Note what the application wants to know of the client, where a session begins or somebody logs in."""
        begins = state.read is None or flags & (LOGIN | ENDED | DISPLACED)
        if self.description is None or state.context is None or not begins:
            return False
        device = self.description(state.context)
        if device == draft.device:
            return False
        draft.device = device
        return True

    def note_cross_site(self, session: Session) -> None:
        """Note that the request came from another site: without its cookie it begins no session, but by a login."""
        state = state_of(session)
        if not state.ids:
            state.flags |= CROSS_SITE

    def drop_flash(self, state: SessionState) -> None:
        """Say that a message could not be kept."""
        self.drop_write(state, "a flash message came when nothing could be saved any more")

    def drop_write(self, state: SessionState, reason: str) -> None:
        """Say that something that was written could not be kept."""
        self.emit(events.WriteDropped, None if state.read is None else state.read.key, reason=reason)

    def warn_of_copies(self) -> None:
        """Warn once that a cookie session cannot be ended where a copy of its cookie is."""
        if self.revocation is None and not self._warned_of_copies:
            self._warned_of_copies = True
            log.warning(
                "somebody logged in to a session that lives in its cookie: a copy of the cookie outlives the logout. "
                "Use a store on the server, or CookieStore(revocation='denylist', revocation_store='sqlite:///ended.db')"
            )


def _is_server_side(store: Store | ClientStore) -> bool:
    from limpet._core.protocols import supports

    return not supports(store, ClientStore)


def _asked(state: SessionState) -> Any:
    """Return copies of views and loans, so that a question does not change what they note."""
    from copy import copy

    views = None if state.views is None else {key: copy(view) for key, view in state.views.items()}
    loans = None if state.loans is None else [(key, copy(loan)) for key, loan in state.loans]
    return views, loans
