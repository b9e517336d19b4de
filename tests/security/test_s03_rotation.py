"""S03: a rotation leaves the old id alive."""

from __future__ import annotations

import asyncio

from limpet import Session
from tests.counts import count
from tests.security.site import ANONYMOUS, WatchedSite


async def test_the_old_id_is_dead_at_once(site: WatchedSite) -> None:
    """After ``regenerate`` the old id is anonymous and has no row."""
    old = (await site.ask("/write")).given
    new = (await site.ask("/rotate", old)).given
    assert (await site.ask("/dump", old)).text == ANONYMOUS
    assert (await site.ask("/read", new)).text == "1"
    assert len(site.kept) == 1


async def test_rotations_under_load_leave_one_id(site: WatchedSite) -> None:
    """Rotation upon rotation with four readers in flight: never two live ids, no row left over, the data kept."""

    async def slow_read(session: Session) -> object:
        await asyncio.sleep(0)
        return session.get("n")

    site.pages["/slow"] = slow_read
    token = (await site.ask("/write")).given
    for _ in range(count(200, 2_000)):
        answers = await asyncio.gather(*(site.ask("/slow", token) for _ in range(4)), site.ask("/rotate", token))
        old, token = token, answers[-1].given
        assert {answer.text for answer in answers[:-1]} <= {"1", "null"}
        assert (await site.ask("/dump", old)).text == ANONYMOUS
        assert len(site.kept) == 1
    assert (await site.ask("/read", token)).text == "1"
