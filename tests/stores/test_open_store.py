"""Stores by URL: what each scheme gives, and errors that name the cure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import limpet.errors
import limpet.stores as stores
from limpet.errors import ConfigurationError
from limpet.stores import ClientStore, FileStore, MemoryStore, SQLiteStore, open_store


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("memory:", "MemoryStore"),
        ("memory://", "MemoryStore"),
        ("MEMORY:?max_records=7", "MemoryStore"),
        ("file:./sessions?prefix=session_", "FileStore"),
        ("file:///var/lib/app/sessions", "FileStore"),
        ("sqlite:///sessions.db", "SQLiteStore"),
        ("sqlite:////var/lib/app/sessions.db?synchronous=normal&busy_timeout=2&create=no", "SQLiteStore"),
        ("redis://localhost:6379/0", "RedisStore"),
        ("rediss://localhost", "RedisStore"),
        ("valkey://localhost", "RedisStore"),
        ("valkeys://localhost", "RedisStore"),
        ("redis+sentinel://one:26379,two:26379/mymaster", "RedisStore"),
        ("redis+cluster://one:7000,two:7000", "RedisStore"),
        ("rediss+cluster://one:7000", "RedisStore"),
        ("postgresql://localhost/app", "PostgresStore"),
        ("postgres://localhost/app", "PostgresStore"),
        ("cookie:", "CookieStore"),
        ("cookie:signed", "CookieStore"),
    ],
)
def test_each_scheme_has_its_store(url: str, name: str) -> None:
    """A URL gives the store of its scheme, and opens nothing."""
    assert type(open_store(url)).__name__ == name


def test_cookie_urls() -> None:
    """A cookie store is a client store, not a store; `cookie:` is encrypted and `cookie:signed` is not."""
    assert isinstance(open_store("cookie:"), ClientStore)
    with pytest.raises(ConfigurationError, match="'cookie:' \\(encrypted\\) or 'cookie:signed', not 'cookie:plain'"):
        open_store("cookie:plain")


def test_sqlite_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes are relative to the current directory, four are absolute, as in SQLAlchemy."""
    monkeypatch.chdir(tmp_path)
    relative, absolute = open_store("sqlite:///a/b.db"), open_store("sqlite:////a/b.db")
    assert isinstance(relative, SQLiteStore)
    assert isinstance(absolute, SQLiteStore)
    assert relative.path == str(tmp_path / "a/b.db")
    assert absolute.path == "/a/b.db"


