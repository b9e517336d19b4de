"""Arguments that people get wrong: each call refuses them by name, before it changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from limpet import ConfigurationError, Keyring, SessionManager, asgi, importers, wsgi
from limpet.adapters import fastapi, flask, litestar
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as Starlettes
from limpet.csrf import CSRFMiddleware
from limpet.devices import DevicePolicy
from limpet.runtime import AsyncioRuntime
from limpet.signout import Issuer
from limpet.stores import CookieStore
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from tests.site import Site

NO_TEXT: list[Any] = [None, True, 7, 1.5, b"ann", ["ann"], {"sub": "ann"}]
NO_NUMBER: list[Any] = [None, True, "5", b"5", [5], timedelta(seconds=5), ...]

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"

Call = Callable[[SessionManager, Any], Any]

TEXTS: dict[str, tuple[Call, str]] = {
    "sessions_of": (lambda manager, wrong: manager.sessions_of(wrong), "subject is a str"),
    "revoke_all": (lambda manager, wrong: manager.revoke_all(wrong), "subject is a str"),
    "export": (lambda manager, wrong: manager.export(wrong), "subject is a str"),
    "erase": (lambda manager, wrong: manager.erase(wrong), "subject is a str"),
    "tag name": (lambda manager, wrong: manager.revoke(tag=(wrong, "a")), "tag is a name and a value"),
    "tag value": (lambda manager, wrong: manager.revoke(tag=("sid", wrong)), "tag is a name and a value"),
    "exclusive": (lambda manager, wrong: _entered(manager.exclusive(wrong)), "the name of a lock is a str"),
    "open": (lambda manager, wrong: _entered(manager.open(wrong)), "a public id is a str"),
}


async def _entered(lock: Any) -> None:
    async with lock:
        pass


@pytest.fixture
async def site() -> Site:
    """A site on which somebody is logged in."""
    site = Site(MemoryStore())
    await site.ask(lambda session: session.login("ann", tags={"sid": "a"}))
    return site


@pytest.mark.parametrize("wrong", NO_TEXT, ids=repr)
@pytest.mark.parametrize("name", TEXTS)
async def test_what_is_no_text(site: Site, name: str, wrong: Any) -> None:
    """`user.id`, which is often a number, is no subject: a list would be empty, and a logout would reach nothing."""
    call, said = TEXTS[name]
    with pytest.raises(TypeError, match=rf"{said}.*not .*{'None' if wrong is None else type(wrong).__name__}"):
        await call(site.manager, wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("wrong", [True, 7, b"x", ["x"], ...], ids=repr)
async def test_what_is_no_session(site: Site, wrong: Any) -> None:
    """One's own session is not ended because it was named in a wrong way."""
    for call, name in ((site.manager.revoke_all, "except_"), (site.manager.sessions_of, "current")):
        with pytest.raises(TypeError, match=f"{name} is a session, its public id or None, not"):
            await call("ann", **{name: wrong})
    with pytest.raises(TypeError, match="a public id is a str"):
        await site.manager.revoke(wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("wrong", ["sid", ("sid",), ("sid", "a", "b"), 7, {"sid": "a"}, ()], ids=repr)
async def test_what_is_no_tag(site: Site, wrong: Any) -> None:
    """A tag is a pair; the message shows how to write it."""
    with pytest.raises(TypeError, match=r"tag=\('oidc_sid', sid\)"):
        await site.manager.revoke(tag=wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("name", ["life", "wait"])
@pytest.mark.parametrize("wrong", [*NO_NUMBER, math.nan, math.inf, -1, 1e30, 10**400], ids=str)
async def test_what_is_no_time_for_a_lock(site: Site, name: str, wrong: Any) -> None:
    """Else it would be found when two meet at the lock, or not at all: NaN waits for ever."""
    numbers = isinstance(wrong, (int, float)) and not isinstance(wrong, bool)
    for exclusive in (site.manager.exclusive, site.manager.blocking.exclusive):
        with pytest.raises(ValueError if numbers else TypeError, match=f"^{name} is "):
            exclusive("payment", **{name: wrong})
    with pytest.raises(ValueError, match="life is from"):
        site.manager.exclusive("payment", life=0)
    async with site.manager.exclusive("payment", life=1, wait=0):
        pass


@pytest.mark.parametrize("wrong", ["5", True, 1.5, math.nan, [5], timedelta(1), b"5"], ids=repr)
async def test_what_is_no_number_of_records(site: Site, wrong: Any) -> None:
    """A sweep deletes at most a whole number of records."""
    with pytest.raises(TypeError, match="limit is a whole number of records, or None for all, not"):
        await site.manager.sweep(wrong)
    with pytest.raises(ValueError, match="limit is 0 or more"):
        await site.manager.sweep(-1)
    with pytest.raises(TypeError, match="once is True or False"):
        await site.manager.sweep(once="no")  # type: ignore[arg-type]
    assert await site.manager.sweep(0) == 0


@pytest.mark.parametrize("fresh_login", [flask.fresh_login, fastapi.fresh_login, litestar.fresh_login])
@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"minutes": "5"}, TypeError, "minutes is a number"),
        ({"minutes": timedelta(minutes=5)}, TypeError, "minutes is a number"),
        ({"minutes": True}, TypeError, "minutes is a number"),
        ({"minutes": math.nan}, ValueError, "minutes is 0 or more"),
        ({"minutes": math.inf}, ValueError, "None for any age"),
        ({"minutes": -5}, ValueError, "minutes is 0 or more"),
        ({"level": 2}, TypeError, "level is a str"),
    ],
    ids=str,
)
def test_what_no_login_can_be_compared_with(
    fresh_login: Any, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    """A page that asks for a recent login refuses what means nothing where it is written, not at its first visitor."""
    with pytest.raises(error, match=said):
        fresh_login(**given)


@pytest.mark.parametrize("wrong", ["no", None, 0, []], ids=repr)
def test_a_device_policy_says_what_it_notes(wrong: Any) -> None:
    """`"no"` would have meant yes."""
    with pytest.raises(ConfigurationError, match="is neither True nor False"):
        DevicePolicy(user_agent=wrong)


def _app(*_: Any) -> Any:
    """No request gets here."""


def _issuer(**given: Any) -> Issuer:
    return Issuer("https://op.example", "client", {"keys": []}, **given)


def _importer(kind: Any) -> Callable[[Any], Any]:
    return lambda wrong: kind(SECRET, until=date(2099, 1, 1), max_age=wrong)


SECONDS: dict[str, Callable[[Any], Any]] = {
    "sweep_interval of ASGI": lambda wrong: asgi.SessionMiddleware(_app, "memory:", sweep_interval=wrong),
    "sweep_interval of WSGI": lambda wrong: wsgi.SessionMiddleware(_app, "memory:", sweep_interval=wrong),
    "sweep_interval of Flask": lambda wrong: flask.SessionInterface("memory:", sweep_interval=wrong),
    "sweep_interval of Litestar": lambda wrong: litestar.SessionPlugin("memory:", sweep_interval=wrong),
    "close_sockets of ASGI": lambda wrong: asgi.SessionMiddleware(_app, "memory:", close_sockets=wrong),
    "max_age of Starlette": lambda wrong: Starlettes(_app, SECRET, max_age=wrong),
    "max_age of importers for BlackSheep": _importer(importers.BlackSheepCookies),
    "max_age of importers for Django": _importer(importers.DjangoCookies),
    "max_age of importers for Flask": _importer(importers.FlaskCookies),
    "max_age of importers for Nexios": _importer(importers.NexiosCookies),
    "max_age of importers for Starlette": _importer(importers.StarletteCookies),
    "leeway of an issuer": lambda wrong: _issuer(leeway=wrong),
    "max_age of an issuer": lambda wrong: _issuer(max_age=wrong),
    "patience of a runtime": lambda wrong: AsyncioRuntime(patience=wrong),
    "revocation_cache of cookies": lambda wrong: CookieStore(
        revocation="denylist", revocation_store="memory:", revocation_cache=wrong
    ),
    "lock_timeout of files": lambda wrong: FileStore("sessions", lock_timeout=wrong),
    "busy_timeout of SQLite": lambda wrong: SQLiteStore("sessions.db", busy_timeout=wrong),
    "timeout of PostgreSQL": lambda wrong: PostgresStore("postgresql://h/d", timeout=wrong),
    "connect_timeout of PostgreSQL": lambda wrong: PostgresStore("postgresql://h/d", connect_timeout=wrong),
    "timeout of Redis": lambda wrong: RedisStore("redis://h", timeout=wrong),
    "connect_timeout of Redis": lambda wrong: RedisStore("redis://h", connect_timeout=wrong),
}
NO_SECONDS: list[Any] = [True, "5", b"5", [5], ..., math.nan, math.inf, -1, -0.1, 10**400]


@pytest.mark.parametrize("wrong", NO_SECONDS, ids=lambda wrong: repr(wrong)[:8])
@pytest.mark.parametrize("setting", SECONDS)
def test_what_is_no_number_of_seconds(setting: str, wrong: Any) -> None:
    """Else a setting that came as text would fail at the first request, and an interval of -1 sweep without an end."""
    with pytest.raises(ConfigurationError, match=rf"{setting.split()[0]}=.*: give "):
        SECONDS[setting](wrong)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "max_records of memory": lambda wrong: MemoryStore(max_records=wrong),
    "max_connections of PostgreSQL": lambda wrong: PostgresStore("postgresql://h/d", max_connections=wrong),
    "max_connections of Redis": lambda wrong: RedisStore("redis://h", max_connections=wrong),
    "wait_replicas of Redis": lambda wrong: RedisStore("redis://h", wait_replicas=wrong),
    "max_form of forms": lambda wrong: CSRFMiddleware(_app, max_form=wrong),
}


