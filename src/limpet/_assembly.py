"""The parts that the settings of a manager name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Protocol

from limpet import environment
from limpet._checks import flag
from limpet._moments import milliseconds
from limpet.bound.policy import BoundPolicy
from limpet.contract import ClientStore, Finds, Pages, Store, supports
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.protocols import Importer
from limpet.transports.cookie import CookieTransport

if TYPE_CHECKING:
    from limpet._core.engine import Engine
    from limpet.bound.guard import Guard
    from limpet.refusals import OnRefused

__all__ = [
    "check_flags",
    "check_settings",
    "check_together",
    "encrypted",
    "guard_of",
    "importers_of",
    "keyring_of",
    "let_tell_apart",
    "store_of",
]


class Manager(Protocol):
    """What is asked of a `SessionManager`."""

    engine: Engine
    keyring: Keyring | None
    cookie: CookiePolicy
    cookie_name: str
    on_refused: OnRefused | None


def check_settings(**given: Any) -> None:
    """Refuse what is no such part, with a sentence that says what to write.

    Raises:
        ConfigurationError: One of them is something else, or a class in place of an object.
    """
    for name, value in given.items():
        if value is None or (name in _SWITCHES and isinstance(value, bool)):
            continue
        kind, example = _PARTS[name]
        if isinstance(value, type) and name not in _FUNCTIONS:
            raise ConfigurationError(
                f"{name}={value.__qualname__} is a class: give an object of it, {name}={value.__qualname__}(...)"
            )
        if not (isinstance(value, kind) if isinstance(kind, type) else all(hasattr(value, each) for each in kind)):
            raise ConfigurationError(f"{_shown(name, value)}: write {name}={example}")


def check_flags(**given: Any) -> None:
    """Refuse what is neither yes nor no: a text such as "false" would count as yes.

    Raises:
        ConfigurationError: One of them is something else; None is allowed.
    """
    for name, value in given.items():
        if value is not None:
            flag(name, value)


def check_together(
    policy: SessionPolicy,
    store: Store | ClientStore,
    *,
    devices: object,
    short_ids: bool,
    unsigned_until: date | None,
    signs: bool,
) -> None:
    """Refuse settings that promise what the others cannot give. A bound of what never happens promises nothing.

    Args:
        signs: Ids are signed.

    Raises:
        ConfigurationError: There is one; the message names the cure.
    """
    if policy.max_sessions is not None and not (supports(store, Finds) or supports(store, Pages)):
        raise ConfigurationError(
            f"max_sessions needs a store that finds sessions by subject, and {type(store).__name__} does not: use "
            "one on the server, such as sqlite:///sessions.db"
        )
    in_cookie = supports(store, ClientStore)
    if policy.on_client_change and (not devices or in_cookie):
        raise ConfigurationError(
            "on_client_change compares what is noted of clients: set devices=True, and use a store on the server, such "
            "as sqlite:///sessions.db"
        )
    if in_cookie:
        _check_cookie_session(policy, store, short_ids=short_ids, unsigned_until=unsigned_until)
    elif unsigned_until is not None and not signs:
        raise ConfigurationError(
            "unsigned_until is for ids from before they were signed, and here ids are not signed: leave it out, or "
            "sign them (a secret, and no short_ids=True)"
        )


def _check_cookie_session(
    policy: SessionPolicy, store: object, *, short_ids: bool, unsigned_until: date | None
) -> None:
    """Refuse what a session in its cookie cannot do."""
    ends = getattr(store, "revocation", None) is not None
    for name, given, why in (
        ("merge", policy.merge, "two requests at once are not merged: the last response wins"),
        ("strict_merge", policy.strict_merge, "two requests at once are not compared: the last response wins"),
        ("renewal_interval", policy.renewal_interval is not None, "there is no id to renew"),
        ("short_ids", short_ids, "there is no id"),
        ("unsigned_until", unsigned_until is not None, "there is no id, and every cookie is signed or encrypted"),
        (
            "on_ended='raise'",
            policy.on_ended == "raise" and not ends,
            "nothing says that another request has ended the session, unless CookieStore(revocation=...) does",
        ),
    ):
        if given:
            raise ConfigurationError(
                f"{name} has no effect on sessions in the cookie, where {why}. Leave it out, or use a store on the "
                "server, such as sqlite:///sessions.db"
            )


def importers_of(given: Iterable[Importer]) -> tuple[Importer, ...]:
    """Return the importers that a setting lists.

    Raises:
        ConfigurationError: It is no list, or one of them is no importer.
    """
    example = "importers=[FlaskCookies(secret, until=date(2030, 1, 31))]"
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"{_shown('importers', given)}: write {example}")
    found = tuple(given)
    for each in found:
        if isinstance(each, type) or not all(hasattr(each, method) for method in ("find", "read")):
            kind = (each if isinstance(each, type) else type(each)).__name__
            raise ConfigurationError(f"importers lists {kind}, which is no importer: write {example}")
    return found


_PARTS: Final[Mapping[str, tuple[type | tuple[str, ...], str]]] = {
    "policy": (SessionPolicy, "SessionPolicy(idle_timeout=3600)"),
    "cookie": (CookiePolicy, 'CookiePolicy(name="sid")'),
    "transport": (("read", "write", "clear", "vary"), 'HeaderTransport("X-Session-ID")'),
    "serializer": (("encode", "decode", "format"), "MsgpackSerializer()"),
    "devices": (("describe",), "True"),
    "bound": (BoundPolicy, "True"),
    "namespace": (str, '"shop"'),
    "clock": (("__call__",), "a function that returns milliseconds since 1970"),
    "on_refused": (("__call__",), "a function that takes a limpet.refusals.Refusal and returns a page"),
}
_SWITCHES: Final = frozenset({"devices", "bound"})
_FUNCTIONS: Final = frozenset({"clock", "on_refused"})


def _shown(name: str, value: object) -> str:
    """Return what was given for a setting: text and numbers as they are, and of all else the type."""
    scalar = isinstance(value, (str, int, float, type))
    return f"{name}={value!r} cannot be used" if scalar else f"{name} cannot be a {type(value).__name__}"


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
    plain_until: date | None,
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
        plain_until=None if plain_until is None else milliseconds("plain_until", plain_until),
    )


def let_tell_apart(engine: Engine) -> None:
    """Let the transport know the cookies of this engine's from those that somebody else has set under their name."""
    transport = engine.transport
    if isinstance(transport, CookieTransport) and transport.is_ours is None:
        transport.is_ours = engine.ids.verify if engine.is_server_side else engine.client.unseal


