"""Sessions that an application kept by Flask alone or by Flask-Session, read while their owners move in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from importlib import import_module
from typing import Any, Final, TypeAlias

from limpet.adapters.flask._settings import Settings
from limpet.errors import ConfigurationError
from limpet.importers import FlaskCookies, FlaskSessionRecords
from limpet.protocols import Importer

__all__ = ["old_sessions"]

Found: TypeAlias = bytes | Mapping[str, Any] | None
Fetch: TypeAlias = Callable[[str], Awaitable[Found]]


def old_sessions(config: Mapping[str, Any], settings: Settings, until: date, subject_key: str | None) -> list[Importer]:
    """Return what reads the sessions that an application had: Flask's, or those of its ``SESSION_TYPE``.

    Args:
        config: Of the application, as it was with Flask-Session.
        settings: What it says of cookies.
        until: The end date.
        subject_key: The key that says whose session it is.

    Raises:
        ConfigurationError: Sessions of that type cannot be read.
    """
    options: dict[str, Any] = {
        "until": until,
        "cookie": settings.name,
        "path": settings.path,
        "domain": settings.domain.lstrip(".") if settings.domain else None,
        "subject": subject_key,
    }
    kind = config.get("SESSION_TYPE")
    if kind in (None, "null"):
        if not settings.secrets:
            raise ConfigurationError("old_until reads sessions that SECRET_KEY has signed: set SECRET_KEY")
        return [FlaskCookies(list(settings.secrets), max_age=int(settings.lifetime.total_seconds()), **options)]
    make = _KINDS.get(str(kind).lower())
    if make is None:
        raise ConfigurationError(
            f"old_until cannot read sessions of SESSION_TYPE={kind!r}: give importers=[FlaskSessionRecords(fetch, ...)]"
        )
    secret = list(settings.secrets) if config.get("SESSION_USE_SIGNER") else None
    prefix = config.get("SESSION_KEY_PREFIX", "session:")
    return [FlaskSessionRecords(make(config), prefix=prefix, secret=secret, **options)]


def _redis(config: Mapping[str, Any]) -> Fetch:
    client = config.get("SESSION_REDIS")
    if client is None:
        client = import_module("redis").Redis()

    return _get_from(client)


def _cachelib(config: Mapping[str, Any]) -> Fetch:
    cache = config.get("SESSION_CACHELIB")
    if cache is None:
        folder = config.get("SESSION_FILE_DIR", "flask_session")
        cache = import_module("cachelib").FileSystemCache(folder, threshold=0)  # 0: it deletes nothing

    return _get_from(cache)


def _get_from(place: Any) -> Fetch:
    async def fetch(key: str) -> Found:
        found: Found = place.get(key)
        return found

    return fetch


def _sqlalchemy(config: Mapping[str, Any]) -> Fetch:
    database = config.get("SESSION_SQLALCHEMY")
    if database is None:
        raise ConfigurationError("old_until reads sessions of SESSION_TYPE='sqlalchemy' by SESSION_SQLALCHEMY: set it")
    sql = import_module("sqlalchemy")
    name, schema = config.get("SESSION_SQLALCHEMY_TABLE", "sessions"), config.get("SESSION_SQLALCHEMY_SCHEMA")
    columns = [sql.column("session_id"), sql.column("data"), sql.column("expiry", sql.DateTime)]
    table = sql.table(name, *columns, schema=schema)

    async def fetch(key: str) -> Found:
        with database.engine.connect() as connection:
            row = connection.execute(sql.select(table).where(table.c.session_id == key)).first()
        now = datetime.now(UTC).replace(tzinfo=None)  # as Flask-Session writes it
        return None if row is None or row.expiry is None or row.expiry <= now else bytes(row.data)

    return fetch


_KINDS: Final[Mapping[str, Callable[[Mapping[str, Any]], Fetch]]] = {
    "redis": _redis,
    "cachelib": _cachelib,
    "filesystem": _cachelib,
    "sqlalchemy": _sqlalchemy,
}
