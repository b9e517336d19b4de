"""``limpet copy``, in several runs: what has ended at either store stays ended, and nobody's write is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from limpet._core.positions import subject_key
from limpet.cli._copied_marks import is_placeholder, is_tombstone
from limpet.contract import DONE
from limpet.stores import FileStore
from tests.cli.running import Shell
from tests.cli.test_copy import NEW, OLD, change, copy, data, killed_at, logins, logout, using, whose
from tests.site import Site


def ids(url: str, subject: str) -> list[str]:
    """Return the public ids of a subject's sessions."""

    async def look(site: Site) -> list[str]:
        return [found.public_id for found in await site.manager.sessions_of(subject)]

    found: list[str] = using(url, look)
    return found


def mark(url: str, key: str) -> bytes:
    """Return what a mark says."""

    async def look(site: Site) -> bytes:
        record = await site.manager.engine.storage.load(key)
        assert record is not None
        return record.payload

    found: bytes = using(url, look)
    return found


def test_a_logout_between_the_mirror_and_the_last_run(shell: Shell) -> None:
    """What ends at the source after --mirror ends at the destination with the next run, and stays so."""
    cookies = logins(OLD, "ann", "bob")
    copy(shell)
    copy(shell, "--mirror")
    logout(OLD, cookies[1])
    assert copy(shell) == {"unchanged": 1, "removed": 1}
    assert whose(NEW, cookies) == ["ann", None]
    assert copy(shell) == {"unchanged": 1}


def test_all_sessions_of_a_subject_revoked_at_the_source(shell: Shell) -> None:
    """``revoke_all`` at the source ends the copies too."""
    cookies = logins(OLD, "ann", "ann", "bob")
    copy(shell)
    using(OLD, lambda site: site.manager.revoke_all("ann"))
    assert copy(shell)["removed"] == 2
    assert whose(NEW, cookies) == [None, None, "bob"]


def test_a_later_revocation_replaces_the_copy_of_an_earlier_one(shell: Shell) -> None:
    """The mark that ends logins before a moment is brought up to date too, and made again where it is missing."""
    logins(OLD, "ann")
    key = subject_key("ann")
    for _ in range(2):
        using(OLD, lambda site: site.manager.revoke_all("ann"))
        copy(shell)
        assert mark(NEW, key) == mark(OLD, key)
    using(NEW, lambda site: site.manager.engine.storage.delete(key))
    copy(shell)
    assert mark(NEW, key) == mark(OLD, key)


def test_what_was_written_at_the_destination_outlives_an_end_at_the_source(shell: Shell) -> None:
    """A session that was changed there since it was copied stays, and is counted."""
    [cookie] = logins(OLD, "ann")
    copy(shell)
    change(NEW, cookie, cart=["tea"])
    logout(OLD, cookie)
    assert copy(shell) == {"kept": 1}
    assert data(NEW, cookie) == {"cart": ["tea"]}


def test_a_worker_of_the_new_store_is_not_overwritten(shell: Shell) -> None:
    """A write through ``manager.open``, which is no use of the session, stays although both were used last at once."""
    [cookie] = logins(OLD, "ann")
    copy(shell)
    [public_id] = ids(NEW, "ann")

    async def work(site: Site) -> None:
        async with site.manager.open(public_id) as session:
            session["report"] = "ready"

    using(NEW, work)
    assert copy(shell) == {"kept": 1}
    change(OLD, cookie, report="late")
    assert copy(shell) == {"kept": 1}
    assert data(NEW, cookie) == {"report": "ready"}


def test_what_the_source_has_forgotten_in_time_is_left_alone(shell: Shell) -> None:
    """A record that the old store dropped at its deadline may be in use at the new one, which judges by itself."""
    cookies = logins(OLD, "ann")
    copy(shell)
    with closing(sqlite3.connect(shell.folder / "limpet-copy.state")) as state, state:
        state.execute("UPDATE copied SET expires = 1")
    [public_id] = ids(OLD, "ann")
    using(OLD, lambda site: site.manager.engine.storage.delete(public_id))
    assert copy(shell) == {}
    assert whose(NEW, cookies) == ["ann"]


