"""No part of a password in a store's URL is shown: not in a message, its causes, nor among the variables of a frame."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

import limpet
from limpet import ConfigurationError, SessionManager, StoreUnavailable
from limpet.stores import Store, open_store
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore

SECRET: Final = "hunter2"
HALVES: Final = ("hun", "ter2", "hun%74er2")
"""Parts of the password that a wrong reading would take for a host, a port, an option or a database."""

MALFORMED: Final = (
    *(f"{{}}://user:{SECRET}@{place}" for place in ("h:port/0", "h:99999/0", ",h/0", "[::1/0", "h:1:2/0", "h:-1/0")),
    *(f"{{}}://user:hun{letter}ter2@h/0" for letter in "/?#"),
    *(f"{{}}://user:hun/ter2@h:6/0?{option}" for option in ("timeout=1", "ssl_cert_reqs=none")),
    "{}://user:hun?ter2=1@h/0",
    "{}://user:12?a=hunter2@h/0",
    "{}://user:hun?timeout=ter2@h/0",
    "{}://user:hun?ter2&x=y@h/0",
    f"{{}}://user:{SECRET}@h/0?nothing=1&timeout=x",
)
OURS: Final = str(Path(limpet.__file__).parent)
ALLOWED: Final = ("{}://user:hun#ter2@h/0", f"{{}}://user:{SECRET}@,h/0")
"""What can be read of a Redis URL: a login ends at the last ``@``, and a host that is left out is this machine."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that it came from."""
    seen: list[BaseException] = [error]
    while seen:
        each = seen.pop()
        yield each
        seen += [other for other in (each.__cause__, each.__context__) if other is not None]


def frames(trace: TracebackType | None) -> Iterator[object]:
    """Yield the variables of frames of libraries: those of the test and of limpet have the URL, of course."""
    while trace is not None:
        place = trace.tb_frame.f_code.co_filename
        if "site-packages" in place and not place.startswith(OURS):  # limpet is there too, if it is compiled
            yield from trace.tb_frame.f_locals.values()
        trace = trace.tb_next


def shown(error: BaseException) -> str:
    """Return all that a report of an error can show."""
    parts = ["".join(traceback.format_exception(error))]
    for each in chain(error):
        parts += [str(each), repr(each), repr(each.args), repr(vars(each))]
        parts += [repr(value) for value in frames(each.__traceback__)]
    return "\n".join(parts)


@pytest.mark.parametrize("form", MALFORMED)
@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "redis", "rediss", "redis+sentinel", "redis+cluster", "valkey"]
)
def test_malformed_urls(scheme: str, form: str) -> None:
    """What cannot be read is refused at once, and no part of the password is in the error."""
    url = form.format(scheme)
    if form in ALLOWED and not scheme.startswith("postgres"):
        url = url.replace("h/0", "h:port/0")
    for make in (open_store, SessionManager):
        with pytest.raises(ConfigurationError) as caught:
            make(url)
        text = shown(caught.value)
        for part in (SECRET, *HALVES):
            assert part not in text.replace(form, "").replace(url, ""), text
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:1/d",
        "postgresql://user:hun%74er2@127.0.0.1:1/d",
        f"postgresql://user@127.0.0.1:1/d?password={SECRET}",
        f"postgresql://user:{SECRET}@127.0.0.1:1,127.0.0.1:2/d",
        f"postgresql://user:{SECRET}@127.0.0.1:1/d?sslmode=nonsense",
        f"postgresql://user:{SECRET}@127.0.0.1:1/d?sslmode=require&sslpassword={SECRET}&sslcert=/nowhere/a",
        f"postgresql://user:{SECRET}@127.0.0.1:1/d?target_session_attrs=nonsense",
        f"postgresql://user:{SECRET}@127.0.0.1:1/d?ssl_min_protocol_version={SECRET}",
        f"redis://user:{SECRET}@127.0.0.1:1/0",
        f"redis+sentinel://user:{SECRET}@127.0.0.1:1/main?sentinel_password={SECRET}",
        f"redis+cluster://user:{SECRET}@127.0.0.1:1",
    ],
)
async def test_services_out_of_reach(url: str) -> None:
    """The error of a service that does not answer names the place, and neither it nor its causes have the password."""
    store = open_store(url)
    assert isinstance(store, Store)
    with pytest.raises(StoreUnavailable) as caught:
        await store.load("0" * 64)
    text = shown(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    for part in (SECRET, "hun%74er2"):
        if url.startswith("postgres"):
            assert part not in text
        assert part not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(store)
    await store.close()


HOSTS: Sequence[tuple[str, str]] = (
    ("postgresql://app@db1:5432,db2:5433/app?target_session_attrs=read-write", "db1:5432,db2:5433/app"),
    ("postgresql://app@/app?host=db1:5432,db2:5433", "db1:5432,db2:5433/app"),
    ("postgresql:///app?host=db1,db2&port=1,2", "db1:1,db2:2/app"),
    ("postgresql:///app?host=db1,db2&port=7", "db1:7,db2:7/app"),
    ("postgresql://db1,db2", "db1:5432,db2:5432"),
    ("postgresql://[::1]:7,[fe80::1]/app", "[::1]:7,[fe80::1]:5432/app"),
    ("postgresql://%2Fvar%2Frun%2Fpostgresql/app", "/var/run/postgresql/app"),
    ("postgresql:///?host=/var/run/postgresql&dbname=app", "/var/run/postgresql/app"),
    ("postgresql://h/?database=app&user=app@server&options=-c%20search_path%3Dx", "h:5432/app"),
    ("postgresql://", "localhost:5432"),
    ("postgresql://?service=main", "service main"),
    ("postgresql://user:p%40%2F%3F%23%3A@h/app", "h:5432/app"),
)


@pytest.mark.parametrize(("url", "place"), HOSTS)
def test_every_host_is_named(url: str, place: str) -> None:
    """What asyncpg takes is taken, with all its hosts in the repr."""
    for store in (PostgresStore(url), PostgresStore.from_url(url), open_store(url)):
        assert repr(store) == f"PostgresStore('PostgreSQL at {place}', table='\"limpet\".\"sessions\"')"


def test_hosts_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every client of PostgreSQL, what the URL leaves out comes from the environment."""
    monkeypatch.setenv("PGHOST", "db1,db2")
    monkeypatch.setenv("PGPORT", "7")
    assert "'PostgreSQL at db1:7,db2:7/app'" in repr(PostgresStore("postgresql:///app"))
    assert "'PostgreSQL at h:7/app'" in repr(PostgresStore("postgresql://h/app"))


@pytest.mark.parametrize("url", ["postgresql:///a?host=x,y&port=1,2,3", "postgresql://h/d?x", "mysql://h/d", "h/d"])
def test_what_is_no_url_of_postgresql(url: str) -> None:
    """It is refused when the store is made, and not at each request."""
    with pytest.raises(ConfigurationError):
        PostgresStore(url)


def test_redis_names_all_hosts() -> None:
    """So do Sentinel and cluster."""
    assert "a:1,b:26379" in repr(RedisStore(f"redis+sentinel://u:{SECRET}@a:1,b/main"))
    assert "a:1,b:6379" in repr(RedisStore(f"redis+cluster://u:{SECRET}@a:1,b"))
