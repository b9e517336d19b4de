"""The file store: the suite, its files and folders, its index by subject, and what else may lie about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

import limpet.errors
from limpet.errors import StoreUnavailable
from limpet.stores import ABSENT, DONE, NEVER, Checks, FileStore, Finds, Immediate, Record, Scans, Store, Sweeps
from limpet.testing.suite_store import StoreSuite
from tests.stores.blocking import NOW, done, key, record


class TestFileStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FileStore(tmp_path / "made" / "sessions", prefix="session_", lock_timeout=30)

    def reopen(self, store: Store) -> Store:
        assert isinstance(store, FileStore)
        return FileStore(store.directory, prefix=store.prefix)

    def outage(self, store: Store) -> AbstractAsyncContextManager[object]:
        assert isinstance(store, FileStore)
        folder = Path(store.directory)

        @contextlib.asynccontextmanager
        async def down() -> AsyncIterator[None]:
            aside = folder.rename(folder.with_name("aside"))
            folder.write_bytes(b"")
            yield
            folder.unlink()
            aside.rename(folder)

        return down()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder, lock_timeout=0.2)


def file(folder: Path, number: int) -> Path:
    """Return the path of a record's file."""
    return folder / f"{key(number)}.json"


def names(folder: Path) -> set[str]:
    """Return what lies in a folder, but for the index."""
    return {entry.name for entry in folder.iterdir()} - {".subjects"}


def test_powers(store: FileStore) -> None:
    """A file store sweeps, finds, scans and checks; its calls may wait."""
    for power in (Store, Sweeps, Finds, Scans, Checks):
        assert isinstance(store, power)
    assert not isinstance(store, Immediate)


# --- files ------------------------------------------------------------------------------------


def test_one_json_file_each(folder: Path) -> None:
    """A record is a file named by prefix and key that any JSON reader understands, and nothing else is left behind."""
    store = FileStore(folder, prefix="session_")
    done(store.create(key(1), record(-5, b"\x00\xff", subject="Zoë"), now=NOW))
    done(store.update(key(1), record(7, b"\x00\xff", subject="Zoë"), -5, now=NOW))
    assert names(folder) == {f"session_{key(1)}.json", ".session_subjects"}
    document = json.loads((folder / f"session_{key(1)}.json").read_text("utf-8"))
    assert document.pop("crc32") > 0
    assert document == {
        "limpet": 1, "version": 7, "accessed": NOW, "expires": NEVER, "subject": "Zoë", "payload": "AP8=",
    }  # fmt: skip


def test_files_are_private(tmp_path: Path) -> None:
    """Folders that are made are 0700 and files 0600, whatever the umask; a check finds a folder that is not."""
    mask = os.umask(0)
    try:
        store = FileStore(tmp_path / "made")
        done(store.create(key(1), record(subject="ada"), now=NOW))
        for place, _, files in os.walk(tmp_path / "made"):
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
            assert all(stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode) == 0o600 for name in files)
        assert done(store.check()) == []
        (tmp_path / "made").chmod(0o755)
        assert "mode 755" in done(store.check())[0]
    finally:
        os.umask(mask)


@pytest.mark.parametrize("name", ["../x", "..\\x", "/etc/passwd", "%2e%2e/", "a\0b", "x" * 5000, "CON", "A" * 64])
def test_s21_only_digests_become_paths(store: FileStore, folder: Path, name: str) -> None:
    """A key of any other shape is refused before it is made into a path."""
    done(store.open())
    before = set(folder.parent.rglob("*"))
    for call in (store.load(name), store.create(name, record(), now=NOW), store.delete(name)):
        with pytest.raises(ValueError, match="64 lower-case hexadecimal digits"):
            done(call)
    assert set(folder.parent.rglob("*")) == before


