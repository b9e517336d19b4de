"""A write that the store takes after its time limit: nobody who looks at once can tell what will become of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from limpet.stores.memory import MemoryStore
from tests.laws.farm import Farm
from tests.laws.unlucky import Late
from tests.site import items

CHANGES: dict[str, tuple[Callable[[Session], Any], str]] = {
    "login": (lambda session: session.login("ann"), "replace"),
    "regenerate": (Session.regenerate, "replace"),
    "renewal": (lambda session: session.update(more=1), "update"),
}


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_write_over_the_old_id_that_is_late_costs_no_session(change: str, lands: bool) -> None:
    """The browser has the old session or the new one, whole, whether or not the write lands in the end."""
    store = Late(MemoryStore())
    farm = Farm("memory", lambda: store)
    shop = farm.worker(store_timeout=0.05, renewal_interval=20)
    ann = await farm.browser().login(shop)
    await ann.ask(shop, lambda session: session.update(cart=1))
    if change == "renewal":
        farm.clock.advance(30)
    act, store.waits = CHANGES[change]
    answer = await ann.ask(shop, act)
    assert store.land is not None
    if lands:
        await store.land()
    found = (await ann.ask(shop, lambda session: (session.subject, session.get("cart")))).result
    assert found == ("ann", 1), answer.status
    if change != "renewal" or answer.status == 200:
        assert len(await shop.manager.sessions_of("ann")) == 1
    assert (await ann.ask(shop, items)).status == 200
    await farm.close()
