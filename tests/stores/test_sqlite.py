"""The SQLite store: the suite, its file, its schema, its writer, and errors that name the cause."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

import limpet.errors
from limpet.errors import StoreUnavailable
from limpet.stores import ABSENT, DONE, NEVER, Checks, Finds, Immediate, Record, Scans, SQLiteStore, Store, Sweeps
from limpet.stores.sqlite.file import APPLICATION
from limpet.stores.sqlite.store import MIGRATIONS
from limpet.testing.suite_store import StoreSuite
from tests.stores.blocking import NOW, done, key, record


class TestSQLiteStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> SQLiteStore:
        return SQLiteStore(tmp_path / "made" / "sessions.db")

    def reopen(self, store: Store) -> Store:
        assert isinstance(store, SQLiteStore)
        return SQLiteStore(store.path)

    def outage(self, store: Store) -> AbstractAsyncContextManager[object]:
        assert isinstance(store, SQLiteStore)
        path = Path(store.path)

        @contextlib.asynccontextmanager
        async def down() -> AsyncIterator[None]:
            await store.close()
            good = path.read_bytes()
            path.write_bytes(b"this is no database" * 100)
            yield
            path.write_bytes(good)

        return down()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, busy_timeout=0.2)
    yield store
    done(store.close())


def test_powers(store: SQLiteStore) -> None:
    """An SQLite store sweeps, finds, scans and checks; its calls may wait."""
    for power in (Store, Sweeps, Finds, Scans, Checks):
        assert isinstance(store, power)
    assert not isinstance(store, Immediate)


# --- the file ---------------------------------------------------------------------------------


def test_files_are_private(tmp_path: Path) -> None:
    """The folder that is made is 0700, and the database, its log and its index are 0600, whatever the umask."""
    mask = os.umask(0)
    try:
        store = SQLiteStore(tmp_path / "made" / "sessions.db")
        done(store.create(key(1), record(), now=NOW))
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "made").iterdir()}
        assert modes == {"sessions.db": 0o600, "sessions.db-wal": 0o600, "sessions.db-shm": 0o600}
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
        assert done(store.check()) == []
        (tmp_path / "made" / "sessions.db").chmod(0o644)
        assert "mode 644" in done(store.check())[0]
        done(store.close())
    finally:
        os.umask(mask)


def test_create_false_creates_nothing(path: Path) -> None:
    """With `create=False` a missing file is an error and stays missing, and so does a missing table."""
    store = SQLiteStore(path, create=False)
    with pytest.raises(StoreUnavailable, match="create=False forbids"):
        done(store.load(key(1)))
    assert not path.exists()
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(StoreUnavailable, match="has schema 0, 3 is needed, and create=False forbids"):
        done(store.load(key(1)))
    done(SQLiteStore(path).open())
    assert done(store.load(key(1))) is None
    done(store.close())


def test_an_old_schema_is_migrated(path: Path) -> None:
    """A database of the first schema is brought to the newest one when it is opened, with its records."""
    with contextlib.closing(sqlite3.connect(path)) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        values = (bytes.fromhex(key(1)), 7, b"old", NOW, NEVER, "ada")
        old.execute(
            "INSERT INTO sessions (key, version, payload, accessed, expires, subject) VALUES (?,?,?,?,?,?)", values
        )
        old.execute(f"PRAGMA application_id={APPLICATION}")
        old.execute("PRAGMA user_version=1")
        old.commit()
    store = SQLiteStore(path)
    assert done(store.find("ada")) == [(key(1), Record(7, b"old", NOW, NEVER, "ada"))]
    done(store.close())
    with contextlib.closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        plan = str(new.execute("EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE subject = 'ada'").fetchall())
        assert "sessions_by_subject" in plan


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A database that a later version wrote is left alone, and the error says to upgrade."""
    done(SQLiteStore(path).open())
    with contextlib.closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version=99")
    with pytest.raises(StoreUnavailable, match=r"has schema 99 and this limpet knows 3: .* upgrade this one"):
        done(SQLiteStore(path).load(key(1)))


