"""S05: a request that was under way during the logout writes the session back (CVE-2025-46336)."""

from __future__ import annotations

import asyncio

import pytest

from limpet import Session
from limpet.events import WriteAfterEnd
from tests.counts import count
from tests.security.site import ANONYMOUS, WatchedSite
from tests.site import nothing


@pytest.mark.parametrize("on_ended", ["drop", "raise"])
async def test_a_write_after_the_logout_stores_nothing(on_ended: str) -> None:
    """The request that met the session alive ends with 200 or 409 and an event, never with a row or a cookie."""
    site = WatchedSite(on_ended=on_ended)
    token = (await site.ask("/login")).given
    async with site.held(nothing, token, first=lambda session: session.update(late="zombie")) as answer:
        await site.ask("/logout", token)
    assert answer.status == (200 if on_ended == "drop" else 409)
    assert answer.cookies == []
    assert site.said(WriteAfterEnd) == 1
    assert site.kept == {}
    assert (await site.ask("/dump", token)).text == ANONYMOUS


async def test_races_without_a_gate_leave_no_zombie(site: WatchedSite) -> None:
    """Writes and a logout let loose on one session, again and again: afterwards nothing of it is stored."""

    async def write(session: Session) -> None:
        await asyncio.sleep(0)
        session["late"] = "zombie"
        await asyncio.sleep(0)

    site.pages["/late"] = write
    for _ in range(count(300, 10_000)):
        token = (await site.ask("/login")).given
        await asyncio.gather(*(site.ask(path, token) for path in ("/late", "/logout", "/late", "/rotate")))
        assert (await site.ask("/dump", token)).text == ANONYMOUS
        alive = [row for row in site.rows.values() if row.subject == "ann"]
        assert len(alive) <= 1, "a rotation that came first keeps its new id, and nothing else lives"
        site.rows.clear()
