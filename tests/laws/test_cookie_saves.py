"""A cookie that a handler saves goes out with the response, and what it takes the place of ends then, not before."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import CookieTooLarge, Session
from limpet.events import WriteAfterEnd
from limpet.stores import MemoryStore
from tests.laws.conftest import Connect, cookie_store
from tests.laws.farm import Farm
from tests.laws.test_cookie_copies import TAKES_PLACE, GoneFromARead
from tests.site import items, look, nothing, steps

KINDS = pytest.mark.parametrize("kind", ["denylist", "epoch"])
CHANGES = pytest.mark.parametrize("change", TAKES_PLACE)


def _site(kind: str, notes: Connect) -> Farm:
    site = Farm(kind, lambda: cookie_store(kind, notes()))
    site.settings = {"secret": "one secret of all workers, long enough 0123456789"}
    return site


async def _save(session: Session) -> None:
    await session.save()


def _raise(session: Session) -> None:
    raise RuntimeError("the handler has a fault")


@KINDS
@CHANGES
@pytest.mark.parametrize("how", ["raises", "answers 500"])
async def test_a_handler_that_fails_after_a_save_leaves_the_old_cookie(
    kind: str, notes: Connect, change: str, how: str
) -> None:
    """The new cookie does not go out, and so what it would have taken the place of is alive, here and in copies."""
    site = _site(kind, notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    copy = browser.copy()
    fails = steps(TAKES_PLACE[change], _save, _raise if how == "raises" else nothing)
    answer = await browser.ask(shop, fails, status=500)
    assert answer.status == 500
    for each in (browser, copy):
        assert (await each.ask(shop, look)).result == "ann"
    await site.close()


@KINDS
@CHANGES
@pytest.mark.parametrize("after", [nothing, lambda session: session.update(more=1)], ids=["at once", "and a write"])
async def test_what_was_saved_ends_what_it_takes_the_place_of(
    kind: str, notes: Connect, change: str, after: Any
) -> None:
    """When the response starts, whatever the handler did since."""
    site = _site(kind, notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    copy = browser.copy()
    assert (await browser.ask(shop, steps(TAKES_PLACE[change], _save, after))).status == 200
    who = "bob" if change == "login of another" else "ann"
    assert (await browser.ask(shop, look)).result == who
    assert (await copy.ask(shop, look)).result == (None if kind == "denylist" or who == "bob" else "ann")
    await site.close()


async def test_what_was_saved_under_a_new_id_goes_back_to_the_one_before(notes: Connect) -> None:
    """Where the handler answers 500, as in a store; what it wrote after that save is dropped."""
    site = _site("denylist", notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    copy = browser.copy()
    saves = steps(lambda session: session.regenerate(), lambda session: session.update(kept=1), _save)
    await browser.ask(shop, steps(saves, lambda session: session.update(dropped=1)), status=500)
    assert (await browser.ask(shop, items)).result == {"kept": 1}
    assert (await copy.ask(shop, look)).result == "ann"
    await site.close()


@KINDS
async def test_a_logout_after_a_save_ends_both(kind: str, notes: Connect) -> None:
    """A logout ends the session that was saved and the one before it, and holds if the handler then fails."""
    site = _site(kind, notes)
    shop = site.worker()
    for status in (200, 500):
        browser = await site.browser().login(shop)
        copy = browser.copy()
        out = steps(lambda session: session.login("bob"), _save, lambda session: session.logout())
        answer = await browser.ask(shop, out, status=status)
        assert answer.status == status
        for each in (browser, copy):
            assert (await each.ask(shop, look)).result is None
        site.clock.advance(1)
    await site.close()


@KINDS
async def test_a_store_that_is_gone_at_the_end_hands_out_nothing(kind: str, notes: Connect) -> None:
    """The request gets 503 and no cookie; the browser keeps what it had."""
    store = GoneFromARead(notes())
    site = _site(kind, lambda: store)
    shop = site.worker()
    browser = await site.browser().login(shop)

    async def handler(session: Session) -> None:
        session.login("bob")
        await session.save()
        store.reads = 0

    answer = await browser.ask(shop, handler)
    store.reads = None
    assert (answer.status, answer.cookies) == (503, [])
    assert (await browser.ask(shop, look)).result == "ann"
    await site.close()


async def test_of_two_new_ids_that_are_saved_one_goes_out(notes: Connect) -> None:
    """The later finds at its end that the other was first: it stores nothing, and is told so."""
    site = _site("denylist", notes)
    shop = site.worker()
    browser = await site.browser().login(shop)
    tab = browser.copy()
    regenerate = steps(lambda session: session.regenerate(), _save)
    async with browser.held(shop, regenerate):
        assert (await tab.ask(shop, regenerate)).status == 200
    assert any(isinstance(event, WriteAfterEnd) for event in shop.heard)
    assert (await tab.ask(shop, look)).result == "ann"
    await site.close()


async def test_what_was_saved_and_does_not_fit_later_ends_nothing() -> None:
    """A login that was saved, and then outgrows its cookie, is refused whole."""
    site = _site("denylist", MemoryStore)
    shop = site.worker()
    browser = await site.browser().login(shop)
    answer = await browser.ask(
        shop, steps(lambda session: session.login("bob"), _save, lambda session: session.update(much="x" * 6_000))
    )
    assert isinstance(answer.error, CookieTooLarge)
    assert (await browser.ask(shop, look)).result == "ann"
    await site.close()
