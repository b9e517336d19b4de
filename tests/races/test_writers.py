"""Requests that write one session at once all count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from limpet import Session, SessionConflict, StoreUnavailable
from limpet.contract import Outcome, Record, Store
from limpet.testing.machine import FailingStore
from tests.races.counted import CountedSite
from tests.site import Handler

MANY = 50


async def together(site: CountedSite, token: str, handlers: list[Handler]) -> None:
    """Run the handlers in requests that have all loaded their session before the first of them writes."""
    barrier = asyncio.Barrier(len(handlers))

    def waiting(handler: Handler) -> Handler:
        async def run(session: Session) -> None:
            async with barrier:
                pass
            handler(session)

        return run

    replies = await asyncio.gather(*(site.ask(waiting(handler), token) for handler in handlers))
    assert [reply.status for reply in replies] == [200] * len(handlers)


async def test_s06_fifty_writers_keep_fifty_keys(store: Store) -> None:
    """Fifty requests that overlap and each set a key of their own leave fifty keys."""
    site = CountedSite(store)
    token = await site.session()

    def writer(number: int) -> Handler:
        return lambda session: session.update({f"key{number}": number})

    await together(site, token, [writer(number) for number in range(MANY)])
    data = await site.read(token)
    assert data == {"begun": True} | {f"key{number}": number for number in range(MANY)}


async def test_s06_fifty_appends_to_one_list(store: Store) -> None:
    """Fifty appends to one list are fifty items, also when the list did not exist before."""
    site = CountedSite(store)
    token = await site.session()

    def appender(number: int) -> Handler:
        return lambda session: session.setdefault("cart", []).append(number)

    await together(site, token, [appender(number) for number in range(MANY)])
    data = await site.read(token)
    assert data is not None
    assert sorted(data["cart"]) == list(range(MANY))


async def test_s06_fifty_increments_are_exact(store: Store) -> None:
    """Fifty increments by 1, 2, 3 … add up exactly."""
    site = CountedSite(store)
    token = await site.session(n=7)

    def counter(by: int) -> Handler:
        return lambda session: session.increment("n", by)

    await together(site, token, [counter(by) for by in range(1, MANY + 1)])
    assert await site.read(token) == {"n": 7 + sum(range(1, MANY + 1))}


async def test_s06_nested_dicts_and_sets_merge(store: Store) -> None:
    """Changes deep inside one value merge too."""
    site = CountedSite(store)
    token = await site.session(tree={"left": {}, "right": {}}, tags={"old"})

    def left(session: Session) -> None:
        session["tree"]["left"]["a"] = 1
        session["tags"].add("l")

    def right(session: Session) -> None:
        session["tree"]["right"]["b"] = 2
        session["tags"].discard("old")

    await together(site, token, [left, right])
    assert await site.read(token) == {"tree": {"left": {"a": 1}, "right": {"b": 2}}, "tags": {"l"}}


async def test_the_later_plain_value_stays_and_is_reported(store: Store) -> None:
    """Of two plain values for one key the later stays, and an event names the key and no value."""
    site = CountedSite(store)
    token = await site.session(theme="light")
    async with site.held(lambda session: session.update(theme="dark"), token):
        await site.ask(lambda session: session.update(theme="blue"), token)
    assert await site.read(token) == {"theme": "dark"}
    overwritten = [event for event in site.heard if type(event).__name__ == "ValueOverwritten"]
    assert [getattr(event, "keys", None) for event in overwritten] == [("theme",)]
    assert not {"dark", "blue"} & {word.strip("'\"") for word in repr(overwritten).split("=")}


async def test_a_strict_key_refuses(store: Store) -> None:
    """Two changes of a strict key: the later request is a 409, and nothing of it is saved."""
    site = CountedSite(store, merge={"draft": "strict"})
    token = await site.session(draft=0)
    async with site.held(lambda session: session.update(draft=1, other=1), token) as held:
        await site.ask(lambda session: session.update(draft=2), token)
    assert held.status == 409
    assert await site.read(token) == {"draft": 2}


async def test_a_strict_key_in_a_change_of_id_leaves_no_orphan(store: Store) -> None:
    """A change of id that is refused because of a strict key leaves the old id as it was, and no second record."""
    site = CountedSite(store, merge={"draft": "strict"})
    token = await site.session(draft=0)

    def regenerate(session: Session) -> None:
        session.regenerate()
        session["draft"] = 1

    async with site.held(regenerate, token) as held:
        await site.ask(lambda session: session.update(draft=2), token)
    assert (held.status, held.token) == (409, None)
    assert await site.read(token) == {"draft": 2}
    assert len(await site.rows()) == 1


async def test_the_budget_of_attempts_ends_loudly(store: Store) -> None:
    """When a save is overtaken more often than the policy allows, it fails and nothing of it is saved."""
    site = CountedSite(store, merge_attempts=1)
    token = await site.session(n=0)
    async with site.held(lambda session: session.increment("n"), token) as held:
        await site.ask(lambda session: session.increment("n"), token)
    assert held.status == 409
    assert await site.read(token) == {"n": 1}


async def test_a_handler_can_meet_the_conflict_itself(store: Store) -> None:
    """``await session.save()`` raises `SessionConflict` with the keys, and the handler can go on from what is there."""
    site = CountedSite(store, merge={"seat": "strict"})
    token = await site.session(seat=None)

    async def book(session: Session) -> str:
        session["seat"] = "mine"
        await site.ask(lambda other: other.update(seat="theirs"), token)
        with pytest.raises(SessionConflict) as caught:
            await session.save()
        assert caught.value.keys == ("seat",)
        session["seat"] = None  # given up
        await session.refresh()
        seat: str = session["seat"]
        return seat

    assert (await site.ask(book, token)).result == "theirs"


async def test_f15_a_lost_reply_counts_once(store: Store) -> None:
    """The reply to every first attempt is lost after the write has landed: an increment still counts once."""
    failing = FailingStore(store)
    site = CountedSite(failing)
    token = await site.session(n=0)
    failing.lossy = True
    for _ in range(5):
        assert (await site.ask(lambda session: session.increment("n"), token)).status == 200
    failing.lossy = False
    assert await site.read(token) == {"n": 5}


class Losing(FailingStore):
    """Does every update, and loses the replies to the next ``updates`` of them; ``then`` happens after the last."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.updates = 0
        self.then: Callable[[], Awaitable[object]] | None = None

    async def save_unseen(self, session: Session) -> None:
        """Add to a number and to a list, and lose both replies to the save."""
        session.increment("n")
        session["log"].append("x")
        self.updates = 2  # the attempt, and the second one
        with pytest.raises(StoreUnavailable):
            await session.save()

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        outcome = await super().update(key, record, expected, now=now)
        if self.updates:
            self.updates -= 1
            if self.then is not None and not self.updates:
                await self.then()
            raise StoreUnavailable("the reply was lost")
        return outcome


