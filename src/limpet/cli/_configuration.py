"""What `limpet doctor` checks of the configuration that the environment names. It makes and changes nothing but
one probe record, which it deletes again."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

from limpet import environment
from limpet._wire.tokens import new_version
from limpet.cli._clocks import check_clocks
from limpet.cli._files import missing_file, missing_folder, path_of, path_problems
from limpet.cli._findings import Finding, fine, fix, note
from limpet.cli._scale import Scale, check_connections, check_sharing
from limpet.cli.options import operator
from limpet.contract import DONE, ClientStore, Immediate, Record, Store, supports
from limpet.errors import ConfigurationError, StoreError, StoreUnavailable
from limpet.keyring import Keyring
from limpet.manager import SessionManager
from limpet.stores import open_store

__all__ = ["check_kept", "check_mode", "check_secret", "check_store", "shown"]

_PROBE_LIFE: Final = 60_000  # milliseconds after which a store may drop the probe, should this process die
_DEVELOPMENT_STORE: Final = f"sqlite:///{environment.FOLDER}/sessions.db"


def shown(url: str) -> str:
    """Return a store's URL without what may be secret in it: user, password and options."""
    return re.sub(r"//[^/]*@", "//***@", url.partition("?")[0]) + ("?…" if "?" in url else "")


def check_mode() -> tuple[bool, Finding]:
    """Return whether this is development mode, and what to say of it."""
    try:
        dev = environment.is_development(None)
    except ConfigurationError as error:
        return False, fix("mode", str(error))
    if dev:
        return True, note(
            "mode", "development (LIMPET_DEV): cookies without Secure, a generated secret. Never set it in production"
        )
    return False, fine("mode", "production: cookies are Secure, and no secret or store is generated")


def check_secret(dev: bool, *, needed: bool) -> Iterator[Finding]:
    """Yield what is to be said of the secrets, without a part of them.

    Args:
        dev: Development mode makes a secret where none is given.
        needed: The sessions live in the cookie, so that nothing works without.
    """
    given = environment.secrets_from_environment()
    if not given and dev:
        yield from _development_secret()
    elif given:
        try:
            count = len(Keyring(given))
        except ConfigurationError as error:
            yield fix("secret", f"LIMPET_SECRET: {error}")
            return
        more = "" if count == 1 else f"; {count} are listed, the first one signs and encrypts, all of them are accepted"
        yield fine("secret", f"LIMPET_SECRET is set and strong{more}")
    elif needed:
        yield fix(
            "secret",
            "LIMPET_SECRET is not set, and cookie sessions need it: make one with `limpet keygen` and set it",
        )
    else:
        yield note(
            "secret",
            "LIMPET_SECRET is not set, and this store works without it. With one (`limpet keygen`), ids are signed, "
            "and made-up cookies are refused without asking the store. Set LIMPET_UNSIGNED_UNTIL=2030-01-31 with it, "
            "and users stay logged in until that day",
        )


def _development_secret() -> Iterator[Finding]:
    path = environment.FOLDER / "secret"
    if not path.exists():
        yield note("secret", f"none is given; the application makes one in {path} when it starts in this folder")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        yield fix("secret", f"other users may read {path} (mode {mode:o}): chmod 600 {path}")
    try:
        Keyring(path.read_text().strip())
    except OSError as error:
        yield fix("secret", f"{path} cannot be read: {error.strerror}")
    except ConfigurationError as error:
        yield fix("secret", f"{path}: {error}")
    else:
        yield fine("secret", f"development's own, from {path}")


def named_store(url: str | None, dev: bool) -> str:
    """Return the URL that the application would use.

    Raises:
        ConfigurationError: There is none; the message lists three.
    """
    if url:
        return url
    try:
        return environment.store_from_environment(False)
    except ConfigurationError:
        if dev:
            return _DEVELOPMENT_STORE
        raise


async def check_store(url: str | None, dev: bool, *, write: bool, scale: Scale | None = None) -> AsyncIterator[Finding]:
    """Yield what is to be said of the store: its URL and driver, its files, whether it answers and keeps what it gets.

    Args:
        url: The store; None: what the environment names.
        dev: Development mode has a store where none is named.
        write: Write, read and delete one probe record.
        scale: How often the application runs, if that is to be looked at.
    """
    try:
        url = named_store(url, dev)
        store = open_store(url)
    except ConfigurationError as error:  # MissingDependency is one too
        yield fix("store", str(error))
        return
    yield fine("store", f"{shown(url)}, by {type(store).__name__}")
    async for finding in check_kept(store, write=write, scale=scale):
        yield finding


async def check_kept(store: Store | ClientStore, *, write: bool, scale: Scale | None = None) -> AsyncIterator[Finding]:
    """Yield what is to be said of a store that is at hand; see `check_store`."""
    if supports(store, ClientStore):
        yield note(
            "store", "the session is in the browser: requests are not merged, and the server cannot end a session"
        )
        return
    if supports(store, Immediate):
        yield note("store", "the sessions are in memory: each process has its own, and they end with it. For tests")
    if scale is not None:
        for finding in check_sharing(store, scale):
            yield finding
    path = path_of(store)
    if path is not None:
        problems = [fix("files", problem) for problem in path_problems(path)]
        for problem in problems:
            yield problem
        if problems:
            return
        if missing_file(store) is not None:
            folder = missing_folder(path)
            both = f", nor does its folder {folder}" if folder is not None else ""
            yield note(
                "files",
                f"{path} does not exist{both}, so it was not checked. The application creates it at first use, "
                "readable by its own user only; if it has run already, this is not the path that it uses",
            )
            return
    manager = operator(store)
    try:
        async for finding in _ask(manager, store, write):
            yield finding
        async for finding in check_clocks(manager, store):
            yield finding
        if scale is not None:
            async for finding in check_connections(manager, store, scale):
                yield finding
    except StoreError as error:
        yield fix("store", str(error))
    finally:
        await manager.shutdown()


async def _ask(manager: SessionManager, store: Store, write: bool) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    problems = await manager.check()
    yield fine("store", f"it answered in {_ms(began)}")
    for problem in problems:
        yield fix("store", problem)
    if write:
        began = time.perf_counter()
        await _probe(manager, store)
        yield fine("store", f"a probe record was written, read back and deleted in {_ms(began)}")


async def _probe(manager: SessionManager, store: Store) -> None:
    """Write a record under a random key, read it and delete it, as a session does.

    Raises:
        StoreUnavailable: A step failed, or the record came back different.
    """
    now = manager.clock()
    key = secrets.token_hex(32)
    record = Record(new_version(), b"limpet doctor", now, now + _PROBE_LIFE)
    made = await manager.engine.storage.call("create", store.create(key, record, now=now), key)
    found = await manager.engine.storage.call("load", store.load(key), key)
    gone = await manager.engine.storage.call("delete", store.delete(key, record.version), key)
    if made is not DONE or found is None or found.payload != record.payload or gone is not DONE:
        raise StoreUnavailable(
            f"a probe record did not come back as it was written (created {made!r}, deleted {gone!r}): "
            "sessions would be lost; look for a proxy, a cache or an eviction policy in front of the store"
        )


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.1f} ms"