def test_what_is_not_ours_is_left_alone(store: FileStore, folder: Path) -> None:
    """Other files in the folder are neither scanned nor swept, and a store with another prefix has its own sessions."""
    other = FileStore(folder, prefix="b_")
    done(store.create(key(1), record(1, expires=NOW, subject="ada"), now=NOW))
    done(other.create(key(2), record(2, expires=NOW, subject="ada"), now=NOW))
    strange = {"README", "x.json", f"{key(3)}.json.bak", f"a{key(4)}.json", "b_.json", key(5)}
    for name in strange:
        (folder / name).write_text("mine")
        os.utime(folder / name, (0, 0))
    assert [found for found, _ in done(store.scan(None, 100))[0]] == [key(1)]
    assert [found for found, _ in done(store.find("ada"))] == [key(1)]
    assert [found for found, _ in done(other.find("ada"))] == [key(2)]
    assert done(store.sweep(NOW + 1, 100)) == 1
    assert done(other.load(key(2))) is not None
    assert strange <= names(folder)


@pytest.mark.parametrize("deadline", [0, 2**33])
def test_left_over_temporary_files_are_swept_at_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch, deadline: int
) -> None:
    """A temporary file of a crashed process goes after an hour, whatever its deadline; a young one may be in use."""
    folder.mkdir(0o700)
    (folder / ".left.tmp").write_bytes(b"half a rec")
    os.utime(folder / ".left.tmp", (deadline, deadline))
    began = time.time()
    for later, left in ((3500, {".left.tmp"}), (3700, set[str]())):
        monkeypatch.setattr(time, "time", lambda later=later: began + later)
        done(FileStore(folder).open())
        assert names(folder) == left


