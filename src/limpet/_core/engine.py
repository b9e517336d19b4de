"""The engine: reads a session when a request begins and saves it when the response starts.

Read in the order of a request: `reading` (finds the session), `session` and `state`, `plan` (what to do), `commit`;
then `attempt` (what one commit works with), `conflict` (another request was first) and `settle` (what a merge puts into
the handler's objects), `rotation` (a new id), `predecessors` and `withdrawal` (one that was not finished, one that does
not go out), `logins`, `positions` (revocations), `places` (limits), `ending`, `locks`. Only `storage` calls stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, cast

from limpet import _importing as importing
from limpet import _token_headers as token_headers
from limpet import events
from limpet._cookies import stays_at_home
from limpet._core import commit as commits
from limpet._core import cookie_session, plan, questions, reading
from limpet._core.context import Context
from limpet._core.mapping import state_of
from limpet._core.plan import Plan
from limpet._core.session import Session
from limpet._core.state import (
    CLOSED,
    CROSS_SITE,
    FAILED,
    PENDING,
    READ_ONLY,
    READY,
    REFUSED,
    SEALED,
    WRITTEN,
    SessionState,
)
from limpet._exclusive import Renewable, SessionLock
from limpet._redact import redact
from limpet._wire import record
from limpet.errors import LimpetError, SessionClosed, StoreUnavailable
from limpet.protocols import Header, Runtime, Signal, Tracer

__all__ = ["Engine"]

S = TypeVar("S", bound=Renewable)


class Engine(Context):
    """Loads and commits sessions. `limpet.SessionManager` puts one together from settings that a person writes.

    Attributes:
        owner: What put the engine together, a `limpet.SessionManager`; None: nothing did.
        no_store: No cache is to keep what was made with a session (`CookiePolicy.no_store`).
    """

    owner: Any = None
    no_store: bool = False

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
        state.headers = headers
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

    async def load(self, session: Any) -> None:
        """Read the session from the store, once. Unknown, expired, malformed, forged: anonymous.

        Raises:
            StoreUnavailable: The store does not answer; later use of the session raises it again.
        """
        state = state_of(session)
        if state.loaded == SEALED:
            cookie_session.open_sealed(self, state)
        if state.loaded == READY:
            return
        await self._wait(state, [])
        try:
            if state.loaded == READY:
                return  # another task of the same request was faster
            questions.refuse_to_wait_again(state)
            find = reading.find(self, state)
            await (find if self.emitter.tracer is None else self.emitter.traced("load", find))
        except StoreUnavailable as error:
            redact(error)
            if self.policy.on_load_error == "anonymous":
                state.loaded = READY
                state.flags |= READ_ONLY
                return
            state.loaded, state.error = FAILED, error
            raise
        finally:
            self._leave(state)
        state.error = None

    def open_sealed(self, state: SessionState) -> None:
        """Open a session that lives in its cookie."""
        cookie_session.open_sealed(self, state)

    # -- a response starts, or ends

    def is_idle(self, state: SessionState) -> bool:
        """Return whether a commit would find nothing to do: nothing noted, handed out or due."""
        return plan.is_quiet(state, self.rules, self.clock)

    async def commit(self, session: Any, *, failed: bool = False, final: bool = True) -> None:
        """Carry out what was noted on the session; what is to be sent is then in `headers`.

        Args:
            failed: The request ended in an exception or a status of 500 and more.
            final: The response starts, or has started; else the handler goes on (`Session.save`).

        Raises:
            StoreUnavailable: The store does not answer; nothing is reported as saved.
            SessionConflict: A strict key was changed on two sides, or the merge budget ended.
            SessionLimitReached: The policy refuses a login.
            UnstorableValue: A value cannot be stored; the stored record is untouched.
            CookieTooLarge: The session does not fit into its cookie; the old cookie stays valid.
        """
        state = state_of(session)
        failed = (failed or bool(state.flags & REFUSED)) and not self.policy.save_on_error
        mine: list[Signal] = []
        waited = id(state) in self._working
        if waited:  # what another task has taken up is saved when it is done, and not before
            await self._wait(state, mine)
        wrote = state.flags & WRITTEN  # so there is something to do
        if not wrote and plan.is_quiet(state, self.rules, self.clock) and not (failed and state.created is not None):
            if waited:
                self._leave(state)
            return
        if not waited and self._working.setdefault(id(state), mine) is not mine:
            await self._wait(state, mine)
        try:
            work = commits.commit(self, state, failed=failed, final=final)
            await (work if self.emitter.tracer is None else self.emitter.traced("commit", work))
        except LimpetError as error:
            state.error = redact(error)
            raise
        finally:
            self._leave(state)

    async def save(self, session: Any) -> None:
        """Commit now, as `Session.save` asks."""
        state = state_of(session)
        if state.phase == CLOSED:
            raise SessionClosed("saved after the application returned")
        if state.phase and not self.is_server_side and self.differs(state):
            raise SessionClosed(
                "this session lives in its cookie, which can no longer be set: the response has started"
            )
        await self.commit(session, final=state.phase != 0)

    async def _wait(self, state: SessionState, mine: list[Signal]) -> None:
        """Wait until no other task or thread reads, decides, writes or refreshes this session."""
        while (waiting := self._working.setdefault(id(state), mine)) is not mine:
            signal = self.runtime.signal()
            waiting.append(signal)
            if self._working.get(id(state)) is waiting:  # else another thread has just left, and may not have seen it
                await signal.wait()

    def _leave(self, state: SessionState) -> None:
        for signal in self._working.pop(id(state)):  # the first of them goes on, and the others wait for that one
            signal.set()

    def headers(self, session: Any) -> list[Header]:
        """Return the headers that hand out or take back the token, if this response needs them; once."""
        return token_headers.headers(self, state_of(session))

    # -- questions about a session

    def decide(self, state: SessionState, now: int, failed: bool = False) -> Plan:
        """Return what a commit would do now."""
        return plan.decide(state, self.rules, now, self._pack, self._same, self._base, failed=failed)

    def pack(self, state: SessionState) -> bytes:
        """Return the payload of a session as it is now."""
        if state.views is not None or state.loans is not None:
            return questions.pack_as_it_will_be(self, state)
        assert state.draft is not None
        return record.pack(state.draft, self.serializer)

    def base(self, state: SessionState) -> Mapping[str, Any]:
        """Return the keys and values as they were read, or as they moved in."""
        return record.unpack(payload, self.serializer).data if (payload := importing.base_of(state)) else {}

    def differs(self, state: SessionState) -> bool:
        """Return whether the session has something to save."""
        return questions.differs(self, state)

    def deadline_of(self, state: SessionState) -> int | None:
        """Return when the session ends if nobody uses it, in milliseconds since 1970; None if there is none."""
        if state.draft is None:
            return None
        accessed = state.stored.record.accessed if state.stored is not None else self.clock()
        return plan.deadline(state.draft, accessed, self.policy)

    async def is_live(self, session: Any) -> bool:
        """Return whether the store still has the session and its deadlines have not passed."""
        await self.load(session)
        return await reading.is_live(self, state_of(session))

    async def refresh(self, session: Any) -> None:
        """Read the record again and merge unsaved changes over it."""
        await self.load(session)
        state = state_of(session)
        await self._wait(state, [])
        try:
            questions.refuse_to_wait_again(state)
            await reading.refresh(self, state)
        except LimpetError as error:
            state.error = redact(error)
            raise
        finally:
            self._leave(state)

    def exclusive_for(self, session: S, name: str, *, life: float, wait: float) -> AbstractAsyncContextManager[S]:
        """Hold a lock of one session."""
        return SessionLock(self, session, state_of(cast(Any, session)), name, life=life, wait=wait)

    # -- notes

    def note_login(self, state: SessionState) -> None:
        """Note which revocations are known now, for a login that was just called."""
        self.storage.positions.note_login(state)

    def note_client(self, session: Any, request: Mapping[str, Any]) -> None:
        """Note whose request it is: ``headers`` and ``client`` as an ASGI scope has them."""
        state_of(session).context = context = {"headers": request["headers"], "client": request.get("client")}
        events.CLIENT.set(context)

    def note_cross_site(self, session: Any) -> None:
        """Note that another site sent it: where a cookie stays at home then, only a login begins a session."""
        state = state_of(session)
        if not state.ids and stays_at_home(self.transport):
            state.flags |= CROSS_SITE

    def drop_write(self, state: SessionState, reason: str) -> None:
        """Say that something that was written could not be kept."""
        key, subject = questions.whose(state)
        self.emit(events.WriteDropped, key, subject=subject, reason=reason)
