"""What ``app.config`` says of sessions: Flask's settings, and Flask-Session's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

from flask import Flask

from limpet import environment
from limpet._assembly import store_of
from limpet._cookies import CookieWriter
from limpet.contract import ClientStore, Store, supports
from limpet.errors import ConfigurationError
from limpet.keyring import Keyring
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SameSite, SessionPolicy
from limpet.protocols import Header
from limpet.transports.cookie import CookieTransport

__all__ = ["FlaskCookie", "Settings", "Stores", "build", "glance", "is_plain", "redis_url"]

_WATCHED: Final = ("user_id", "user", "_user_id")
_INSTEAD: Final = "give a store by its URL instead: sqlite:///sessions.db, redis://localhost:6379/0, postgresql://..."


class Settings(NamedTuple):
    """What a manager is made of, as the application's configuration is now.

    Attributes:
        secrets: ``SECRET_KEY``, then ``SECRET_KEY_FALLBACKS``; empty: there is none.
        lifetime: ``PERMANENT_SESSION_LIFETIME``.
        rolling: ``SESSION_REFRESH_EACH_REQUEST``.
        writes_json: ``SESSION_SERIALIZATION_FORMAT`` is ``"json"``.
        is_trial: The application is being tested or debugged, where a weak secret will do.
    """

    secrets: tuple[str | bytes, ...]
    name: str
    domain: str | None
    path: str
    http_only: bool
    secure: bool
    same_site: str | None
    partitioned: bool
    lifetime: timedelta
    rolling: bool
    writes_json: bool
    is_trial: bool


_GLANCE: Final = itemgetter(
    "SECRET_KEY",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_PATH",
    "APPLICATION_ROOT",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_SAMESITE",
    "PERMANENT_SESSION_LIFETIME",
    "SESSION_REFRESH_EACH_REQUEST",
    "TESTING",
    "DEBUG",
)
_BESIDE: Final = ("SESSION_COOKIE_PARTITIONED", "SESSION_SERIALIZATION_FORMAT")  # not every Flask has a default of them
_OF_APPS: Final = ("secret_key", "permanent_session_lifetime", "testing", "debug")


def glance(config: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return what a configuration says of `Settings`, unread: as long as it is equal, they are.

    None: it has to be read, as there is no secret, or as there are several, which stand in a list that may change.
    """
    if not config["SECRET_KEY"] or config.get("SECRET_KEY_FALLBACKS"):
        return None
    return (*_GLANCE(config), config.get(_BESIDE[0]), config.get(_BESIDE[1]))


def is_plain(kind: type[Flask]) -> bool:
    """Tell whether an application of this class, which may be a proxy, says of its configuration what that says."""
    return all(getattr(kind, name, None) is getattr(Flask, name) for name in _OF_APPS)


