"""``limpet copy`` that was interrupted: the next run leaves out nothing of what happened since."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import StoreUnavailable
from limpet.cli._copied_marks import Marks
from limpet.stores import FileStore
from tests.cli.running import Shell
from tests.cli.test_copy import NEW, OLD, change, copy, data, killed_at, logins, logout, using, whose
from tests.cli.test_copy_revoked import noted


def test_what_was_copied_before_it_was_interrupted_is_looked_at_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the last run follows an interrupted one, it ends what was logged out since, and brings what was written."""
    monkeypatch.setattr("limpet.cli.copy.PAGE", 2)
    cookies = logins(OLD, *(f"user{number}" for number in range(8)))
    with killed_at(5, monkeypatch):
        assert shell.run("copy", OLD, NEW).exit_code != 0
    there = [cookie for cookie, who in zip(cookies, whose(NEW, cookies), strict=True) if who]
    assert len(there) == 4
    logout(OLD, there[0])
    change(OLD, there[1], cart=["tea"])
    more = logins(OLD, *(f"guest{number}" for number in range(8)))
    assert copy(shell) == {"copied": 12, "updated": 1, "unchanged": 2, "removed": 1}
    assert whose(NEW, there[:1]) == [None]
    assert data(NEW, there[1]) == {"cart": ["tea"]}
    assert None not in whose(NEW, more)


def test_a_destination_that_does_not_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sessions are under way, one sentence says it, and the next run goes on."""
    cookies = logins(OLD, "ann", "bob", "eve")

    async def down(*arguments: Any, **more: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "create", down)
        result = shell.run("copy", OLD, NEW)
    assert (result.exit_code, result.stderr) == (1, "limpet: the disk is full\n")
    assert copy(shell) == {"copied": 3}
    assert whose(NEW, cookies) == ["ann", "bob", "eve"]


def test_killed_before_the_revocations_were_written(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run was about to revoke is revoked by the next, also if the destination revoked meanwhile."""
    cookies = logins(OLD, "ann", "bob")
    using(OLD, lambda site: site.manager.revoke_all("zoe"))
    copy(shell)

    async def killed(*arguments: Any) -> None:
        raise RuntimeError("killed")

    noted(OLD, None)
    with monkeypatch.context() as patch:
        patch.setattr(Marks, "_give", killed)
        assert shell.run("copy", OLD, NEW).exit_code != 0
    using(NEW, lambda site: site.manager.revoke_all("eve"))
    assert whose(OLD, cookies) == [None, None]
    copy(shell)
    assert whose(NEW, cookies) == [None, None]
