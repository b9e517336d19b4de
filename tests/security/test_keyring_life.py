"""The life of a secret, through the middleware: it comes first, steps back, has an end date, and is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from limpet import Key, Keyring, WeakSecret
from tests.security.site import ANONYMOUS, OLDER, OTHER, SECRET, WatchedSite

STORES = pytest.mark.parametrize("store", [None, "cookie:", "cookie:signed"], ids=["id", "encrypted", "signed"])


@STORES
async def test_a_rotation_logs_nobody_out(store: str | None) -> None:
    """A token of the older secret is read and handed out anew under the newest one, once; the session goes on."""
    keyring = Keyring(OLDER)
    site = WatchedSite(store=store, secret=keyring)
    old = (await site.ask("/write")).given
    keyring.replace([SECRET, OLDER])
    answer = await site.ask("/read", old)
    assert answer.text == "1"
    new = answer.given
    assert new[:8] != old[:8]
    assert (await site.ask("/read", new)).cookies == []
    assert (await site.ask("/read", old)).text == "1"
    keyring.replace([SECRET])
    assert (await site.ask("/dump", old)).text == ANONYMOUS
    assert (await site.ask("/read", new)).text == "1"


@STORES
async def test_an_old_secret_ends_on_its_date(store: str | None) -> None:
    """Until a millisecond before, its tokens open; from the date on they do not, without a restart."""
    site = WatchedSite(store=store, secret=OLDER)
    old = (await site.ask("/write")).given
    now = datetime.fromtimestamp(site.clock() / 1000, UTC)
    keyring = Keyring([SECRET, Key(OLDER, until=now + timedelta(seconds=60))])
    moved = WatchedSite(store=site.watched if store is None else store, secret=keyring)
    moved.clock.now = site.clock.now + 59_999
    new = (await moved.ask("/read", old)).given
    moved.clock.now += 1
    assert (await moved.ask("/dump", old)).text == ANONYMOUS
    assert (await moved.ask("/read", new)).text == "1"


@STORES
async def test_a_reload_needs_no_restart(store: str | None) -> None:
    """`Keyring.replace` counts from the next request on, in every part that seals; a refused one changes nothing."""
    keyring = Keyring(SECRET)
    site = WatchedSite(store=store, secret=keyring)
    token = (await site.ask("/write")).given
    with pytest.raises(WeakSecret):
        keyring.replace(["short"])
    assert (await site.ask("/read", token)).text == "1"
    keyring.replace(OTHER)
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    assert (await site.ask("/read", (await site.ask("/write")).given)).text == "1"


@STORES
async def test_two_steps_leave_no_worker_behind(store: str | None) -> None:
    """While one worker has turned the two secrets round and the other has not, each opens what the other sealed."""
    one = WatchedSite(store=store, secret=[OLDER, SECRET])
    other = WatchedSite(store=one.watched if store is None else store, secret=[SECRET, OLDER])
    token = (await one.ask("/write")).given
    for site in (other, one, other, one):
        answer = await site.ask("/read", token)
        assert answer.text == "1"
        token = answer.given
    behind = WatchedSite(store=one.watched if store is None else store, secret=OLDER)
    newest = (await other.ask("/read", token)).given
    assert (await behind.ask("/dump", newest)).text == ANONYMOUS
    assert (await one.ask("/read", newest)).text == "1"