def test_a_killed_run_brings_nothing_back(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session is noted as it is copied: what ends at the destination after a kill is not created again."""
    cookies = logins(OLD, "ann", "bob", "eve")
    with killed_at(3, monkeypatch):
        assert shell.run("copy", OLD, NEW).exit_code != 0
    there = [cookie for cookie, who in zip(cookies, whose(NEW, cookies), strict=True) if who]
    assert len(there) == 2
    logout(NEW, there[0])
    assert copy(shell) == {"copied": 1, "unchanged": 1, "ended": 1}
    assert whose(NEW, there) == [None, whose(OLD, there)[1]]


def forget_tombstones(url: str) -> None:
    """The minute is over for which a store knows that an id was ended."""

    async def forget(site: Site) -> None:
        store: Any = site.manager.kept
        for key, record in (await store.scan(None, 100))[0]:
            if is_tombstone(record) and not is_placeholder(record):
                await store.delete(key)

    using(url, forget)


@pytest.mark.parametrize("step", ["create", "update"])
def test_a_logout_after_a_kill_holds(shell: Shell, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whichever write a run was killed after, what has ended there since is not begun by the next one."""
    cookies = logins(OLD, "ann", "bob")
    write = getattr(FileStore, step)

    async def killed(*arguments: Any, **more: Any) -> None:
        assert await write(*arguments, **more) is DONE
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, step, killed)
        assert shell.run("copy", OLD, NEW).exit_code != 0
    there = [cookie for cookie in cookies if whose(NEW, [cookie]) != [None]]
    for cookie in there:
        logout(NEW, cookie)
    forget_tombstones(NEW)
    copied = 2 - len(there)
    assert copy(shell) == {name: count for name, count in {"copied": copied, "ended": len(there)}.items() if count}
    assert [who for who in whose(NEW, there) if who] == []
    assert len([who for who in whose(NEW, cookies) if who]) == copied
    assert bool(there) is (step == "update")


def test_what_a_run_without_the_notes_of_earlier_ones_has_met(shell: Shell) -> None:
    """Sessions that it found changed or ended there are noted, and do not begin again with a later run."""
    cookies = logins(OLD, "ann", "bob")
    copy(shell)
    (shell.folder / "limpet-copy.state").unlink()
    logout(NEW, cookies[0])
    change(NEW, cookies[1], cart=["tea"])
    assert copy(shell) == {"ended": 1, "kept": 1}
    logout(NEW, cookies[1])
    forget_tombstones(NEW)
    assert copy(shell) == {"ended": 2}
    assert whose(NEW, cookies) == [None, None]


def test_killed_before_an_update_was_written(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that was noted and not written is written by a later run, even if the session has changed again."""
    [cookie] = logins(OLD, "ann")
    copy(shell)
    update = "limpet.stores.file.FileStore.update"

    async def killed(*arguments: Any, **more: Any) -> None:
        raise RuntimeError("killed")

    for generation in (1, 2):
        change(OLD, cookie, generation=generation)
        with monkeypatch.context() as patch:
            patch.setattr(update, killed)
            assert shell.run("copy", OLD, NEW).exit_code != 0
    change(OLD, cookie, generation=3)
    assert copy(shell) == {"updated": 1}
    assert data(NEW, cookie) == {"generation": 3}


def test_a_state_file_where_there_is_no_folder(shell: Shell) -> None:
    """A place that cannot be written to is said in one sentence."""
    logins(OLD, "ann")
    result = shell.run("copy", OLD, NEW, "--state", "nowhere/state")
    assert result.exit_code == 1
    assert "cannot be used to note the place" in result.output