def test_f07_the_order_of_syncs(store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is synced before it gets its name, and the folder is synced before the write is acknowledged."""
    done(store.create(key(1), record(1), now=NOW))
    seen: list[str] = []

    def watch(name: str, say: Callable[..., str]) -> None:
        original = getattr(os, name)

        def called(*args: object, **kwargs: object) -> object:
            seen.append(say(*args))
            return original(*args, **kwargs)

        monkeypatch.setattr(os, name, called)

    def kind(handle: int) -> str:
        return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"

    watch("fsync", lambda handle: f"sync {kind(handle)}")
    for name in ("write", "link", "replace"):
        watch(name, lambda *_, name=name: name)
    watch("unlink", lambda path: "discard" if str(path).endswith(".tmp") else "delete")
    done(store.create(key(2), record(1), now=NOW))
    assert seen == ["write", "sync file", "link", "discard", "sync folder"]
    seen.clear()
    done(store.update(key(2), record(2), 1, now=NOW))
    assert seen == ["write", "sync file", "replace", "sync folder"]
    seen.clear()
    done(store.delete(key(2)))
    assert seen == ["delete", "sync folder"]


def test_a_folder_that_vanishes_is_told(store: FileStore, folder: Path) -> None:
    """Sessions whose folder was moved away are unavailable, not absent; then the store begins anew."""
    done(store.create(key(1), record(), now=NOW))
    folder.rename(folder.with_name("moved"))
    with pytest.raises(StoreUnavailable, match="was deleted or moved"):
        done(store.load(key(1)))
    assert done(store.load(key(1))) is None


# --- what else may lie under a name -----------------------------------------------------------


def test_f05_any_change_to_a_file_is_noticed(store: FileStore, folder: Path) -> None:
    """A file cut off anywhere or with any bit flipped is a record without payload that its version deletes."""
    done(store.create(key(1), record(9, b"secret", subject="ada"), now=NOW))
    good = file(folder, 1).read_bytes()
    cut = [good[:end] for end in range(len(good))]
    flipped = [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in range(8)]
    others = [b"[]", b"7", b"null", b"{}", b"\xff\xfe", b'{"limpet":1,"crc32":5}\n', good * 2, good + b"\n"]
    for number, data in enumerate([*cut, *flipped, *others]):
        file(folder, 1).write_bytes(data)
        found = done(store.load(key(1)))
        assert found is not None
        assert (found.payload, found.subject, found.expires) == (b"", None, 0), data
        if number % 50 == 0:
            assert done(store.delete(key(1), 9)) == found
            assert done(store.delete(key(1), found.version)) is DONE
            assert done(store.create(key(1), record(9, b"secret", subject="ada"), now=NOW)) is DONE


def test_f05_a_damaged_file_is_swept(store: FileStore, folder: Path) -> None:
    """A damaged file that nobody asks for goes with the expired ones."""
    done(store.create(key(1), record(), now=NOW))
    file(folder, 1).write_bytes(b"rubbish")
    assert done(store.sweep(NOW, 10)) == 1
    assert names(folder) == set()


def test_f25_a_file_of_a_later_format_is_left_alone(store: FileStore, folder: Path) -> None:
    """A record that a later version wrote is neither read nor taken for damaged."""
    body = b'{"limpet":2,"version":1,"news":true'
    done(store.open())
    file(folder, 1).write_bytes(body + b',"crc32":%d}\n' % zlib.crc32(body))
    for call in (store.load(key(1)), store.delete(key(1)), store.update(key(1), record(), 1, now=NOW)):
        with pytest.raises(StoreUnavailable, match=r"has format 2 .* upgrade this one"):
            done(call)
    assert file(folder, 1).exists()


@pytest.mark.parametrize("kind", ["link", "link to nothing", "link to a record", "pipe"])
def test_s21_what_is_planted_is_not_followed(store: FileStore, folder: Path, kind: str) -> None:
    """A link or a pipe in a record's place is never read, written through or waited for, and can be deleted."""
    done(store.create(key(2), record(2), now=NOW))
    outside = folder.parent / "outside"
    outside.write_text("precious")
    target = {"link": outside, "link to nothing": folder / "none", "link to a record": file(folder, 2)}.get(kind)
    if target is None:
        os.mkfifo(file(folder, 1))
    else:
        file(folder, 1).symlink_to(target)
    found = done(store.load(key(1)))
    assert found is not None
    assert (found.payload, found.expires) == (b"", 0)
    assert done(store.create(key(1), record(), now=NOW)) == found
    assert done(store.update(key(1), record(), 1, now=NOW)) == found
    assert done(store.touch(key(1), NOW, NEVER, now=NOW)) is ABSENT
    assert done(store.delete(key(1), found.version ^ 1)) == found
    assert done(store.delete(key(1), found.version)) is DONE
    assert done(store.load(key(1))) is None
    assert outside.read_text() == "precious"
    assert done(store.load(key(2))) == record(2)


# --- the index by subject ---------------------------------------------------------------------


def entries(folder: Path) -> set[str]:
    """Return the keys in the index, of whatever subject."""
    return {path.name for path in (folder / ".subjects").glob("*/*")}


def test_the_index_goes_with_the_sessions(store: FileStore, folder: Path) -> None:
    """An entry is made with its record and goes with it, and the folder of a subject with the last one."""
    done(store.create(key(1), record(1, subject="ada"), now=NOW))
    done(store.create(key(2), record(1, subject="ada"), now=NOW))
    assert entries(folder) == {key(1), key(2)}
    done(store.update(key(1), record(2, subject="eve"), 1, now=NOW))
    done(store.delete(key(2)))
    assert entries(folder) == {key(1)}
    assert len(list((folder / ".subjects").iterdir())) == 1
    done(store.delete(key(1)))
    assert list((folder / ".subjects").iterdir()) == []


def test_the_index_heals(store: FileStore, folder: Path) -> None:
    """Entries without a record go when they are an hour old, wrong ones at once, and a lost one comes back."""
    done(store.create(key(1), record(1, subject="ada"), now=NOW))
    index = next((folder / ".subjects").iterdir())
    for number in (2, 3):
        (index / key(number)).touch()
    os.utime(index / key(3), (0, 0))
    done(store.create(key(4), record(1, subject="eve"), now=NOW))
    (index / key(4)).touch()
    assert [found for found, _ in done(store.find("ada"))] == [key(1)]
    assert {path.name for path in index.iterdir()} == {key(1), key(2)}, "key 2 may be a session that is being created"
    (index / key(1)).unlink()
    assert done(store.find("ada")) == []
    done(store.update(key(1), record(2, subject="ada"), 1, now=NOW))
    assert [found for found, _ in done(store.find("ada"))] == [key(1)]


async def test_the_index_under_contention(folder: Path) -> None:
    """A session that changes hands again and again while both owners are looked up is found in the end."""
    store = FileStore(folder, lock_timeout=30)
    await store.create(key(1), record(0, subject="ada"), now=NOW)

    async def change() -> None:
        for number in range(60):
            new = record(number + 1, subject=("eve", "ada")[number % 2])
            assert await store.update(key(1), new, number, now=NOW) is DONE

    async def look(subject: str) -> None:
        for _ in range(60):
            for _, found in await store.find(subject):
                assert found.subject == subject

    await asyncio.gather(change(), look("ada"), look("eve"), look("ada"))
    assert [found.version for _, found in await store.find("ada")] == [60]
    assert await store.find("eve") == []
    await store.close()


# --- threads, loops, the end ------------------------------------------------------------------


async def test_f18_a_cancelled_write_still_lands(store: FileStore) -> None:
    """A write whose caller is cancelled is finished, and its outcome goes to nobody else."""
    await store.open()
    tasks = [asyncio.ensure_future(store.create(key(n), record(n), now=NOW)) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert await store.create(key(99), record(99), now=NOW) is DONE
    await store.close()
    page, _ = await store.scan(None, 100)
    assert [found.version for _, found in page] == [*range(20), 99]
    await store.close()


def test_f23_several_loops(store: FileStore) -> None:
    """One store serves loops one after the other, two at once in two threads, and none at all."""

    async def work(start: int) -> None:
        outcomes = await asyncio.gather(*(store.create(key(n), record(n), now=NOW) for n in range(start, start + 20)))
        assert outcomes == [DONE] * 20

    asyncio.run(work(0))
    asyncio.run(work(20))
    threads = [threading.Thread(target=lambda start=start: asyncio.run(work(start))) for start in (40, 60)]
    for thread in threads:
        thread.start()
    for number in range(80, 90):
        assert done(store.create(key(number), record(number), now=NOW)) is DONE
    for thread in threads:
        thread.join()
    assert [found.version for _, found in done(store.scan(None, 1000))[0]] == list(range(90))
    done(store.close())


def test_the_interpreter_exits_in_peace(folder: Path) -> None:
    """A program that ends without closing the store ends at once, quietly, and with its writes done."""
    program = (
        "import asyncio, sys\n"
        "from limpet.stores import FileStore, Record\n"
        "store = FileStore(sys.argv[1])\n"
        "async def main():\n"
        "    await store.open()\n"
        "    for n in range(20):\n"
        "        asyncio.ensure_future(store.create(f'{n:064x}', Record(1, b'', 1), now=1))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(folder)]
    environment = {"PYTHONPATH": str(Path(limpet.errors.__file__).parents[1])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(done(FileStore(folder).scan(None, 100))[0]) == 20


def test_f24_a_sweep_in_small_steps(store: FileStore, folder: Path) -> None:
    """Sweeps go on where the last one stopped, take what has expired in a bounded number of steps, and nothing else."""
    for number in range(200):
        done(store.create(key(number), record(number, expires=NOW + number % 2 * 9999), now=NOW))
    counts = [done(store.sweep(NOW, 15)) for _ in range(9)]
    assert sum(counts) == 100
    assert max(counts) <= 15
    assert len(names(folder)) == 100


def test_a_deadline_that_the_file_does_not_show_is_believed(store: FileStore, folder: Path) -> None:
    """What the record says decides: a copied file with another time of modification is not swept early."""
    done(store.create(key(1), record(1, expires=NOW + 1000), now=NOW))
    os.utime(file(folder, 1), (0, 0))
    assert done(store.sweep(NOW, 10)) == 0
    assert done(store.load(key(1))) == Record(1, b"payload", NOW, NOW + 1000)
