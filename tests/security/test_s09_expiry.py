"""S09: the server accepts a session whose time is over (CVE-2018-1000814)."""

from __future__ import annotations

import pytest

from tests.security.site import ANONYMOUS, SECRET, WatchedSite


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
@pytest.mark.parametrize(("after", "alive"), [(999, True), (1000, False), (1001, False)])
async def test_the_deadline_is_exact(store: str | None, after: int, alive: bool) -> None:
    """A life of one second: alive a millisecond before its end, dead at the end and after it."""
    site = WatchedSite(store=store, secret=SECRET, idle_timeout=1, anonymous_timeout=1)
    token = (await site.ask("/write")).given
    site.clock.now += after
    assert (await site.ask("/dump", token)).text == ('{"n": 1}' if alive else ANONYMOUS)


async def test_an_expired_row_is_removed_when_it_is_met() -> None:
    """Replayed after 3.2 s, a session of one second is anonymous and its row is gone."""
    site = WatchedSite(idle_timeout=1, anonymous_timeout=1)
    token = (await site.ask("/write")).given
    site.clock.advance(3.2)
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    assert site.rows == {}