def test_the_database_of_another_application_is_refused(path: Path) -> None:
    """Sessions are not put among the tables of somebody else."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE sessions (id TEXT)")
    with pytest.raises(StoreUnavailable, match="of another application: give the sessions a file of their own"):
        done(SQLiteStore(path).load(key(1)))


def test_a_damaged_file_is_named(path: Path, store: SQLiteStore) -> None:
    """What is no database is said to be none, and the store works again once it is gone."""
    path.write_bytes(b"x" * 5000)
    with pytest.raises(StoreUnavailable, match=r"sessions\.db is unavailable: the file is not an SQLite database"):
        done(store.load(key(1)))
    path.unlink()
    assert done(store.load(key(1))) is None


def test_check_finds_damage(path: Path, store: SQLiteStore) -> None:
    """A check reads the pages and says what is wrong with them."""
    for number in range(200):
        done(store.create(key(number), record(payload=b"x" * 200, subject=f"u{number}"), now=NOW))
    assert done(store.check()) == []
    done(store.close())
    with contextlib.closing(sqlite3.connect(path)) as raw:
        page = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_subject'").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 + 8 : (page - 1) * 4096 + 64] = os.urandom(56)
    path.write_bytes(data)
    assert "damaged" in str(done(store.check()))


def test_a_deleted_file_is_told(path: Path, store: SQLiteStore) -> None:
    """A write to a file that was deleted under the store is not acknowledged: nobody would ever find it."""
    done(store.create(key(1), record(), now=NOW))
    path.unlink()
    with pytest.raises(StoreUnavailable, match="was moved, deleted or replaced while in use"):
        done(store.create(key(2), record(), now=NOW))


@pytest.mark.parametrize("column", ["version", "payload", "accessed", "expires"])
@pytest.mark.parametrize("value", ["text", 1.5, b"\xff"])
def test_f05_a_damaged_row_can_be_deleted_by_its_version(path: Path, column: str, value: object) -> None:
    """A value of the wrong type gives a record that no manager can read, and exactly that one can be deleted."""
    if column == "payload" and value == b"\xff":
        value = 5
    store = SQLiteStore(path)
    done(store.create(key(1), record(3, subject="ada"), now=NOW))
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute(f"UPDATE sessions SET {column} = ?", (value,))  # noqa: S608 - columns named above
        raw.commit()
    damaged = done(store.load(key(1)))
    assert damaged is not None
    assert (damaged.payload, damaged.expires) == (b"", 0)
    assert done(store.load(key(1))) == damaged
    assert done(store.delete(key(1), damaged.version ^ 1)) == damaged
    assert done(store.delete(key(1), damaged.version)) is DONE
    assert done(store.load(key(1))) is None
    done(store.close())


def test_f05_a_subject_that_is_no_text_is_readable(path: Path, store: SQLiteStore) -> None:
    """A record whose subject was damaged is still the record of its session."""
    done(store.create(key(1), record(subject="ada"), now=NOW))
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE sessions SET subject = CAST(x'ff61' AS TEXT)")
        raw.commit()
    found = done(store.load(key(1)))
    assert found is not None
    assert (found.payload, found.subject) == (b"payload", "\ufffda")


# --- the writer -------------------------------------------------------------------------------


def commits(path: Path) -> int:
    """Return how many transactions are in the write-ahead log (https://www.sqlite.org/fileformat2.html#walformat)."""
    log = path.with_name(path.name + "-wal").read_bytes()
    salt = log[16:24]
    frames = (log[start : start + 24] for start in range(32, len(log), 24 + 4096))
    return sum(frame[4:8] != bytes(4) and frame[8:16] == salt for frame in frames)


async def test_writes_at_one_moment_share_a_transaction(path: Path, store: SQLiteStore) -> None:
    """Fifty updates at once take a few transactions, so a few syncs, and not fifty."""
    for number in range(50):
        await store.create(key(number), record(1), now=NOW)
    before = commits(path)
    outcomes = await asyncio.gather(*(store.update(key(number), record(2), 1, now=NOW) for number in range(50)))
    assert outcomes == [DONE] * 50
    assert commits(path) - before <= 10


async def test_each_write_has_its_own_outcome(store: SQLiteStore) -> None:
    """Writes that share a transaction do not share a fate: one that cannot be done fails alone."""
    await store.create(key(1), record(1), now=NOW)
    outcomes = await asyncio.gather(
        store.create(key(2), record(2), now=NOW),
        store.create(key(3), record(2**64), now=NOW),
        store.create(key(1), record(9), now=NOW),
        store.update(key(9), record(9), 1, now=NOW),
        store.create(key(4), record(4), now=NOW),
        return_exceptions=True,
    )
    assert outcomes[0] is DONE
    assert isinstance(outcomes[1], OverflowError)
    assert list(outcomes[2:]) == [record(1), ABSENT, DONE]
    assert await store.load(key(2)) == record(2)
    assert await store.load(key(3)) is None
    assert await store.load(key(4)) == record(4)


async def test_f18_a_cancelled_write_still_lands(path: Path, store: SQLiteStore) -> None:
    """A write whose caller is cancelled is finished, and its outcome goes to nobody else."""
    await store.create(key(1), record(1), now=NOW)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        cancelled = [asyncio.ensure_future(store.update(key(1), record(2), 1, now=NOW)) for _ in range(3)]
        kept = asyncio.ensure_future(store.update(key(2), record(2), 1, now=NOW))
        await asyncio.sleep(0.02)
        for task in cancelled:
            task.cancel()
        other.execute("ROLLBACK")
    assert await kept is ABSENT
    assert [type(outcome) for outcome in await asyncio.gather(*cancelled, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 3
    assert await store.load(key(1)) == record(2)


def test_f23_several_loops(store: SQLiteStore) -> None:
    """One store serves loops one after the other, two at once in two threads, and none at all."""
    asyncio.run(_work(store, 0))
    asyncio.run(_work(store, 100))
    threads = [threading.Thread(target=lambda start=start: asyncio.run(_work(store, start))) for start in (200, 300)]
    for thread in threads:
        thread.start()
    for number in range(400, 450):
        assert done(store.create(key(number), record(number), now=NOW)) is DONE
    for thread in threads:
        thread.join()
    page, _ = done(store.scan(None, 1000))
    assert [found.version for _, found in page] == [n for n in range(450) if n % 100 < 50]


async def _work(store: SQLiteStore, start: int) -> None:
    outcomes = await asyncio.gather(*(store.create(key(n), record(n), now=NOW) for n in range(start, start + 50)))
    assert outcomes == [DONE] * 50


def test_a_loop_that_is_gone_harms_nobody(path: Path, store: SQLiteStore) -> None:
    """A write whose event loop was closed meanwhile is finished, and the next caller is served."""
    done(store.create(key(1), record(1), now=NOW))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def leave() -> None:
            asyncio.ensure_future(store.update(key(1), record(2), 1, now=NOW))  # noqa: RUF006 - left behind on purpose
            await asyncio.sleep(0.01)

        asyncio.run(leave())
        other.execute("ROLLBACK")
    assert asyncio.run(store.load(key(1))) is not None
    assert asyncio.run(store.update(key(1), record(3), 2, now=NOW)) is DONE


def _opened_below(folder: Path) -> list[str]:
    """Return the files in a folder that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # another thread has closed it meanwhile
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [name for name in found if name.startswith(str(folder))]


def test_a_store_that_is_dropped_leaves_nothing(path: Path) -> None:
    """A store that nobody closed gives its thread and its files back when it is gone."""
    before = set(threading.enumerate())  # threads of other tests may end meanwhile
    store = SQLiteStore(path)
    asyncio.run(_work(store, 0))
    [thread] = [each for each in threading.enumerate() if each not in before]
    assert thread.name.startswith("limpet-sqlite")
    assert _opened_below(path.parent)
    del store
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
    assert _opened_below(path.parent) == []


def test_the_interpreter_exits_in_peace(path: Path) -> None:
    """A program that ends without closing the store ends at once, quietly, and with its writes done."""
    program = (
        "import asyncio, sys\n"
        "from limpet.stores import Record, SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "async def main():\n"
        "    await store.open()\n"
        "    for n in range(20):\n"
        "        asyncio.ensure_future(store.create(f'{n:064x}', Record(1, b'', 1), now=1))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(path)]
    environment = {"PYTHONPATH": str(Path(limpet.errors.__file__).parents[1])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    store = SQLiteStore(path)
    assert len(done(store.scan(None, 100))[0]) == 20
    done(store.close())


async def test_f24_a_sweep_among_traffic(store: SQLiteStore) -> None:
    """Sweeping in small batches while sessions are created and touched never takes a live one."""
    await asyncio.gather(*(store.create(key(n), record(n, expires=NOW + n % 2 * 9999), now=NOW) for n in range(2000)))

    async def traffic() -> None:
        for number in range(2000, 2200):
            await store.create(key(number), record(number, expires=NOW + 1), now=NOW)
            await store.touch(key(number), NOW, NOW + 10_000, now=NOW)

    async def sweep() -> int:
        return sum([await store.sweep(NOW, 50) for _ in range(30)])

    _, swept = await asyncio.gather(traffic(), sweep())
    assert swept == 1000
    page, _ = await store.scan(None, 5000)
    assert [found.version for _, found in page] == [*range(1, 2000, 2), *range(2000, 2200)]
