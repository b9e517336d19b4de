"""`SessionManager`: turns the settings that a person writes into the parts that the engine runs on."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import TYPE_CHECKING, Any

from limpet import _assembly as assembly
from limpet import environment, events
from limpet._arguments import check_lock, check_sweep
from limpet._blocking import ThreadRuntime
from limpet._core import locks
from limpet._core.engine import Engine
from limpet._core.session import Session
from limpet._doors import BlockingManager
from limpet._inline import Inline
from limpet._moments import system_clock
from limpet._shared import Shared
from limpet._wire import marks
from limpet._wire.tokens import ID_BYTES, SHORT_BYTES
from limpet.bound.policy import BoundPolicy
from limpet.contract import Checks, ClientStore, Immediate, Store, Sweeps, SweepsInParts, supports
from limpet.devices import DevicePolicy, warm_up
from limpet.directory import Directory, SessionInfo
from limpet.events import Listener
from limpet.keyring import Key, Keyring
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.protocols import Header, Importer, Reader, Runtime, Sealer, Serializer, Transport
from limpet.refusals import OnRefused
from limpet.transports.cookie import CookieTransport

if TYPE_CHECKING:
    from limpet.bound.guard import Guard

__all__ = ["SessionManager", "system_clock"]

_BATCH = 500  # expired records that one step of a sweep deletes
_SWEEP_LIFE = 300.0  # seconds after which another process may sweep, should the one that does have died

log: logging.Logger = logging.getLogger("limpet")


class SessionManager(Shared):
    """Everything about the sessions of one application: where they are kept, how long, under which cookie.

    Args:
        store: A URL (``sqlite:///sessions.db``, ``redis://…``, ``postgresql://…``, ``file:…``, ``memory:``,
            ``cookie:``, ``cookie:signed``) or a store. None: ``LIMPET_STORE``; in development
            ``sqlite:///.limpet/sessions.db``.
        secret: One secret, several with the newest first, or a `Keyring`. None: ``LIMPET_SECRET``. Server-side
            stores work without; with one, ids are signed and junk never reaches the store.
        policy: How long sessions live and how two requests meet.
        cookie: What the cookie is like.
        transport: Carries the id some other way, such as `limpet.transports.HeaderTransport`.
        serializer: How values become bytes; MessagePack when None.
        importers: Readers of another library's sessions, for moving in without logging anyone out.
        label: Tells several managers on one host apart: it becomes part of the cookie's name, and a label of metrics.
        dev: Development over plain http: a cookie without Secure, a generated secret. None: ``LIMPET_DEV``.
        namespace: What store keys are derived under; the cookie's name when None.
        devices: Note user agent and truncated address when a session begins and at each login: True, or a
            `limpet.devices.DevicePolicy`.
        encrypt: Encrypt what a server-side store keeps, under the newest secret, bound to where it is kept.
        plain_until: With ``encrypt``: until then, what was stored before is read although it is not encrypted.
        unsigned_until: Until then, ids that were handed out before there was a secret are accepted, and signed with the
            next response: a date, or a time with a zone. None: ``LIMPET_UNSIGNED_UNTIL``.
        short_ids: Hand out ids of 40 characters that are not signed, as Django's are, to share sessions with an
            application on Django. With a secret, signed ids that were handed out before are still accepted.
        bound: Bind logins to the device that they happen on, in browsers that can, so that a copied cookie is worth
            nothing after minutes: True, or a `limpet.bound.BoundPolicy`. Needs a secret and ``limpet[bound]``.
        on_refused: Makes the application's own pages for requests that cannot be served (403, 409, 503), see
            `limpet.refusals`. None: a line of text.
        clock: Returns milliseconds since 1970.

    Attributes:
        blocking: The same words for code without an event loop, as calls that block: ``manager.blocking.revoke_all``.
        guard: Binds sessions to devices; None: nothing does. For middleware.

    Raises:
        ConfigurationError: A setting cannot work; the message names the cure.
    """

    def __init__(
        self,
        store: Store | ClientStore | str | None = None,
        *,
        secret: str | bytes | Key | Keyring | Iterable[str | bytes | Key] | None = None,
        policy: SessionPolicy | None = None,
        cookie: CookiePolicy | None = None,
        transport: Transport | None = None,
        serializer: Serializer | None = None,
        importers: Iterable[Importer] = (),
        label: str | None = None,
        dev: bool | None = None,
        namespace: str | None = None,
        devices: bool | DevicePolicy = False,
        encrypt: bool = False,
        plain_until: date | None = None,
        unsigned_until: date | None = None,
        short_ids: bool = False,
        bound: bool | BoundPolicy = False,
        on_refused: OnRefused | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        assembly.check_settings(
            policy=policy,
            cookie=cookie,
            transport=transport,
            serializer=serializer,
            devices=devices,
            namespace=namespace,
            clock=clock,
            bound=bound,
            on_refused=on_refused,
        )
        assembly.check_flags(dev=dev, encrypt=encrypt, short_ids=short_ids)
        self.on_refused = on_refused
        self.dev: bool = environment.is_development(dev)
        self.label: str = label or "default"
        named = environment.store_from_environment(self.dev) if store is None else store
        kept = assembly.store_of(named)
        cookie = cookie or CookiePolicy()
        self.cookie: CookiePolicy = cookie.for_development() if self.dev else cookie
        self.cookie_name: str = self.cookie.derive_name(label, self.dev)
        self.cookie.check_name(self.cookie_name)
        client_side = supports(kept, ClientStore)
        needs = encrypt or client_side or bool(bound)
        self.keyring: Keyring | None = assembly.keyring_of(
            secret, needs_one=needs, dev=self.dev, given_store=store is not None
        )
        id_sealer: Sealer | None = None
        reader: Reader | None = None
        if client_side:
            bind = getattr(kept, "bind", None)
            if bind is not None:
                bind(self.keyring, self.cookie_name, clock)
        elif self.keyring is not None and not short_ids:
            from limpet.sealers.signed import SignedSealer

            id_sealer = SignedSealer(self.keyring, purpose="id", name=self.cookie_name, clock=clock)
        if transport is None:
            make_reader = getattr(kept, "reader", None)
            reader = None if make_reader is None else make_reader(self.cookie_name)
            transport = CookieTransport(self.cookie_name, self.cookie)
        if serializer is None:
            from limpet.serializers.msgpack import MsgpackSerializer

            serializer = MsgpackSerializer()
        namespace = self.cookie_name if namespace is None else namespace
        if encrypt or plain_until is not None:
            kept = assembly.encrypted(kept, self.keyring if encrypt else None, namespace, clock, plain_until)
        self.engine: Engine = Engine(
            store=kept,
            policy=policy or SessionPolicy(),
            transport=transport,
            serializer=serializer,
            namespace=namespace,
            clock=clock,
            monotonic=time.monotonic_ns,
            host=environment.host_since_boot(),
            id_sealer=id_sealer,
            unsigned_until=environment.unsigned_until(unsigned_until),
            id_bytes=SHORT_BYTES if short_ids else ID_BYTES,
            persistent=self.cookie.persistent,
            beside=ThreadRuntime().here,
            cookie=self.cookie.fingerprint() if isinstance(transport, CookieTransport) else None,
            cookie_limit=self.cookie.max_size,
            farewell=self.cookie.farewell(),
            importers=assembly.importers_of(importers),
            reader=reader,
            describe=(DevicePolicy() if devices is True else devices).describe if devices else None,
        )
        self.engine.owner, self.engine.no_store = self, self.cookie.no_store
        assembly.let_tell_apart(self.engine)
        self.guard: Guard | None = assembly.guard_of(self, bound, label)
        self.directory: Directory = Directory(self.engine)
        self.blocking: BlockingManager = BlockingManager(self)
        signs = id_sealer is not None
        assembly.check_together(
            self.policy, kept, devices=devices, short_ids=short_ids, unsigned_until=unsigned_until, signs=signs
        )
        if self.dev:
            environment.announce(named if isinstance(named, str) else type(named).__name__)

    @property
    def store(self) -> Store | ClientStore:
        """The store: it keeps records, or the sessions are in their cookies."""
        return self.engine.storage.store

    @property
    def kept(self) -> Store | None:
        """What keeps the sessions, or the marks of what ended those in cookies; None: nothing is kept."""
        return self.engine.kept

    @property
    def policy(self) -> SessionPolicy:
        """How long sessions live and how two requests meet."""
        return self.engine.policy

    @property
    def clock(self) -> Callable[[], int]:
        """Returns milliseconds since 1970."""
        return self.engine.clock

    @clock.setter
    def clock(self, clock: Callable[[], int]) -> None:
        self.engine.use_clock(clock)

    @property
    def runtime(self) -> Runtime:
        """What the manager needs of an event loop."""
        return self.engine.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self.engine.runtime = runtime

    # -- a request, for middleware and for programs without one

    def begin(self, headers: Sequence[Header], make: Callable[[Engine], Session] = Session) -> Session:
        """Return the session of a request, of the class that an adapter has. No I/O; nothing is decoded or verified."""
        return self.engine.begin(headers, make)

    async def load(self, session: Session) -> None:
        """Read the session from the store, once. Unknown, expired, malformed, forged: anonymous.

        Raises:
            StoreUnavailable: The store does not answer; later use of the session raises it again.
        """
        await self.engine.load(session)

    async def commit(self, session: Session, *, failed: bool = False) -> None:
        """Save the session before the response starts; what is to be sent is then in `headers`.

        Args:
            failed: The request ended in an exception or a status of 500 and more.

        Raises:
            StoreUnavailable: The store does not answer; nothing is reported as saved.
            SessionConflict: A strict key was changed on two sides, or the merge budget ended.
            SessionLimitReached: The policy refuses a login.
            UnstorableValue: A value cannot be stored; the stored record is untouched.
            CookieTooLarge: The session does not fit into its cookie; the old cookie stays valid.
        """
        await self.engine.commit(session, failed=failed)

    def header(self, session: Session) -> Header | None:
        """Return the header that hands out or takes back the token, if this response needs one; once."""
        return next(iter(self.engine.headers(session)), None)

    def headers(self, session: Session) -> list[Header]:
        """Return all headers that this response needs for the token; once. More than one where cookies are cleared."""
        return self.engine.headers(session)

    def listen(self, listener: Listener) -> Listener:
        """Call ``listener`` with every event from now on; usable as a decorator. It can never break a request."""
        return self.engine.emitter.listen(listener)

    # -- sessions from outside

    async def sessions_of(self, subject: str, *, current: Session | str | None = None) -> list[SessionInfo]:
        """Return the live sessions of a subject, the last used first; see `Directory.sessions_of`."""
        return await self.directory.sessions_of(subject, current=current)

    async def revoke(self, public_id: str | None = None, *, tag: tuple[str, str] | None = None) -> int:
        """End one session, or all that were logged in with a tag; return how many. See `Directory.revoke`."""
        return await self.directory.revoke(public_id, tag=tag)

    async def revoke_all(self, subject: str, *, except_: Session | str | None = None) -> int:
        """End all sessions of a subject, on every device; return how many. See `Directory.revoke_all`."""
        return await self.directory.revoke_all(subject, except_=except_)

    async def revoke_everyone(self) -> int:
        """End every session in the store; return how many. See `Directory.revoke_everyone`."""
        return await self.directory.revoke_everyone()

    async def export(self, subject: str) -> list[dict[str, Any]]:
        """Return everything that is kept of a subject; see `Directory.export`."""
        return await self.directory.export(subject)

    async def erase(self, subject: str) -> int:
        """Delete everything that is kept of a subject; return how many sessions that ended. See `Directory.erase`."""
        return await self.directory.erase(subject)

    def open(self, public_id: str) -> AbstractAsyncContextManager[Session]:
        """Open a live session without its client, in a worker or a background job; see `Directory.open`."""
        self.use_running_loop()
        return self.directory.open(public_id)

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractAsyncContextManager[None]:
        """Hold the only lock of a name over all processes that use the store.

        Args:
            name: What is done one at a time.
            life: Seconds after which another may go ahead, should this process die.
            wait: Seconds to wait for others at most.

        Raises:
            SessionBusy: Others held it all the time.
            StoreUnavailable: The store does not answer.
        """
        check_lock(name, life, wait)
        self.use_running_loop()
        return locks.Lock(self.engine, "name", name, life=life, wait=wait)

    def use_running_loop(self) -> None:
        """Run on asyncio from now on, if this is called on an event loop of its; the middleware does it by itself."""
        if "asyncio" not in sys.modules or not isinstance(self.runtime, Inline):
            return  # a program that runs on it has imported it
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        from limpet.runtime import AsyncioRuntime

        self.runtime = AsyncioRuntime()

    # -- operation

    async def startup(self) -> None:
        """Open the store now instead of at the first request.

        Raises:
            StoreUnavailable: It cannot be opened; the next use tries again.
        """
        self.use_running_loop()
        if self.engine.description is not None:
            warm_up()
        if self.kept is not None:
            await self.kept.open()

    async def shutdown(self) -> None:
        """Finish what is under way and close the store; a later use opens it again."""
        if self.kept is not None:
            await self.kept.close()

    async def check(self) -> list[str]:
        """Ask the store whether it works, as a readiness probe does; return what an operator should fix.

        Raises:
            StoreUnavailable: It does not work.
        """
        kept: Any = self.kept
        storage = self.engine.storage
        if kept is not None and supports(kept, Checks):
            return list(await storage.call("check", kept.check()))
        if kept is not None:
            await storage.load("0" * 64)
        return []

    async def sweep(self, limit: int | None = None, *, once: bool = False) -> int:
        """Delete expired records in small batches, at most ``limit`` of them; return how many.

        They stay for five minutes, since the clock of another host may be behind by that. Stores that forget by
        themselves (Redis) have nothing to do. Safe beside traffic and beside other sweeps. Each batch is an event
        (`SessionsSwept`), so that a long one can be watched.

        Args:
            limit: Records to delete at most; None: all that are expired.
            once: If another process is sweeping this store at the moment, leave it to that one and return 0.
        """
        check_sweep(limit, once)
        store: Any = self.kept
        if store is None or not supports(store, Sweeps):
            return 0
        if not once or supports(store, Immediate) or not self.engine.is_server_side:
            return await self._sweep(store, limit)
        key = marks.mark_key("lock", "sweep")
        held = await locks.acquire(self.engine, key, _SWEEP_LIFE, wait=0)
        if held is None:
            return 0
        try:
            return await self._sweep(store, limit)
        finally:
            await locks.release(self.engine, key, held)

    async def _sweep(self, store: Sweeps, limit: int | None) -> int:
        swept = 0
        while limit is None or swept < limit:
            batch = _BATCH if limit is None else min(_BATCH, limit - swept)
            done = await self.engine.storage.call("sweep", store.sweep(self.clock() - marks.SKEW, batch))
            swept += done
            if done:
                self.engine.emit(events.SessionsSwept, deleted=done, so_far=swept)
            if done < batch and not (supports(store, SweepsInParts) and store.sweep_goes_on):
                break
            if supports(store, Immediate):  # a call that never waits lets nobody else run
                await self.runtime.sleep(0)
        if swept:
            log.info("%d expired sessions were swept", swept)
        return swept

    def __repr__(self) -> str:
        return f"SessionManager({type(self.store).__name__}, cookie={self.cookie_name!r})"
