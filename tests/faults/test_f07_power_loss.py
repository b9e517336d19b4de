"""F07: what a response acknowledged was on disk before that response began."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from limpet import Session, SessionManager
from limpet.asgi import Message, Receive, Scope, Send
from limpet.stores import FileStore, SQLiteStore
from tests.faults.service import Service, add
from tests.races.counted import CountedSite


async def test_f07_a_file_is_synced_before_the_response(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, then folder, then the first byte to the client: for a save as for a logout."""
    site = CountedSite(FileStore(tmp_path / "sessions"))
    token = await site.session(n=0)
    seen: list[str] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        sync(handle)
        seen.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")

    monkeypatch.setattr(os, "fsync", watched)
    inner = site.app

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            seen.append(message["type"])
            await send(message)

        await inner(scope, receive, told)

    await site.ask(add, token, app=outer)
    await site.ask(Session.logout, token, app=outer)
    answer = ["http.response.start", "http.response.body"]
    assert seen == ["file", "folder", *answer, "file", "folder", *answer], "a logout leaves a tombstone"


@pytest.mark.parametrize("handler", [add, Session.logout], ids=["save", "logout"])
async def test_f07_a_folder_that_could_not_be_synced_is_synced_when_the_write_is_tried_again(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of open files after the change and before its sync: the second attempt finds it done, and not on disk yet."""
    site = CountedSite(FileStore(tmp_path / "sessions"))
    token = await site.session(n=0)
    open_, sync, failed, synced = os.open, os.fsync, 0, 0

    def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
        nonlocal failed
        if flags & os.O_DIRECTORY and path == str(tmp_path / "sessions") and not failed:
            failed += 1
            raise OSError(errno.EMFILE, "too many open files")
        return open_(path, flags, *more, **options)

    def watched(handle: int) -> None:
        nonlocal synced
        sync(handle)
        synced += failed and os.readlink(f"/proc/self/fd/{handle}") == str(tmp_path / "sessions")

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", watched)
    answer = await site.ask(handler, token)
    assert (answer.status, failed) == (200, 1)
    assert synced >= 1


@pytest.mark.parametrize("above", [True, False], ids=["the index", "the subject's folder"])
async def test_f07_an_entry_that_could_not_be_synced_is_made_again(
    above: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that is tried again, and the next one of its subject, find a folder of the index that is not on disk."""
    store = FileStore(tmp_path / "sessions")
    index = tmp_path / "sessions" / ".subjects"
    wanted = index if above else index / sha256(b"ann").hexdigest()
    sync, failed, synced = os.fsync, 0, 0

    def watched(handle: int) -> None:
        nonlocal failed, synced
        if os.readlink(f"/proc/self/fd/{handle}") == str(wanted):
            if not failed:
                failed += 1
                raise OSError(errno.EIO, "input/output error")
            synced += 1
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    answer = await CountedSite(store).ask(lambda session: session.login("ann"))
    assert (answer.status, failed, synced) == (200, 1, 1)
    assert len(await store.find("ann")) == 1


async def test_f07_sqlite_syncs_each_commit(tmp_path: Path) -> None:
    """Its log is synced with every commit (``synchronous=FULL`` in WAL mode), unless the application says otherwise."""
    store = SQLiteStore(tmp_path / "sessions.db")
    await CountedSite(store).session(n=0)
    (writer, _) = store._database._connections
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    await store.close()


@pytest.mark.parametrize("service", ["postgres"], indirect=True)
async def test_f07_postgresql_commits_to_disk(service: Service) -> None:
    """Nothing here turns ``synchronous_commit`` off, and a server that has it off is complained about."""
    await service.site()
    assert "synchronous_commit" not in " ".join(await SessionManager(service.store()).check())
    await service.administer("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        assert "synchronous_commit is off" in " ".join(await SessionManager(service.store()).check())
    finally:
        await service.administer("ALTER ROLE postgres RESET synchronous_commit")
