"""S10: a session that is used often enough lives for ever."""

from __future__ import annotations

import pytest

from limpet import SessionPolicy
from tests.security.site import ANONYMOUS, SECRET, WatchedSite

POLICY = SessionPolicy(idle_timeout=2, anonymous_timeout=2, absolute_timeout=4, touch_interval=0)


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
@pytest.mark.parametrize("path", ["/read", "/write", "/rotate"])
async def test_nothing_moves_the_absolute_deadline(store: str | None, path: str) -> None:
    """Read, written or rotated every 0.7 s: alive before 4 s, dead at 4 s."""
    site = WatchedSite(store=store, secret=SECRET, policy=POLICY)
    token = (await site.ask("/write")).given
    for _ in range(5):
        site.clock.advance(0.7)
        answer = await site.ask(path, token)
        token = answer.given if answer.cookies else token
    assert (await site.ask("/dump", token)).text != ANONYMOUS
    site.clock.advance(0.5)
    assert (await site.ask("/dump", token)).text == ANONYMOUS


async def test_a_login_begins_a_new_deadline() -> None:
    """Who logs in at 3 s has until 7 s."""
    site = WatchedSite(policy=POLICY)
    token = (await site.ask("/write")).given
    site.clock.advance(1.5)
    await site.ask("/read", token)
    site.clock.advance(1.5)
    token = (await site.ask("/login", token)).given
    site.clock.advance(1.9)
    assert (await site.ask("/read", token)).text == "1"
