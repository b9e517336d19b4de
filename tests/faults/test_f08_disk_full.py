"""F08: a save that does not fit on the disk is an error, and the old record stays readable."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import StoreUnavailable
from limpet.stores import DONE, open_store
from tests.faults.local import KINDS, url
from tests.faults.service import read, refused
from tests.races.counted import CountedSite
from tests.stores.blocking import NOW, done, key, record

Fill = Callable[[int], AbstractContextManager[None]]
SIZES = {"sqlite": 512, "file": 64}  # KB: an SQLite database with log and index needs more than 64


@pytest.fixture
def disk(tmp_path: Path, kind: str) -> Iterator[tuple[Path, Fill]]:
    """Give a small disk, and a way to leave so many bytes free on it.

    Who may not mount one gets a limit on the size of files instead, which stops a write at the same places.
    """
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZES[kind]}k,mode=0755", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        yield tmp_path, limited
        return
    try:
        yield tmp_path, lambda free: filled(tmp_path, free)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@contextlib.contextmanager
def filled(folder: Path, free: int) -> Iterator[None]:
    """Fill the disk but for so many bytes."""
    ballast = folder / "ballast"
    space = os.statvfs(folder)
    ballast.write_bytes(bytes(space.f_bavail * space.f_bsize - free))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def limited(free: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check(store: Any, kind: str, full: AbstractContextManager[None]) -> None:
    """Save 20 KB over a record while the disk is full, and again when it is not."""
    old = record(1, b"old", subject="ada")
    assert done(store.create(key(1), old, now=NOW)) is DONE
    with full:
        big = record(2, os.urandom(20_000))
        for call in (store.update(key(1), big, 1, now=NOW), store.create(key(2), big, now=NOW)):
            with pytest.raises(StoreUnavailable, match=r"is unavailable: .*(full|limit on the size|writing the disk)"):
                done(call)
        assert done(store.load(key(1))) == old
        assert done(store.load(key(2))) is None
    assert done(store.load(key(1))) == old
    assert done(store.find("ada")) == [(key(1), old)]
    new = record(2, os.urandom(20_000))
    assert done(store.update(key(1), new, 1, now=NOW)) is DONE
    assert done(store.load(key(1))) == new
    assert done(store.check()) == []
    done(store.close())


@pytest.mark.parametrize("free", [0, 8192])
@pytest.mark.parametrize("kind", KINDS)
def test_f08_disk_full(kind: str, free: int, disk: tuple[Path, Fill]) -> None:
    """With nothing free, and with room for a part, the save raises, the old record stays, and later saves work."""
    folder, fill = disk
    check(open_store(url(kind, folder)), kind, fill(free))
    assert [path.name for path in folder.rglob("*.tmp")] == [], "what was written in part is removed"


@pytest.mark.parametrize("free", [0, 8192])
@pytest.mark.parametrize("kind", KINDS)
def test_f08_size_limit(kind: str, free: int, tmp_path: Path) -> None:
    """A limit on the size of files is met like a full disk."""
    check(open_store(url(kind, tmp_path)), kind, limited(free))
    assert [path.name for path in tmp_path.rglob("*.tmp")] == [], "what was written in part is removed"


@pytest.mark.parametrize("free", [0, 8192])
@pytest.mark.parametrize("kind", KINDS)
async def test_f08_a_request_on_a_full_disk(kind: str, free: int, disk: tuple[Path, Fill]) -> None:
    """A save that does not fit is a 503 without a cookie, the session stays as it was, and later it fits."""
    folder, fill = disk
    store: Any = open_store(url(kind, folder))
    site = CountedSite(store)
    token = await site.session(n=1)
    big = os.urandom(20_000)
    with fill(free):
        for visitor in (token, None):
            assert refused(await site.ask(lambda session: session.update(big=big), visitor))
        assert (await site.ask(read, token)).result == {"n": 1}
    assert (await site.ask(lambda session: session.update(big=big), token)).status == 200
    assert await site.read(token) == {"n": 1, "big": big}
    await store.close()


@pytest.mark.parametrize("kind", ["file"])
def test_f08_logout_on_a_full_disk(disk: tuple[Path, Fill]) -> None:
    """Ending a session needs no room."""
    folder, fill = disk
    store: Any = open_store(url("file", folder))
    done(store.create(key(1), record(1), now=NOW))
    with fill(0):
        assert done(store.delete(key(1), 1)) is DONE
    assert done(store.load(key(1))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_f08_a_disk_that_became_read_only(kind: str, disk: tuple[Path, Fill]) -> None:
    """On a read-only disk a save raises and says why."""
    folder, _ = disk
    store: Any = open_store(url(kind, folder))
    done(store.create(key(1), record(1), now=NOW))
    done(store.close())
    with read_only(folder):
        with pytest.raises(StoreUnavailable, match=r"is unavailable: .*(read-only|cannot be opened|may not use)"):
            done(store.update(key(1), record(2), 1, now=NOW))
    assert done(store.update(key(1), record(2), 1, now=NOW)) is DONE
    done(store.close())


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount the disk read-only; who may not, takes the permission to write away."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return
    places = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in places]
    for path, mode in zip(places, modes, strict=True):
        path.chmod(mode & ~0o222)
    yield
    for path, mode in zip(places, modes, strict=True):
        path.chmod(mode)
