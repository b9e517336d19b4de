"""A process dies in ``revoke_all``: what it has begun spares nobody from the next revocation, and ends nobody later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest

from limpet import SessionManager, StoreUnavailable
from limpet._core.positions import subject_key
from limpet._wire import marks
from limpet._wire.journal import JOURNAL
from limpet.contract import Record
from tests.laws.farm import Farm
from tests.laws.unlucky import HOW, How, Unlucky
from tests.site import Browser, Site, look

STEPS = 12  # more writes than it makes
NEXT: dict[str, Callable[[SessionManager, str], Awaitable[int]]] = {
    "revoke_everyone": lambda manager, ann: manager.revoke_everyone(),
    "revoke_all of the same": lambda manager, ann: manager.revoke_all(ann),
    "revoke by tag": lambda manager, ann: manager.revoke(tag=("device", "phone")),
}


async def _whose(shop: Site, *browsers: Browser) -> list[str | None]:
    return [(await browser.ask(shop, look)).result for browser in browsers]


async def _break_off(site: Farm, ann: str, how: How, at: int) -> tuple[bool, Site, Browser, Browser]:
    """Let a process break off in a revocation that spares a session. It may keep a lock of the subject.

    Returns whether it came to that write, another worker, the browser that was to be spared, and another one.
    """
    store = Unlucky(site.connect())
    shop, other = site.worker(store=store), site.worker()
    mine = await site.browser().login(other, ann, tags={"device": "phone"})
    second = await site.browser().login(other, ann)
    key = await mine.public_id(other)
    await shop.manager.sessions_of(ann)  # it has asked the store before
    store.arm(how, at)
    try:
        await shop.manager.revoke_all(ann, except_=key)
    except StoreUnavailable:
        assert (await _whose(other, mine)) == [ann], at
    else:
        assert (await _whose(other, mine, second)) == [ann, None], at
    return store.met, other, mine, second


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", NEXT)
async def test_the_next_revocation_ends_what_a_dead_process_has_spared(site: Farm, name: str, how: How) -> None:
    """Cut off at each of its writes, with the next revocation by another process: it ends the spared session."""
    for at in range(1, STEPS):
        ann = f"ann {at}"
        met, other, mine, second = await _break_off(site, ann, how, at)
        await NEXT[name](other.manager, ann)
        assert await _whose(other, mine) == [None], f"{how} at write {at}"
        await other.manager.revoke_all(ann)
        assert await _whose(other, second) == [None]
        later = await site.browser().login(other, ann)
        assert await _whose(other, later) == [ann]
        if not met:
            return
    raise AssertionError(f"it makes {STEPS} writes or more")


@pytest.mark.parametrize("how", ["dies before", "dies after"])
async def test_a_revocation_of_somebody_else_does_not_bring_it_back(site: Farm, how: How) -> None:
    """Another subject is revoked in between, and the session holds; the revocation after that ends it all the same."""
    for at in range(1, STEPS):
        ann = f"ann {at}"
        met, other, mine, _ = await _break_off(site, ann, how, at)
        await site.browser().login(other, "bob")
        assert await other.manager.revoke_all("bob") == 1
        assert await _whose(other, mine) == [ann], at
        await other.manager.revoke_everyone()
        assert await _whose(other, mine) == [None], at
        if not met:
            return


class _Meanwhile(Unlucky):
    """Lets something else happen right before the ``at``-th write."""

    def then(self, at: int, act: Callable[[], Awaitable[Any]]) -> None:
        self._left, self._act = at, act

    async def _call(self, name: str, behind: Any, given: Any, more: Any) -> Any:
        if name in {"create", "create_urgently", "update"} and self._left > 0:
            self._left -= 1
            self.met = self._left == 0
            if self.met:
                await self._act()
        return await behind(*given, **more)


@pytest.mark.parametrize("name", NEXT)
async def test_a_revocation_in_between_ends_the_spared_session(site: Farm, name: str) -> None:
    """Between any two writes of the one that spares, another one is taken as a whole: it holds for the spared one."""
    for at in range(1, STEPS):
        ann = f"ann {at}"
        store = _Meanwhile(site.connect())
        shop, other = site.worker(store=store), site.worker()
        mine = await site.browser().login(other, ann, tags={"device": "phone"})
        key = await mine.public_id(other)
        await shop.manager.sessions_of(ann)
        store.then(at, partial(NEXT[name], other.manager, ann))
        await shop.manager.revoke_all(ann, except_=key)
        if not store.met:
            assert await _whose(other, mine) == [ann]
            return
        assert await _whose(other, mine) == [None], at
    raise AssertionError(f"it makes {STEPS} writes or more")


def _other_name(name: str, *, alike: bool) -> str:
    """Return another subject, in the same group of the journal or in another."""
    others = (f"bob {name} {at}" for at in count())
    return next(other for other in others if (subject_key(other)[:2] == subject_key(name)[:2]) is alike)


@pytest.mark.parametrize("alike", [False, True], ids=["any group", "one group"])
async def test_two_that_spare_at_once_both_come_to_an_end(site: Farm, alike: bool) -> None:
    """Between any two writes of the one, another subject's is taken, which spares as well: each keeps its own."""
    for at in range(1, STEPS):
        store = _Meanwhile(site.connect())
        shop, other = site.worker(store=store), site.worker()
        names = [f"ann {at}", _other_name(f"ann {at}", alike=alike)]
        spared = [await site.browser().login(other, name) for name in names]
        ended = [await site.browser().login(other, name) for name in names]
        keys = [await browser.public_id(other) for browser in spared]
        await shop.manager.sessions_of("ann")
        store.then(at, partial(other.manager.revoke_all, names[1], except_=keys[1]))
        assert await shop.manager.revoke_all(names[0], except_=keys[0]) == 1
        if not store.met:
            return
        assert await _whose(other, *spared, *ended) == [*names, None, None], at
    raise AssertionError(f"it makes {STEPS} writes or more")