async def test_f15_a_save_that_a_handler_tries_again_counts_once(store: Store) -> None:
    """A handler that saves again after `StoreUnavailable` does not count twice what had landed."""
    losing = Losing(store)
    site = CountedSite(losing)
    token = await site.session(n=0, log=[])

    async def twice(session: Session) -> None:
        await losing.save_unseen(session)
        session.increment("n")

    assert (await site.ask(twice, token)).status == 200
    assert await site.read(token) == {"n": 2, "log": ["x"]}


NEXT: dict[str, Handler] = {
    "saves": lambda session: session.save(),
    "refreshes": lambda session: session.refresh(),
    "takes a new id": lambda session: session.regenerate(),
    "logs in": lambda session: session.login("ann"),
    "writes, and its id is renewed": lambda session: session.update(more=1),
}


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another request"])
@pytest.mark.parametrize("what", NEXT)
async def test_f15_whatever_follows_a_save_of_unknown_fate_counts_once(store: Store, what: str, beside: bool) -> None:
    """What had landed unseen is recognised; where another request has written since, nothing is merged twice."""
    losing = Losing(store)
    site = CountedSite(losing, renewal_interval=600 if "renewed" in what else None)
    token = await site.session(n=0, log=[])

    async def handler(session: Session) -> None:
        await losing.save_unseen(session)
        if beside:
            await CountedSite(store).ask(lambda session: session.increment("n"), token)
        site.clock.advance(601)
        result = NEXT[what](session)
        if asyncio.iscoroutine(result):
            await result

    reply = await site.ask(handler, token)
    assert reply.status == (503 if beside else 200)
    data = await site.read(reply.token or token)
    assert data is not None
    assert (data["n"], data["log"]) == (2 if beside else 1, ["x"])


async def test_f15_what_cannot_be_told_is_an_error(store: Store) -> None:
    """A reply is lost and another request writes before the second attempt: 503, and nothing is counted twice."""
    losing = Losing(store)
    site = CountedSite(losing)
    token = await site.session(n=0)

    async def once(session: Session) -> None:
        session.increment("n")
        losing.updates, losing.then = 1, other

    async def other() -> object:
        losing.then = None
        return await site.ask(lambda session: session.increment("n"), token)

    reply = await site.ask(once, token)
    assert reply.status == 503
    assert dict(reply.headers)["retry-after"] == "1"
    assert await site.read(token) == {"n": 2}


async def test_increments_of_floats_are_added_whatever_their_order(store: Store) -> None:
    """Two steps of one request, which round differently one by one, and one of another: all three count."""
    site = CountedSite(store)
    token = await site.session(total=0.1)

    def twice(session: Session) -> None:
        session.increment("total", 0.2)
        session.increment("total", 0.3)

    async with site.held(twice, token):
        await site.ask(lambda session: session.increment("total", 1000), token)
    assert await site.read(token) == {"total": pytest.approx(1000.6)}
