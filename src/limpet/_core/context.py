"""What an engine consists of, and what the steps of a load or commit need of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from limpet import events
from limpet._cookie_revocation import Revocation
from limpet._cookies import MAX_COOKIE
from limpet._core.binding import Binder
from limpet._core.plan import Plan, Rules
from limpet._core.state import AMBIGUOUS, DISPLACED, ENDED, SessionState
from limpet._core.storage import Storage
from limpet._emitter import Emitter
from limpet._inline import Inline
from limpet._watch import Watch
from limpet._wire import record, tokens
from limpet._wire.ids import Ids
from limpet._wire.record import Contents
from limpet.contract import ClientStore, Store, supports
from limpet.policy import SessionPolicy
from limpet.protocols import Header, Importer, Reader, Runtime, Sealer, Serializer, Signal, Transport

__all__ = ["Context"]

log: Final = logging.getLogger("limpet")


class Context:
    """An engine, as the steps see it; `limpet._core.engine.Engine` is the one there is.

    Attributes:
        storage: Calls the store.
        ids: Turns ids into tokens and keys.
        emitter: Tells the listeners, and the tracer.
        emit: Tells the listeners.
        rules: What the policy comes to.
        policy: The policy.
        serializer: Turns values into bytes.
        transport: Carries the token.
        clock: Returns milliseconds since 1970.
        client: The store, where it is one that keeps the session in the cookie.
        is_server_side: The store keeps records.
        cookie_limit: Bytes that the header with a cookie session may have.
        farewell: Headers that go out when a token is taken back.
        importers: Readers of another library's sessions.
        reader: Finds and unseals the cookie of nearly every request in one go; None: there is no such shortcut.
        revocation: How cookie sessions are ended; None: they are not.
        watch: What this process has seen of locks that others hold.
        binder: Binds sessions to devices; None: nothing does.
        description: Returns what is to be known of a client; None: nothing is.
    """

    storage: Storage
    ids: Ids
    emitter: Emitter
    rules: Rules
    policy: SessionPolicy
    serializer: Serializer
    transport: Transport
    client: ClientStore
    is_server_side: bool
    cookie_limit: int
    farewell: Sequence[Header]
    importers: Sequence[Importer]
    reader: Reader | None
    revocation: Revocation | None
    watch: Watch
    binder: Binder | None = None

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
        id_bytes: int = tokens.ID_BYTES,
        persistent: bool | Literal["remembered"] = True,
        cookie: str | None = None,
        cookie_limit: int = MAX_COOKIE,
        farewell: Sequence[Header] = (),
        runtime: Runtime | None = None,
        beside: Callable[[], Runtime | None] = lambda: None,
        describe: Callable[[Mapping[str, Any]], dict[str, str]] | None = None,
        importers: Sequence[Importer] = (),
        reader: Reader | None = None,
    ) -> None:
        self.emitter = Emitter(clock, runtime or Inline(), monotonic, beside)
        self.emit: Callable[..., None] = self.emitter.emit
        self.clock: Callable[[], int] = clock
        self.policy = policy
        self.transport = transport
        self.serializer = serializer
        self.namespace = namespace
        self.id_sealer = id_sealer
        self.cookie_limit = cookie_limit
        self.farewell = tuple(farewell)
        self.description: Callable[[Mapping[str, Any]], dict[str, str]] | None = describe
        self.emitter.describe = describe
        self.importers = tuple(importers)
        self.reader = reader  # finds and unseals a cookie where there is but one, in one go
        self.ids = Ids(namespace, id_sealer, unsigned_until, clock, id_bytes)
        client_side = supports(store, ClientStore)
        self.rules = Rules(policy, is_server_side=not client_side, persistent=persistent, cookie=cookie)
        self.rotate_on: frozenset[str] = self.rules.rotate_on
        self.storage = Storage(
            store,
            rules=self.rules,
            serializer=serializer,
            emitter=self.emitter,
            key_of=self.ids.key_of,
            host=host,
            monotonic=monotonic,
        )
        self.is_server_side = self.storage.is_server_side
        self.client = self.storage.client
        self.kept: Store | None = self.storage.kept
        self.revocation = getattr(store, "revocation", None) if client_side else None
        self.watch = Watch(monotonic)
        self.reads_cookies: bool = bool(self.importers) or transport.vary.lower() == b"cookie"  # an importer does
        extra = self.reads_cookies and transport.vary.lower() != b"cookie"
        self.vary: bytes = transport.vary + b", Cookie" if extra else transport.vary
        self._working: dict[int, list[Signal]] = {}  # those who wait for a session, while one has its only turn
        self._warned_of_copies = self._warned_of_rivals = False
        self._pack: Callable[[SessionState], bytes] = self.pack  # a method is a new object each time it is taken
        self._same: Callable[[bytes, bytes], bool] = self.same
        self._base: Callable[[SessionState], Mapping[str, Any]] = self.base

    def use_serializer(self, serializer: Serializer) -> None:
        """Read and write in another format from now on, as a tool does that has looked at what a store holds."""
        self.serializer = self.storage.serializer = serializer

    def use_clock(self, clock: Callable[[], int]) -> None:
        """Go by another clock from now on, as a test does that turns it."""
        self.clock = self.ids.clock = self.emitter.clock = self.storage.clock = clock

    def decide(self, state: SessionState, now: int, failed: bool = False) -> Plan:
        """Return what a commit would do now."""
        raise NotImplementedError

    def pack(self, state: SessionState) -> bytes:
        """Return the payload of a session as it is now."""
        raise NotImplementedError

    def same(self, payload: bytes, base: bytes) -> bool:
        """Tell whether two payloads hold equal contents."""
        return record.same(payload, base, self.serializer)

    def base(self, state: SessionState) -> Mapping[str, Any]:
        """Return the keys and values as they were read."""
        raise NotImplementedError

    def describe(self, state: SessionState, draft: Contents, flags: int, login: bool) -> bool:
        """Note what the application wants to know of the client, where a session begins or somebody logs in."""
        begins = state.stored is None or login or flags & (ENDED | DISPLACED)
        if self.description is None or state.context is None or not begins:
            return False
        before, draft.device = draft.device, self.description(state.context)
        return draft.device != before

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

    def warn_of_copies(self) -> None:
        """Warn once that a cookie session cannot be ended where a copy of its cookie is."""
        if self.revocation is None and not self._warned_of_copies:
            self._warned_of_copies = True
            log.warning(
                "somebody logged in to a session that lives in its cookie: a copy of the cookie outlives the logout. "
                "Use a store on the server, or CookieStore(revocation='denylist', revocation_store='sqlite:///ended.db')"
            )
