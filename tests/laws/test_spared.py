"""A session that a revocation spares stays, wherever its id is just being changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from limpet import Session
from limpet.contract import Record
from limpet.stores import MemoryStore
from tests.laws.farm import Farm
from tests.site import Browser, Handler, Site, items, look, steps

CHANGES: dict[str, Callable[[Session], Any]] = {
    "regenerate": Session.regenerate,
    "login": lambda session: session.login("ann"),
    "rotate": lambda session: session.update(user_id=2),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
@pytest.mark.parametrize("named", ["session", "public id"])
async def test_a_new_id_that_was_saved_stays_with_its_old_one(site: Farm, change: str, fails: bool, named: str) -> None:
    """A handler saves a new id and revokes all others: the browser keeps its session, by the new id or by the old."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(shop)
    await ann.ask(shop, lambda session: session.update(cart=["tea"]))
    thief, twin = await site.browser().login(other), ann.copy()

    async def revoke(session: Session) -> None:
        await shop.manager.revoke_all("ann", except_=session if named == "session" else session.public_id)
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


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_written_by_its_public_id_meets_a_new_id(site: Farm, change: str) -> None:
    """A job writes to the session of a new id that was saved and has not gone out, and another tab under the old id."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().login(shop)
    twin = ann.copy()

    async def job(session: Session) -> None:
        async with other.manager.open(session.public_id or "") as opened:
            opened.increment("done")
            opened.increment("n", 10)

    def tab(session: Session) -> None:
        session["note"] = "of another tab"
        session.increment("n", 100)

    grow: Handler = lambda session: session.increment("n")  # noqa: E731
    async with ann.held(shop, grow, first=steps(grow, CHANGES[change], Session.save, job)):
        await twin.ask(other, tab)
    answer = await ann.ask(shop, lambda session: (session.subject, session["n"], session["done"], session["note"]))
    assert answer.result == ("ann", 112, 1, "of another tab")
    assert len(await shop.manager.sessions_of("ann")) == 1


class _OneByOne(MemoryStore):
    """Reads one record after the other, as files, pipelines and clusters do; between two of them others come in."""

    then: Callable[[], Awaitable[Any]] | None = None

    async def load(self, key: str) -> Record | None:
        record = await super().load(key)
        then, self.then = self.then, None
        if then is not None:
            await then()
        return record

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return [await self.load(key) for key in keys]


class _Single(_OneByOne):
    """Has no way to read several records at once."""

    load_many = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [_OneByOne, _Single])
async def test_a_request_beside_a_revocation_that_spares_it_is_served(kind: type[_OneByOne]) -> None:
    """The session is read before a revocation that spares it, and the journal after it."""
    store = kind()
    shop = Site(store)
    other = Site(store, clock=shop.clock)
    ann, thief = await Browser().login(shop), await Browser().login(shop)
    key = await ann.public_id(shop)
    store.then = lambda: other.manager.revoke_all("ann", except_=key)
    answer = await ann.ask(shop, steps(lambda session: session.update(note="kept"), look))
    assert (answer.result, answer.cookies) == ("ann", [])
    assert (await ann.ask(shop, items)).result == {"note": "kept"}
    assert (await thief.ask(shop, look)).result is None
