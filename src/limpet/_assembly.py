"""The parts that the settings of a manager name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from limpet import environment
from limpet.contract import ClientStore, Store, supports
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring

__all__ = ["encrypted", "keyring_of", "moment", "store_of"]


def store_of(store: Store | ClientStore | str) -> Store | ClientStore:
    if isinstance(store, str):
        from limpet.stores import open_store

        return open_store(store)
    if not (supports(store, Store) or supports(store, ClientStore)) or isinstance(store, type):
        raise ConfigurationError(
            f"store={store!r} is no store: give a URL such as sqlite:///sessions.db, or an object with the methods of "
            "limpet.stores.Store" + (", such as an instance of that class" if isinstance(store, type) else "")
        )
    return store


def encrypted(
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
    if supports(store, ClientStore):
        raise ConfigurationError(
            "encrypt=True is for what a store on the server keeps: a cookie session is encrypted with store='cookie:'"
        )
    return EncryptedStore(
        store,
        AtRestSealer(keyring, name=namespace, clock=clock),
        clock=clock,
        plain_until=None if plain_until is None else moment("plain_until", plain_until),
    )


def moment(name: str, when: datetime | None) -> int:
    """Return a moment in milliseconds since 1970; 0 for none."""
    if when is None:
        return 0
    if when.utcoffset() is None:
        raise ConfigurationError(
            f"{name}={when!r} is no time with a zone: give a datetime such as datetime(2030, 1, 31, tzinfo=UTC)"
        )
    return int(when.timestamp() * 1000)


def keyring_of(secret: Any, *, needs_one: bool, dev: bool, given_store: bool) -> Keyring | None:
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
