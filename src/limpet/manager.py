"""`SessionManager`: turns the settings that a person writes into the parts that the engine runs on."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from limpet import environment
from limpet._core import events, locks, marks
from limpet._core.keyring import Key, Keyring
from limpet._core.policy import CookiePolicy, SessionPolicy
from limpet._core.protocols import (
    Checks,
    ClientStore,
    Finds,
    Immediate,
    Importer,
    Reader,
    Sealer,
    Serializer,
    Store,
    Sweeps,
    Transport,
)
from limpet.devices import DevicePolicy, warm_up
from limpet.errors import ConfigurationError, LimpetWarning
from limpet.subjects import Subjects

__all__ = ["SessionManager", "system_clock"]

_BATCH = 500  # expired records that one step of a sweep deletes
_SWEEP_LIFE = 300.0  # seconds after which another process may sweep, should the one that does have died

log = logging.getLogger("limpet")


def system_clock() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class SessionManager(Subjects):
    """Everything about the sessions of one application: where they are kept, how long, under which cookie.

    Args:
        store: A URL (``sqlite:///sessions.db``, ``redis://…``, ``postgresql://…``, ``file:…``, ``memory:``,
            ``cookie:``,
            ``cookie:signed``) or a store. None: ``LIMPET_STORE``; in development ``sqlite:///.limpet/sessions.db``.
        secret: One secret, several with the newest first, or a `Keyring`. None: ``LIMPET_SECRET``. Server-side
            stores work without; with one, ids are signed and junk never reaches the store.
        policy: How long sessions live and how two requests meet.
        cookie: What the cookie is like.
        transport: Carries the id some other way, such as `limpet.transports.HeaderTransport`.
        serializer: How values become bytes; MessagePack when None.
        importers: Readers of another library's sessions, for moving in without logging anyone out.
        label: Tells several managers on one host apart: it becomes part of the cookie's name.
        dev: Development over plain http: a cookie without Secure, a generated secret. None: ``LIMPET_DEV``.
        namespace: What store keys are derived under; the cookie's name when None.
        devices: Note user agent and truncated address when a session begins and at each login: True, or a
            `limpet.devices.DevicePolicy`.
        encrypt: Encrypt what a server-side store keeps, under the newest secret, bound to where it is kept.
        plain_until: With ``encrypt``: until then, what was stored before is read although it is not encrypted.
        clock: Returns milliseconds since 1970.

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
        plain_until: datetime | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self.dev = environment.is_development(dev)
        named = environment.store_from_environment(self.dev) if store is None else store
        kept = _open(named)
        cookie = cookie or CookiePolicy()
        self.cookie = cookie.for_development() if self.dev else cookie
        self.cookie_name = self.cookie.derive_name(label, self.dev)
        self.cookie.check_name(self.cookie_name)
        self.keyring = _keyring(
            secret, needs_one=encrypt or isinstance(kept, ClientStore), dev=self.dev, given_store=store is not None
        )
        id_sealer: Sealer | None = None
        reader: Reader | None = None
        if isinstance(kept, ClientStore):
            bind = getattr(kept, "bind", None)
            if bind is not None:
                bind(self.keyring, self.cookie_name, clock)
        elif self.keyring is not None:
            from limpet.sealers.signed import SignedSealer

            id_sealer = SignedSealer(self.keyring, purpose="id", name=self.cookie_name, clock=clock)
        if transport is None:
            from limpet.transports.cookie import CookieTransport

            make_reader = getattr(kept, "reader", None)
            reader = None if make_reader is None else make_reader(self.cookie_name)
            transport = CookieTransport(self.cookie_name, self.cookie)
        if serializer is None:
            from limpet.serializers.msgpack import MsgpackSerializer

            serializer = MsgpackSerializer()
        namespace = self.cookie_name if namespace is None else namespace
        if encrypt or plain_until is not None:
            kept = _encrypted(kept, self.keyring if encrypt else None, namespace, clock, plain_until)
        super().__init__(
            store=kept,
            policy=policy or SessionPolicy(),
            transport=transport,
            serializer=serializer,
            namespace=namespace,
            clock=clock,
            id_sealer=id_sealer,
            persistent=self.cookie.persistent,
            importers=tuple(importers),
            reader=reader,
            describe=(DevicePolicy() if devices is True else devices).describe if devices else None,
        )
        if self.policy.max_sessions is not None and not isinstance(kept, Finds):
            raise ConfigurationError(
                f"max_sessions needs a store that finds sessions by subject, and {type(kept).__name__} does not: use "
                "one on the server, such as sqlite:///sessions.db"
            )
        if self.dev:
            environment.announce(named if isinstance(named, str) else type(named).__name__)

    async def startup(self) -> None:
        """Open the store now instead of at the first request.

        Raises:
            StoreUnavailable: It cannot be opened; the next use tries again.
        """
        self.use_running_loop()
        if self.describe is not None:
            warm_up()
        if self.kept is not None:
            await self.kept.open()

    async def shutdown(self) -> None:
        """Finish what is under way and close the store; a later use opens it again."""
        if self.kept is not None:
            await self.kept.close()

    async def check(self) -> list[str]:
        """Ask the store whether it works, as a readiness probe does; return what an operator should mend.

        Raises:
            StoreUnavailable: It does not work.
        """
        kept: Any = self.kept
        if isinstance(kept, Checks):
            return list(await self.call("check", kept.check()))
        if kept is not None:
            await self.call("load", kept.load("0" * 64))
        return []

    async def sweep(self, limit: int | None = None, *, once: bool = False) -> int:
        """Delete expired records in small batches, at most ``limit`` of them; return how many.

        Stores that forget by themselves (Redis) have nothing to do. Safe beside traffic and beside other sweeps. Each
        batch is an event (`SessionsSwept`), so that a long one can be watched.

        Args:
            limit: Records to delete at most; None: all that are expired.
            once: Leave it to whoever is sweeping this store at the moment, in any process, and return 0.
        """
        store: Any = self.kept
        if not isinstance(store, Sweeps):
            return 0
        if not once or isinstance(store, Immediate) or not self.is_server_side:
            return await self._sweep(store, limit)
        key = marks.mark_key("lock", "sweep")
        held = await locks.acquire(self, key, _SWEEP_LIFE, wait=0)
        if held is None:
            return 0
        try:
            return await self._sweep(store, limit)
        finally:
            await locks.release(self, key, held)

    async def _sweep(self, store: Sweeps, limit: int | None) -> int:
        swept = 0
        while limit is None or swept < limit:
            batch = _BATCH if limit is None else min(_BATCH, limit - swept)
            done = await self.call("sweep", store.sweep(self.clock(), batch))
            swept += done
            if done:
                self.emit(events.SessionsSwept, deleted=done, so_far=swept)
            if done < batch:
                break
        if swept:
            log.info("%d expired sessions were swept", swept)
        return swept

    def __repr__(self) -> str:
        return f"SessionManager({type(self.store).__name__}, cookie={self.cookie_name!r})"