def guard_of(manager: Manager, bound: bool | BoundPolicy, label: str | None) -> Guard | None:
    """Return what binds the sessions of a manager to devices, and tell its engine; None: nothing does.

    Raises:
        ConfigurationError: Its sessions cannot be bound.
    """
    if not bound:
        return None
    engine, policy = manager.engine, BoundPolicy() if bound is True else bound
    if not engine.is_server_side:
        raise ConfigurationError(
            "bound=... is for sessions in a store, which says once for all processes what their device has proven: use "
            "one on the server, such as sqlite:///sessions.db"
        )
    if engine.transport.vary.lower() != b"cookie":
        raise ConfigurationError("bound=... is for sessions that travel in a cookie: browsers prove no other header")
    from limpet.bound.guard import Guard

    assert manager.keyring is not None
    engine.binder = guard = Guard(
        engine, policy, manager.keyring, manager.cookie_name, manager.cookie, label, manager.on_refused
    )
    if isinstance(engine.transport, CookieTransport):  # else whoever writes the cookie deletes both
        engine.farewell = (*engine.farewell, guard.endpoints.forget())
    return guard


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
            "cookie sessions need a secret, and so do encrypt=True and bound=True: make one with `limpet keygen` and "
            "set LIMPET_SECRET, or pass secret=..."
        )
    return None
