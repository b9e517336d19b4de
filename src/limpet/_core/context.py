"""What the steps of a load or commit need of the engine that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limpet._cookie_revocation import Revocation
from limpet._core.binding import Binder
from limpet._core.plan import Plan, Rules
from limpet._core.state import SessionState
from limpet._core.storage import Storage
from limpet._emitter import Emitter
from limpet._watch import Watch
from limpet._wire.ids import Ids
from limpet._wire.record import Contents
from limpet.contract import ClientStore
from limpet.policy import SessionPolicy
from limpet.protocols import Header, Importer, Reader, Serializer, Transport

__all__ = ["Context"]


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
    emit: Callable[..., None]
    rules: Rules
    policy: SessionPolicy
    serializer: Serializer
    transport: Transport
    clock: Callable[[], int]
    client: ClientStore
    is_server_side: bool
    cookie_limit: int
    farewell: Sequence[Header]
    importers: Sequence[Importer]
    reader: Reader | None
    revocation: Revocation | None
    watch: Watch
    binder: Binder | None = None
    description: Callable[[Mapping[str, Any]], dict[str, str]] | None

    def decide(self, state: SessionState, now: int, failed: bool = False) -> Plan:
        """Return what a commit would do now."""
        raise NotImplementedError

    def pack(self, state: SessionState) -> bytes:
        """Return the payload of a session as it is now."""
        raise NotImplementedError

    def same(self, payload: bytes, base: bytes) -> bool:
        """Tell whether two payloads hold equal contents."""
        raise NotImplementedError

    def base(self, state: SessionState) -> Mapping[str, Any]:
        """Return the keys and values as they were read."""
        raise NotImplementedError

    def describe(self, state: SessionState, draft: Contents, flags: int, login: bool) -> bool:
        """Note what the application wants to know of the client."""
        raise NotImplementedError

    def note_ambiguous(self, state: SessionState) -> None:
        """Note that a request presented two live sessions."""
        raise NotImplementedError

    def warn_of_copies(self) -> None:
        """Warn once that a cookie session cannot be ended where a copy of its cookie is."""
        raise NotImplementedError