def _open(store: Store | ClientStore | str) -> Store | ClientStore:
    if isinstance(store, str):
        from limpet.stores import open_store

        return open_store(store)
    if not isinstance(store, (Store, ClientStore)):
        raise ConfigurationError(
            f"store={store!r} is no store: give a URL such as sqlite:///sessions.db, or an object with the methods of "
            "limpet.stores.Store"
        )
    return store


def _encrypted(
    store: Store | ClientStore,
    keyring: Keyring | None,
    namespace: str,
    clock: Callable[[], int],
    plain_until: datetime | None,
) -> Store:
    from limpet.sealers.at_rest import AtRestSealer
    from limpet.stores.encrypted import EncryptedStore

    if keyring is None:
        raise ConfigurationError("plain_until says how long encrypt=True reads what is not encrypted: set encrypt=True")
    if isinstance(store, ClientStore):
        raise ConfigurationError(
            "encrypt=True is for what a store on the server keeps: a cookie session is encrypted with store='cookie:'"
        )
    if plain_until is not None and plain_until.utcoffset() is None:
        raise ConfigurationError(
            f"plain_until={plain_until!r} is no time with a zone: give a datetime such as "
            "datetime(2030, 1, 31, tzinfo=UTC)"
        )
    return EncryptedStore(
        store,
        AtRestSealer(keyring, name=namespace, clock=clock),
        clock=clock,
        plain_until=None if plain_until is None else int(plain_until.timestamp() * 1000),
    )


def _keyring(secret: Any, *, needs_one: bool, dev: bool, given_store: bool) -> Keyring | None:
    if isinstance(secret, Keyring):
        return secret
    if secret is None:
        secret = environment.secrets_from_environment() or None
    if secret is None and dev and (needs_one or not given_store):
        secret = environment.development_secret()
    if secret is not None:
        return Keyring(secret)
    if needs_one:
        raise ConfigurationError(
            "cookie sessions need a secret, and so does encrypt=True: make one with `limpet keygen` and set "
            "LIMPET_SECRET, or pass secret=..."
        )
    return None


def warn_about_http(manager: SessionManager) -> None:
    """Say once why a test client over plain http does not send a Secure cookie back."""
    warnings.warn(
        f"a Secure cookie ({manager.cookie_name!r}) was set on an http test client, which will not send it back: "
        "use https://testserver as the client's base_url, limpet.testing.client(app), or SessionManager(dev=True)",
        LimpetWarning,
        stacklevel=2,
    )