@pytest.mark.parametrize("wrong", [True, "5", 1.5, math.nan, math.inf, [5], timedelta(1), b"5", -1], ids=repr)
@pytest.mark.parametrize("setting", NUMBERS)
def test_what_is_no_whole_number(setting: str, wrong: Any) -> None:
    """A bound that is no number bounds nothing, or fails when it is reached."""
    with pytest.raises(ConfigurationError, match=rf"{setting.split()[0]}=.*: give a whole number"):
        NUMBERS[setting](wrong)


FLAGS: dict[str, Callable[[Any], Any]] = {
    "lazy of ASGI": lambda wrong: asgi.SessionMiddleware(_app, "memory:", lazy=wrong),
    "lazy of WSGI": lambda wrong: wsgi.SessionMiddleware(_app, "memory:", lazy=wrong),
    "everywhere of Litestar": lambda wrong: litestar.SessionPlugin("memory:", everywhere=wrong),
    "allow_weak of a keyring": lambda wrong: Keyring(SECRET, allow_weak=wrong),
    "untyped of an issuer": lambda wrong: _issuer(untyped=wrong),
    "encrypted of cookies": lambda wrong: CookieStore(encrypted=wrong),
    "durable of files": lambda wrong: FileStore("sessions", durable=wrong),
    "create of SQLite": lambda wrong: SQLiteStore("sessions.db", create=wrong),
    "create of PostgreSQL": lambda wrong: PostgresStore("postgresql://h/d", create=wrong),
    "pgbouncer of PostgreSQL": lambda wrong: PostgresStore("postgresql://h/d", pgbouncer=wrong),
}


@pytest.mark.parametrize("wrong", ["no", 0, 1, None, []], ids=repr)
@pytest.mark.parametrize("setting", FLAGS)
def test_what_is_neither_true_nor_false(setting: str, wrong: Any) -> None:
    """`"no"` would mean yes."""
    with pytest.raises(ConfigurationError, match=f"{setting.split()[0]}=.* is neither True nor False"):
        FLAGS[setting](wrong)
