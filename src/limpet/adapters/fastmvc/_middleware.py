"""`SessionMiddleware` and `CSRFMiddleware` with FastMVC's arguments."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Set
from typing import Any

import limpet.asgi
import limpet.csrf
from limpet import environment
from limpet.adapters.fastmvc._config import SessionConfig
from limpet.adapters.fastmvc._session import Session
from limpet.adapters.fastmvc._store import OwnStore, SessionStore, driven
from limpet.asgi import ASGIApp
from limpet.contract import ClientStore, Store
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring, Secrets
from limpet.manager import SessionManager, system_clock
from limpet.serializers.json import JSONSerializer

__all__ = ["CSRFMiddleware", "SessionMiddleware"]

log = logging.getLogger("limpet")


class SessionMiddleware(limpet.asgi.SessionMiddleware):
    """Gives every request its `Session`, in ``request.state.session`` and as ``request.session``.

    Args:
        app: The application.
        config: The settings; each of them may also be given by its name, beside it or in its place.
        store: Where sessions are kept: a `SessionStore` of one's own, a store of `limpet.stores`, or its URL. None:
            ``LIMPET_STORE``; without it this process's memory, with a warning.
        exclude_paths: Paths without a session, see `SessionConfig`.
        manager: A ready `limpet.SessionManager`, in place of all of these.
        lazy: Read nothing until ``await session.load()``.
        passive: Paths whose requests do not count as activity: each is that path and all below it, or a pattern.
        clock: Returns milliseconds since 1970.
        secret_key: See `SessionConfig`, and for the rest.

    Raises:
        ConfigurationError: ``secret_key`` is missing, or two settings contradict each other. Starlette makes its
            middlewares when the application starts, so that is when this is raised.
    """

    make = Session.of

    def __init__(
        self,
        app: ASGIApp,
        config: SessionConfig | None = None,
        store: SessionStore | Store | ClientStore | str | None = None,
        exclude_paths: Set[str] | Iterable[str] | None = None,
        *,
        manager: SessionManager | None = None,
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        clock: Callable[[], int] = system_clock,
        secret_key: Secrets | Keyring | None = None,
        cookie_name: str | None = None,
        max_age: int | None = None,
        cookie_secure: bool | None = None,
        cookie_httponly: bool | None = None,
        cookie_samesite: str | None = None,
        cookie_path: str | None = None,
        cookie_domain: str | None = None,
    ) -> None:
        _check(config, store)
        exclude = None if exclude_paths is None else _paths(exclude_paths)
        named = {
            "secret_key": secret_key,
            "cookie_name": cookie_name,
            "max_age": max_age,
            "cookie_secure": cookie_secure,
            "cookie_httponly": cookie_httponly,
            "cookie_samesite": cookie_samesite,
            "cookie_path": cookie_path,
            "cookie_domain": cookie_domain,
        }
        given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if manager is None:
            config = _config(config, given if exclude is None else {**given, "exclude_paths": exclude})
            exclude = frozenset(config.exclude_paths)
            manager = _manager(config, store, clock)
        elif config is not None or store is not None or given:
            raise ConfigurationError(
                "a manager has its settings already: give it those, and here manager=... without config, store, or "
                "their like"
            )
        super().__init__(app, manager, exclude=exclude or (), lazy=lazy, passive=passive)


class CSRFMiddleware(limpet.csrf.CSRFMiddleware):
    """Refuses what other sites make a visitor's browser send; the session holds what its tokens are made of.

    Add it before `SessionMiddleware`, which has to be around it. `limpet.csrf.csrf_token` gives the token for a form.

    Args:
        app: The application.
        exclude_paths: Paths that are not checked.
        trusted_origins: As for `limpet.csrf.CSRFMiddleware`, and so the rest.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        exclude_paths: Iterable[str | re.Pattern[str]] = (),
        trusted_origins: Iterable[str] = (),
        header: str = "X-CSRF-Token",
        field: str = "csrf_token",
        manager: SessionManager | None = None,
    ) -> None:
        super().__init__(
            app, manager=manager, exempt=exclude_paths, trusted_origins=trusted_origins, header=header, field=field
        )


def _check(config: object, store: object) -> None:
    """Refuse what stands in another's place.

    Raises:
        ConfigurationError: Settings that are none, or a class where an object is expected.
    """
    if config is not None and not isinstance(config, SessionConfig):
        hint = ": give a key by its name, secret_key=..." if isinstance(config, (str, bytes)) else ""
        raise ConfigurationError(f"config= is a SessionConfig(...), not {type(config).__name__}{hint}")
    if isinstance(store, type):
        raise ConfigurationError(f"store= is an object and not its class: write store={store.__name__}(...)")


def _paths(given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise ConfigurationError(f"exclude_paths={given!r} is one string: write exclude_paths={{{given!r}}}")
    return frozenset(given)


def _config(config: SessionConfig | None, given: dict[str, Any]) -> SessionConfig:
    """Return the settings; one that is given twice has to be the same twice."""
    if config is None:
        return SessionConfig(**given)
    for setting in dataclasses.fields(config):
        if setting.name in given and getattr(config, setting.name) not in (setting.default, given[setting.name]):
            raise ConfigurationError(f"config has another {setting.name} than the one beside it: give it once")
    return dataclasses.replace(config, **given)


def _manager(
    config: SessionConfig, store: SessionStore | Store | ClientStore | str | None, clock: Callable[[], int]
) -> SessionManager:
    kept = driven(store) if isinstance(store, SessionStore) else store
    return SessionManager(
        _default_store() if kept is None else kept,
        secret=config.keyring(),
        cookie=config.cookie(),
        policy=config.policy(),
        serializer=JSONSerializer() if isinstance(kept, OwnStore) else None,
        clock=clock,
    )


def _default_store() -> str:
    try:
        return environment.store_from_environment(environment.is_development(None))
    except ConfigurationError:
        log.warning(
            "sessions are kept in the memory of this process: a restart ends them, and a second worker has others. "
            "Give SessionMiddleware store='sqlite:///sessions.db', or set LIMPET_STORE"
        )
        return "memory:"
