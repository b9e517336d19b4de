"""``limpet keygen`` and ``limpet keys rotate`` as a person uses them, with the application in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from limpet import Key, Keyring
from tests.cli.running import in_process_of_its_own
from tests.security.site import ANONYMOUS, Watched, WatchedSite

STORES = pytest.mark.parametrize("store", [None, "cookie:"], ids=["id", "cookie"])


def printed(*words: str, folder: Path, secret: str = "") -> str:
    """Return what the command prints, in a process of its own."""
    done = in_process_of_its_own(*words, folder=folder, LIMPET_SECRET=secret)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def restarted(monkeypatch: pytest.MonkeyPatch, value: str, store: str | None, kept: Watched) -> WatchedSite:
    """Return the application after a restart with this value of the variable, over what was stored."""
    monkeypatch.setenv("LIMPET_SECRET", value)
    site = WatchedSite(store=store or kept)
    site.clock.now += 1_000
    return site


def test_a_rotation_from_the_shell(tmp_path: Path) -> None:
    """The newest secret comes first, the one before it is kept, and older ones are not."""
    first = printed("keygen", folder=tmp_path)
    second = printed("keys", "rotate", folder=tmp_path, secret=first)
    third = printed("keys", "rotate", folder=tmp_path, secret=second)
    assert second.split()[1:] == [first]
    assert third.split()[1:] == second.split()[:1]


@STORES
async def test_nobody_is_logged_out(store: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old cookie opens after the rotation and is handed out anew, once; two rotations later it is worthless."""
    kept = Watched()
    first = printed("keygen", folder=tmp_path)
    old = (await restarted(monkeypatch, first, store, kept).ask("/write")).given
    second = printed("keys", "rotate", folder=tmp_path, secret=first)
    site = restarted(monkeypatch, second, store, kept)
    answer = await site.ask("/read", old)
    assert answer.text == "1"
    new = answer.given
    assert (await site.ask("/read", new)).cookies == []
    third = printed("keys", "rotate", folder=tmp_path, secret=second)
    site = restarted(monkeypatch, third, store, kept)
    assert (await site.ask("/dump", old)).text == ANONYMOUS
    assert (await site.ask("/read", new)).text == "1"


@STORES
async def test_an_end_date_for_the_old_secret(store: str | None, tmp_path: Path) -> None:
    """Written into the application with `Key`: before the date the old cookie opens, from it on it is refused."""
    kept = Watched()
    first = printed("keygen", folder=tmp_path)
    begun = WatchedSite(store=store or kept, secret=first)
    old = (await begun.ask("/write")).given
    new, previous = printed("keys", "rotate", folder=tmp_path, secret=first).split()
    until = datetime.fromtimestamp(begun.clock() / 1000, UTC) + timedelta(days=1)
    site = WatchedSite(store=store or kept, secret=Keyring([new, Key(previous, until=until)]))
    assert (await site.ask("/read", old)).text == "1"
    site.clock.advance(86_400)
    assert (await site.ask("/dump", old)).text == ANONYMOUS


def test_keeping_none_is_said(tmp_path: Path) -> None:
    """`--keep 0` leaves the new secret alone, and says on standard error that everybody is logged out."""
    secret = printed("keygen", folder=tmp_path)
    done = in_process_of_its_own("keys", "rotate", "--keep", "0", folder=tmp_path, LIMPET_SECRET=secret)
    assert len(done.stdout.split()) == 1
    assert "everybody has to log in" in done.stderr
