"""A session that a revocation spares stays, wherever its id is just being changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from tests.laws.farm import Farm
from tests.site import items, look, steps

CHANGES: dict[str, Callable[[Session], Any]] = {
    "regenerate": Session.regenerate,
    "login": lambda session: session.login("ann"),
    "rotate": lambda session: session.update(user_id=2),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
async def test_a_new_id_that_was_saved_stays_with_its_old_one(site: Farm, change: str, fails: bool) -> None:
    """A handler saves a new id and revokes all others: the browser keeps its session, by the new id or by the old."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(shop)
    await ann.ask(shop, lambda session: session.update(cart=["tea"]))
    thief, twin = await site.browser().login(other), ann.copy()

    async def revoke(session: Session) -> None:
        await shop.manager.revoke_all("ann", except_=session)
        if fails:
            raise ArithmeticError

    async with ann.held(shop, steps(CHANGES[change], Session.save, revoke)) as answer:
        await twin.ask(other, lambda session: session.update(note="of another tab"))
    assert answer.status == (500 if fails else 200)
    assert (await ann.ask(shop, look)).result == "ann"
    kept = (await ann.ask(shop, items)).result
    assert (kept["cart"], kept["note"]) == (["tea"], "of another tab")
    assert (await thief.ask(shop, look)).result is None
    assert len(await shop.manager.sessions_of("ann")) == 1
    if not fails:
        assert (await twin.ask(other, look)).result is None
