"""What `use_sessions` was given, turned into a manager."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

from limpet.contract import ClientStore, Store, supports
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring, generate_secret, looks_like_a_store, refuse_guessable, shown
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.protocols import Transport

__all__ = ["check_signer", "cookie_manager", "document_cookie", "make_manager", "refuse", "server_policy"]

log = logging.getLogger("limpet")


def make_manager(
    store: object,
    *,
    session_cookie: str,
    serializer: object,
    signer: Any,
    session_max_age: int | None,
    transport: Transport | None,
    cookie: CookiePolicy | None,
    policy: SessionPolicy | None,
) -> SessionManager:
    """Return the manager of a secret key, of a store or of its URL.

    Raises:
        ConfigurationError: It is none of these, or two settings contradict each other.
    """
    if policy is not None and session_max_age is not None:
        raise ConfigurationError(
            f"session_max_age={session_max_age!r} and policy=... both say how long sessions live: give one of them"
        )
    cookie = _cookie(session_cookie, cookie)
    store = shown(store)
    if isinstance(store, Keyring) or (isinstance(store, str) and not looks_like_a_store(store)):
        return cookie_manager(
            store,
            serializer=serializer,
            signer=signer,
            session_max_age=session_max_age,
            policy=policy,
            cookie=cookie,
            transport=transport,
        )
    if not (isinstance(store, str) or supports(store, Store) or supports(store, ClientStore)):
        raise ConfigurationError(
            f"use_sessions takes a secret key, a store, its URL or a SessionManager, not {type(store).__name__}. None "
            "instead of a key: the environment variable is not set"
        )
    if signer is not None:
        raise ConfigurationError("signer=... is for sessions that live in cookies: give a key in place of the store")
    return SessionManager(
        store.strip() if isinstance(store, str) else store,
        serializer=None if serializer is None else _engine_serializer(serializer),
        policy=policy or server_policy(session_max_age),
        cookie=cookie,
        transport=transport,
    )


def cookie_manager(
    key: str | Keyring,
    *,
    serializer: object,
    signer: Any,
    session_max_age: int | None,
    policy: SessionPolicy | None,
    cookie: CookiePolicy,
    transport: Transport | None,
) -> SessionManager:
    """Return the manager of sessions in cookies.

    Raises:
        ConfigurationError: The key, or a key of the signer, is no secret; or a setting cannot work.
    """
    key = cast("str | Keyring", shown(key))
    if not isinstance(key, (str, bytes, Keyring)):
        raise ConfigurationError(
            f"the key of cookie sessions is a str, not {type(key).__name__}. None instead of a key: the environment "
            "variable is not set"
        )
    kept: ClientStore | str = "cookie:"
    if signer is None:
        secret = key if isinstance(key, Keyring) else Keyring(key, allow_weak=True)
    else:
        from limpet.adapters.blacksheep._signer import SignerStore

        check_signer(signer)
        kept = SignerStore(signer)
        secret = Keyring(generate_secret())  # the signer has its own; this one seals nothing
    if policy is None and session_max_age is None:
        log.warning(
            "cookie sessions without session_max_age never end, and a copied cookie works for ever: "
            "use_sessions(..., session_max_age=86400) ends them a day after their last change"
        )
    if serializer is None:
        from limpet.serializers import JSONSerializer

        serializer = JSONSerializer()
    return SessionManager(
        kept,
        secret=secret,
        serializer=_engine_serializer(serializer),
        policy=policy or cookie_policy(session_max_age),
        cookie=cookie,
        transport=transport,
    )


def check_signer(signer: object) -> None:
    """Refuse a signer of itsdangerous whose keys are no secrets.

    Raises:
        ConfigurationError: One of its keys is none, such as a store's URL.
    """
    refuse_guessable(getattr(signer, "secret_keys", ()), "signer=...")


def cookie_policy(session_max_age: int | None) -> SessionPolicy:
    """Return the lifetimes that BlackSheep documents: seconds since the last save; None: as long as the cookie."""
    return SessionPolicy(
        idle_timeout=session_max_age,
        absolute_timeout=None,
        anonymous_timeout=None,
        remember=None,
        rolling=False,
        save_on_error=True,
    )


def server_policy(session_max_age: int | None) -> SessionPolicy:
    """Return the lifetimes of sessions in a store: limpet's, unless a maximum age is given."""
    return SessionPolicy(save_on_error=True) if session_max_age is None else cookie_policy(session_max_age)


def document_cookie(name: str) -> CookiePolicy:
    """Return the cookie that BlackSheep sends: for http and https."""
    return CookiePolicy(name=name, secure=False)


def refuse(store: object, **given: object) -> None:
    """Refuse settings that a ready-made store or manager has already.

    Raises:
        ConfigurationError: One is given.
    """
    for name, value in given.items():
        if value:
            kind = type(store).__name__
            raise ConfigurationError(f"{name}=... has no effect beside a {kind}: give it where that is made")


def _cookie(name: str, cookie: CookiePolicy | None) -> CookiePolicy:
    if cookie is None:
        return document_cookie(name)
    if cookie.name is None:
        return replace(cookie, name=name)
    if name not in ("session", cookie.name):
        raise ConfigurationError(f"session_cookie={name!r} and cookie.name={cookie.name!r} differ: give one of them")
    return cookie


def _engine_serializer(given: object) -> Any:
    from limpet.adapters.blacksheep._serializer import engine_serializer

    return engine_serializer(given)
