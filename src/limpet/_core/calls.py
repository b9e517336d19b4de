"""How an engine calls its store: within a budget, failed writes once more, and with its failures told.

Nothing else awaits a store.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar, cast

from limpet._core import events
from limpet._core.emitter import Emitter
from limpet._core.protocols import ClientStore, Immediate, Outcome, Runtime, Settles, Store
from limpet._core.record import Record
from limpet.errors import LimpetError, StoreUnavailable

if TYPE_CHECKING:
    from limpet._core.policy import SessionPolicy
    from limpet._core.revocation import Revocation

__all__ = ["Calls"]

T = TypeVar("T")
log = logging.getLogger("limpet")

_SETTLED: Final = frozenset({"load", "touch"})
"""Writes are tried twice, and all of it is to be within the policy's time."""


class _NoRecords:
    """Stands where a store on the server would."""

    def __getattr__(self, name: str) -> NoReturn:
        raise LimpetError("a cookie session has no record on the server: use a store such as sqlite:///sessions.db")


class Calls(Emitter):
    """The part of an engine that calls the store.

    Attributes:
        store: As it was given: it keeps records, or the sessions are in their cookies.
        server: The store, where it is one that keeps records.
        client: The store, where it is one that keeps the session in the cookie.
        kept: Keeps the sessions, or the notes of what ended those that are in cookies; None: there is nothing to ask.
        revocation: How cookie sessions are ended, if they can be.
        immediate: Its calls never wait.
        settles: Its reads end by themselves within the policy's time.
    """

    def __init__(
        self, store: Store | ClientStore, policy: SessionPolicy, clock: Callable[[], int], runtime: Runtime
    ) -> None:
        super().__init__(clock, runtime)
        self.store = store
        self.policy = policy
        # A runtime-checkable protocol takes microseconds to check: once is enough.
        self.is_server_side = not isinstance(store, ClientStore)
        self.server = cast("Store", store if self.is_server_side else _NoRecords())
        self.client = cast("ClientStore", store)
        self.revocation: Revocation | None = None if self.is_server_side else getattr(store, "revocation", None)
        self.kept: Store | None = self.server if self.is_server_side else getattr(store, "revocation_store", None)
        self.immediate = isinstance(self.kept, Immediate)
        within = self.kept.settles_within if isinstance(self.kept, Settles) else None
        self.settles = within is not None and within <= policy.store_timeout

    async def call(self, name: str, call: Awaitable[T], key: str | None = None) -> T:
        """Await one call of the store within its budget.

        Raises:
            StoreUnavailable: It failed, or took longer.
        """
        if self.tracer is not None:
            call = self.traced(f"store.{name}", call)
        try:
            if self.immediate or (self.settles and name in _SETTLED):
                return await call
            return await self.runtime.limit(call, self.policy.store_timeout)
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
        if self.immediate:
            return await self.call(name, attempt(), key)

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

        return await self.call(name, twice(), key)