@pytest.mark.parametrize("spares", [True, False], ids=["spares one", "spares none"])
async def test_a_login_after_a_revocation_that_was_cut_off_stays(site: Farm, spares: bool) -> None:
    """The process has noted the revocation and dies before it takes effect: that of somebody else ends no login since.

    The marks of both names are in one group of the journal, so that the one's number makes sessions look at the other.
    """
    for at in range(1, STEPS):
        ann, store = f"ann {at}", Unlucky(site.connect())
        shop, other = site.worker(store=store), site.worker()
        bob = _other_name(ann, alike=True)
        mine = await site.browser().login(other, ann)
        key = await mine.public_id(other) if spares else None
        await shop.manager.sessions_of(ann)
        store.arm("dies after", at)
        with suppress(StoreUnavailable):
            await shop.manager.revoke_all(ann, except_=key)
        later = await site.browser().login(other, ann)
        await other.manager.revoke_all(bob)
        assert await _whose(other, later) == [ann], at
        await other.manager.revoke_all(ann)
        assert await _whose(other, later, mine) == [None, None], at
        if not store.met:
            return
    raise AssertionError(f"it makes {STEPS} writes or more")


@pytest.mark.parametrize("how", ["dies before", "dies after"])
async def test_a_revocation_that_was_cut_off_before_it_took_effect_ends_nobody(site: Farm, how: How) -> None:
    """Its mark is there, and the journal does not know of it. A session from before looks at the mark.

    It does so because another name of its group was revoked after it began.
    """
    for at in range(1, STEPS):
        ann, store = f"ann {at}", Unlucky(site.connect())
        shop, other = site.worker(store=store), site.worker()
        mine = await site.browser().login(other, ann)
        await other.manager.revoke_all(_other_name(ann, alike=True))
        await shop.manager.sessions_of(ann)
        before = await _number(other)
        store.arm(how, at)
        with suppress(StoreUnavailable):
            await shop.manager.revoke_all(ann)
        expected = ann if await _number(other) == before else None
        assert await _whose(other, mine) == [expected], at
        if not store.met:
            return
    raise AssertionError(f"it makes {STEPS} writes or more")


async def _number(shop: Site) -> int:
    """Return the number of the last revocation that took effect."""
    journal = await shop.manager.engine.storage.load(JOURNAL)
    assert journal is not None
    return int((marks.read(journal.payload) or {})["seq"])


async def _damage(shop: Site) -> None:
    storage = shop.manager.engine.storage
    journal = await storage.load(JOURNAL)
    assert journal is not None
    damaged = Record(journal.version ^ 1, journal.payload[:-2], journal.accessed, journal.expires)
    assert await storage.replace(JOURNAL, damaged, journal.version) is None


AFTER: dict[str, Callable[[Farm, Site], Awaitable[Any]]] = {
    "a login": lambda site, shop: site.browser().login(shop, "zoe"),
    "a revocation": lambda site, shop: shop.manager.revoke_all("zoe"),
    "a revocation that spares": lambda site, shop: shop.manager.revoke_all("zoe", except_="0" * 64),
}


@pytest.mark.parametrize("then", AFTER)
async def test_a_damaged_journal_ends_everyone_for_good(site: Farm, then: str) -> None:
    """Whom it had ended cannot be told any more; it is written anew by the next login or revocation."""
    shop = site.worker()
    for _ in range(3):
        await shop.manager.revoke_all("bob")
    ann = await site.browser().login(shop)
    await _damage(shop)
    assert await _whose(shop, ann) == [None]
    other = site.worker()  # a process that knows no number from before
    assert await _whose(other, ann) == [None]
    await AFTER[then](site, other)
    for worker in (shop, other, site.worker()):
        assert await _whose(worker, ann) == [None]
    bob = await site.browser().login(other, "bob")
    assert await _whose(shop, bob) == ["bob"]
    await shop.manager.revoke_all("bob")
    assert await _whose(other, bob) == [None]


async def test_a_journal_that_was_lost_begins_above_the_numbers_that_it_had(site: Farm) -> None:
    """A revocation of a subject that was revoked before holds all the same."""
    shop = site.worker()
    for _ in range(3):
        await shop.manager.revoke_all("ann")
    ann = await site.browser().login(shop)
    storage = shop.manager.engine.storage
    await storage.delete(JOURNAL)
    site.clock.advance(1)
    other = site.worker()
    await other.manager.revoke_all("ann")
    for worker in (shop, other):
        assert await _whose(worker, ann) == [None]
    assert await _whose(other, await site.browser().login(other)) == ["ann"]