class FlaskCookie(CookieTransport):
    """The cookie as Flask's settings have it: SameSite may be absent, and whoever sends it adds when it expires."""

    settings: Mapping[str, str] = MappingProxyType(
        {
            "secure": "SESSION_COOKIE_SECURE",
            "http_only": "SESSION_COOKIE_HTTPONLY",
            "domain": "SESSION_COOKIE_DOMAIN",
            "path": "SESSION_COOKIE_PATH",
        }
    )
    """What Flask calls the settings of the cookie, by their names in a `limpet.CookiePolicy`."""

    def __init__(self, name: str, policy: CookiePolicy, *, names_site: bool) -> None:
        super().__init__(name, policy)
        self._writer = CookieWriter(name, policy, names_site=names_site)
        self._clear = (b"set-cookie", self._writer.delete())

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the ``Set-Cookie`` header of a cookie that lives until the browser is closed."""
        return b"set-cookie", self._writer.set(token, None)


def build(settings: Settings, store: Store | ClientStore, options: Mapping[str, Any]) -> SessionManager:
    """Return the manager for an application's settings.

    Args:
        settings: Of the application.
        store: Where sessions are kept.
        options: For `SessionManager`; what they say goes before what the settings say.

    Raises:
        ConfigurationError: A setting cannot work.
    """
    policy = _cookie_policy(settings)
    transport = FlaskCookie(settings.name, policy, names_site=settings.same_site is not None)
    given: dict[str, Any] = {
        "secret": Keyring(settings.secrets, allow_weak=settings.is_trial) if settings.secrets else None,
        "policy": SessionPolicy(
            idle_timeout=settings.lifetime,
            absolute_timeout=None,
            anonymous_timeout=None,
            remember=None,
            rotate_on=_WATCHED,
            rolling=settings.rolling,
        ),
        "cookie": policy,
        "transport": transport,
        "dev": False,
        **options,
    }
    if settings.writes_json and "serializer" not in options:
        from limpet.serializers.json import JSONSerializer

        given["serializer"] = JSONSerializer()
    if "cookie" in options or "transport" in options:
        given["transport"] = options.get("transport")
    manager = SessionManager(store, **given)
    reader = getattr(store, "reader", None)
    if reader is not None and manager.engine.transport is transport:
        manager.engine.reader = reader(manager.cookie_name)
    return manager


def _cookie_policy(settings: Settings) -> CookiePolicy:
    same_site = settings.same_site or "lax"
    return CookiePolicy(
        name=settings.name,
        path=settings.path,
        domain=settings.domain.lstrip(".") if settings.domain else None,
        secure=settings.secure or settings.partitioned,  # as Werkzeug has it
        http_only=settings.http_only,
        same_site=cast("SameSite", same_site),
        partitioned=settings.partitioned,
        persistent=False,
    )


class Stores:
    """The store of an application, made at its first request, when its configuration is complete.

    Args:
        given: A store or its URL; None: the configuration says, or the environment.
    """

    def __init__(self, given: Store | ClientStore | str | None) -> None:
        self._given = given
        self._kept: Store | None = None

    def find(self, config: Mapping[str, Any], is_trial: bool) -> Store | ClientStore:
        """Return the store: the same one each time, but for cookie sessions, which belong to one manager.

        Raises:
            ConfigurationError: None is named, or it cannot be used.
        """
        if self._kept is not None:
            return self._kept
        named = self._given if self._given is not None else _configured(config)
        if named is None:
            named = environment.store_from_environment(environment.is_development(None) or is_trial)
        found = store_of(named)
        if supports(found, ClientStore):
            return copy.copy(found)
        self._kept = found
        return found


def _configured(config: Mapping[str, Any]) -> Store | ClientStore | str | None:
    named: Store | ClientStore | str | None = config.get("LIMPET_STORE")
    kind = config.get("SESSION_TYPE")
    if named is not None or kind in (None, "null"):
        return named
    make = _KINDS.get(str(kind).lower())
    if make is None:
        raise ConfigurationError(f"SESSION_TYPE={kind!r} has no counterpart here: take it out, and {_INSTEAD}")
    return make(config)


def redis_url(config: Mapping[str, Any]) -> str:
    """Return the URL of the server that Flask-Session's client talks to."""
    client = config.get("SESSION_REDIS")
    # Flask-Session's own records lie under the bare prefix, and may do so until everybody has moved.
    prefix = quote(f"{config.get('SESSION_KEY_PREFIX', 'session:')}limpet:", safe="")
    if client is None:
        return f"redis://localhost:6379/0?prefix={prefix}"
    pool = getattr(client, "connection_pool", None)
    known: dict[str, Any] | None = getattr(pool, "connection_kwargs", None)
    if known is None or not ("host" in known or "path" in known):
        raise ConfigurationError(
            f"SESSION_REDIS={type(client).__name__}(...) does not say where its server is: {_INSTEAD}"
        )
    login = ""
    if known.get("password") is not None:
        login = f"{quote(str(known.get('username') or ''), safe='')}:{quote(str(known['password']), safe='')}@"
    database = known.get("db") or 0
    if "path" in known:
        return f"redis+unix://{login}{known['path']}?db={database}&prefix={prefix}"
    scheme = "rediss" if "SSL" in getattr(pool, "connection_class", type(None)).__name__ else "redis"
    return f"{scheme}://{login}{known['host']}:{known.get('port', 6379)}/{database}?prefix={prefix}"


def _filesystem(config: Mapping[str, Any]) -> str:
    return _folder_beside(config.get("SESSION_FILE_DIR", "flask_session"))


def _sqlalchemy(config: Mapping[str, Any]) -> str:
    database = config.get("SESSION_SQLALCHEMY")
    if database is None:
        url = str(config.get("SQLALCHEMY_DATABASE_URI") or "")
    else:
        url = database.engine.url.render_as_string(hide_password=False)
    scheme, _, rest = url.partition("://")
    scheme = scheme.partition("+")[0].replace("postgresql", "postgres").replace("postgres", "postgresql")
    if scheme not in ("postgresql", "sqlite") or not rest.strip("/"):
        raise ConfigurationError(
            "SESSION_TYPE='sqlalchemy' works with PostgreSQL and with SQLite in a file, not with "
            f"{scheme or 'nothing'}: {_INSTEAD}"
        )
    return f"{scheme}://{rest}" if scheme == "postgresql" else f"sqlite://{rest.partition('?')[0]}.sessions"


def _cachelib(config: Mapping[str, Any]) -> str:
    folder = getattr(config.get("SESSION_CACHELIB"), "_path", None)
    if folder is None:
        raise ConfigurationError(f"SESSION_TYPE='cachelib' works with a FileSystemCache: {_INSTEAD}")
    return _folder_beside(folder)


def _folder_beside(folder: object) -> str:
    """Return the URL of a folder beside the one of a cache, which deletes what it does not know once it is full."""
    return f"file:{str(folder).rstrip('/')}_limpet"


_KINDS: Final = {"redis": redis_url, "filesystem": _filesystem, "sqlalchemy": _sqlalchemy, "cachelib": _cachelib}