def test_file_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is relative without a slash, absolute with one or three, and percent-decoded."""
    monkeypatch.chdir(tmp_path)
    places = {"file:./s": tmp_path / "s", "file:s": tmp_path / "s", "file:/v/s": "/v/s", "file:///v/a%20b": "/v/a b"}
    for url, path in places.items():
        store = open_store(url)
        assert isinstance(store, FileStore)
        assert store.directory == str(path)


def test_constructing_opens_nothing(tmp_path: Path) -> None:
    """Opening a store by URL only constructs it: no file and no folder appear."""
    open_store(f"sqlite:///{tmp_path}/deep/sessions.db")
    open_store(f"file:{tmp_path}/sessions")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mongodb://localhost", "no store has the scheme 'mongodb'; there are: memory, file, sqlite, redis, "),
        ("sessions.db", "this value has no scheme. Examples: sqlite:///sessions.db"),
        ("", "this value has no scheme"),
        ("memory:?size=3", "no option 'size'; its options are: max_records"),
        ("memory:?max_records=many", "'max_records' of the store URL memory: cannot be 'many'"),
        ("memory:?max_records=1&max_records=2", "gives the option 'max_records' twice"),
        ("memory:sessions", "a memory store has no place"),
        ("sqlite://", "names no file: write 'sqlite:///sessions.db'"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "'memory:' to keep sessions in memory"),
        ("sqlite://sessions.db", "write 'sqlite:///sessions.db'"),
        ("sqlite:sessions.db", "write 'sqlite:///sessions.db'"),
        ("sqlite:///s.db?mode=ro", "no option 'mode'; its options are: busy_timeout, create, synchronous"),
        ("sqlite:///s.db?synchronous=maybe", "SQLite knows OFF, NORMAL, FULL and EXTRA"),
        ("sqlite:///s.db?create=perhaps", "true or false is expected"),
        ("sqlite:///s.db?busy_timeout=-1", "give seconds, 0 or more and at most 3600"),
        ("file:", "a file store needs a folder"),
        ("file://sessions", "write 'file:sessions'"),
        ("file:s?prefix=../x", "prefix is '../x': file names may begin with"),
        ("file:s?prefix=.hidden", "and not with a dot"),
        ("file:s?mode=0600", "its options are: durable, lock_timeout, prefix"),
    ],
)
def test_a_wrong_url_is_told(url: str, message: str) -> None:
    """A URL that cannot work is refused with a sentence that says what would."""
    with pytest.raises(ConfigurationError) as raised:
        open_store(url)
    assert message in str(raised.value)


def test_a_secret_in_the_place_of_a_url_is_not_shown() -> None:
    """A value without a scheme may be a misplaced secret, and the password of a URL is one: no error shows them."""
    for url in ("Zm9vYmFy-secret", "app:hunter2@host", "9zz://user:hunter2@host", "mongodb://user:hunter2@host"):
        with pytest.raises(ConfigurationError) as raised:
            open_store(url)
        assert "secret" not in str(raised.value).replace("a secret", "")
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "drivers", "extra"),
    [("redis://localhost", ["redis"], "redis"), ("postgresql://localhost/app", ["asyncpg", "psycopg"], "postgres")],
)
def test_a_missing_driver_is_named(url: str, drivers: list[str], extra: str) -> None:
    """Without its client a store is refused with the command that installs it."""
    assert f"pip install 'limpet[{extra}]'" in _refused_without(drivers, f"open_store({url!r})")


def test_each_side_names_the_driver_that_it_lacks() -> None:
    """PostgreSQL has a driver for event loops and one for programs without; each is missed where it is needed."""
    opened = "open_store('postgresql://localhost/app').open()"
    on_a_loop = _refused_without(["asyncpg"], f"asyncio.run({opened})")
    assert "event loop needs" in on_a_loop
    assert "limpet[postgres]" in on_a_loop
    blocking = _refused_without(["psycopg"], f"drive({opened})")
    assert "without an event loop needs" in blocking
    assert "limpet[psycopg]" in blocking


def _refused_without(drivers: list[str], work: str) -> str:
    """What is raised in a process that has not got these drivers."""
    program = f"""
import asyncio, sys
sys.modules.update(dict.fromkeys({drivers}))
from limpet.errors import MissingDependency
from limpet.stores import open_store
from limpet._blocking import drive
try:
    {work}
except MissingDependency as error:
    print(error)
"""
    return _printed(program)


def _printed(program: str) -> str:
    source = str(Path(limpet.errors.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_names_are_there_when_asked_for() -> None:
    """Every name that the package lists can be had, and another one is an AttributeError."""
    for name in stores.__all__:
        assert getattr(stores, name) is not None
    assert set(stores.__all__) <= set(dir(stores))
    assert stores.MemoryStore is MemoryStore
    with pytest.raises(AttributeError, match="no attribute 'MongoStore'"):
        _ = stores.MongoStore  # type: ignore[attr-defined,unused-ignore]


def test_importing_loads_no_driver() -> None:
    """Importing the package, or opening a memory store, loads neither asyncio nor any driver."""
    program = (
        "import sys, limpet.stores as s; s.open_store('memory:'); "
        "print(sorted({'asyncio', 'sqlite3', 'redis', 'asyncpg', 'cryptography', 'ormsgpack'} & set(sys.modules)))"
    )
    assert _printed(program) == "[]"
