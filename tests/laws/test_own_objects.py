"""An object that the application put into a session stays the application's, and what was handed out is saved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session
from limpet.events import ValueOverwritten
from tests.laws.farm import Farm
from tests.site import items, look, steps

CONSTANTS: dict[str, tuple[Any, Any]] = {  # the constant, and what another tab saves in its place
    "dict": ({"lang": "en", "recent": []}, {"lang": "en", "recent": ["HIV-test-kit"]}),
    "list": (["start"], ["start", "HIV-test-kit"]),
    "set": ({"start"}, {"start", "HIV-test-kit"}),
    "list in a dict": ({"a": {"b": ["start"]}}, {"a": {"b": ["start", "HIV-test-kit"]}}),
    "dict in a list": ([{"n": 1}], [{"n": 1}, {"HIV": "test-kit"}]),
}
PUT: dict[str, Callable[[Session, Any], Any]] = {
    "setdefault": lambda session, value: session.setdefault("prefs", value),
    "assignment": lambda session, value: session.__setitem__("prefs", value),
    "update": lambda session, value: session.update(prefs=value),
    "or": lambda session, value: session.update({"prefs": value}) or session["prefs"],
}
FINISH: dict[str, Callable[[Session], Any]] = {
    "commit": look,
    "save": lambda session: session.save(),
    "refresh": lambda session: session.refresh(),
    "regenerate": lambda session: session.regenerate(),
    "login": lambda session: session.login("alice"),
}


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("kind", CONSTANTS)
async def test_a_constant_of_the_application_is_never_changed(site: Farm, kind: str, put: str) -> None:
    """A module constant holds no visitor's data after two tabs saved at once, and no other visitor is shown any."""
    constant, private = CONSTANTS[kind]
    shown = copy.deepcopy(constant)
    shop, other = site.worker(), site.worker()
    alice = await site.browser().login(shop, "alice")
    async with alice.held(shop, lambda session: PUT[put](session, constant)) as first:
        tab = await alice.ask(other, lambda session: session.update(prefs=copy.deepcopy(private)))
    assert (first.status, tab.status) == (200, 200)
    assert constant == shown
    bob = await site.browser().login(shop, "bob")
    assert (await bob.ask(shop, lambda session: session.setdefault("prefs", constant))).result == shown


@pytest.mark.parametrize("finish", FINISH)
async def test_a_constant_survives_every_way_to_merge(any_site: Farm, finish: str) -> None:
    """Whatever merges another tab's data (save, refresh, a change of id) leaves the constant as it is."""
    constant: dict[str, Any] = {"recent": [], "seen": {"tea"}}
    shop = any_site.worker()
    alice = await any_site.browser().login(shop, "alice")
    handler = steps(lambda session: session.setdefault("prefs", constant), FINISH[finish])
    async with alice.held(shop, handler):
        await alice.ask(shop, lambda session: session.update(prefs={"recent": ["private"], "seen": {"milk"}}))
    assert constant == {"recent": [], "seen": {"tea"}}
    merged = (await alice.ask(shop, items)).result["prefs"]
    assert merged["recent"] == ["private"]


@pytest.mark.parametrize("shared", [[], {}, {"list": []}], ids=["list", "dict", "nested"])
async def test_one_object_under_two_keys_is_two_values_after_a_merge(site: Farm, shared: Any) -> None:
    """Another tab's addition to one key does not turn up under the other key that got the same object."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().begin(shop, begun=True)
    addition = {"list": ["tea"]} if shared == {"list": []} else ["tea"] if shared == [] else {"tea": 1}
    async with ann.held(shop, lambda session: session.update(cart=shared, wishes=shared)):
        await ann.ask(other, lambda session: session.update(cart=addition))
    stored = (await ann.ask(other, items)).result
    assert (stored["cart"], stored["wishes"]) == (addition, {"list": []} if shared == {"list": []} else type(shared)())


WAYS: dict[str, Callable[[Session], Any]] = {
    "refresh": lambda session: session.refresh(),
    "save": lambda session: session.save(),
    "exclusive": lambda session: _alone(session),
}


async def _alone(session: Session) -> None:
    async with session.exclusive("pay"):
        pass


MEANWHILE: dict[str, Callable[[Session], Any] | None] = {
    "nothing": None,
    "another key": lambda session: session.increment("pings"),
    "the same dict": lambda session: session["order"].update(note="gift"),
    "a list inside of it": lambda session: session["order"]["lines"].append("milk"),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("way", WAYS)
async def test_an_object_that_was_handed_out_is_the_one_that_is_saved(any_site: Farm, way: str, meanwhile: str) -> None:
    """What a handler got before it refreshed, saved or held a lock still counts when it changes it afterwards."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().begin(shop, order={"state": "open", "lines": ["tea"]})

    async def pay(session: Session) -> bool:
        order, lines = session["order"], session["order"]["lines"]
        await between(session)
        order["state"] = "paid"
        lines.append("bread")
        return session["order"] is order and session["order"]["lines"] is lines

    async def between(session: Session) -> None:
        if (handler := MEANWHILE[meanwhile]) is not None:
            assert (await ann.copy().ask(other, handler)).status == 200
        await WAYS[way](session)

    answer = await ann.ask(shop, pay)
    stored = (await ann.ask(other, items)).result
    assert answer.status == 200
    assert stored["order"]["state"] == "paid"
    assert stored["order"]["lines"] == ["tea", *(["milk"] if "list" in meanwhile else []), "bread"]
    assert stored["order"].get("note") == ("gift" if meanwhile == "the same dict" else None)


@pytest.mark.parametrize("names", [("tea", "milk", "bread"), ("b", "a", "c"), ("zebra", "Ape", "\u00e4")])
async def test_keys_come_back_in_the_order_in_which_they_were_written(any_site: Farm, names: tuple[str, ...]) -> None:
    """A cart shows its products in the order in which they were put in, and so does the session itself."""
    shop = any_site.worker()
    ann = any_site.browser()
    for name in names:

        def put(session: Session, name: str = name) -> None:
            session.setdefault("cart", {})[name] = 1
            session[f"top-{name}"] = 1

        await ann.ask(shop, put)
    stored = (await ann.ask(shop, items)).result
    assert list(stored["cart"]) == list(names)
    assert [key for key in stored if key != "cart"] == [f"top-{name}" for name in names]


async def test_another_order_of_the_same_contents_is_no_change(site: Farm) -> None:
    """A handler that writes equal contents in another order writes nothing to the store and counts as no conflict."""
    shop = site.worker()
    ann = await site.browser().begin(shop, cart={"tea": 1, "milk": 2})
    answer = await ann.ask(shop, lambda session: session.update(cart={"milk": 2, "tea": 1}) or session.modified)
    assert answer.result is False
    assert (await ann.ask(shop, lambda session: list(session["cart"]))).result == ["tea", "milk"]


async def test_the_order_is_kept_when_two_tabs_add(site: Farm) -> None:
    """After a merge the keys of the first who saved stand before those of the second."""
    shop, other = site.worker(), site.worker()
    ann = await site.browser().begin(shop, cart={"tea": 1})
    async with ann.held(shop, lambda session: session["cart"].update(bread=1)):
        await ann.ask(other, lambda session: session["cart"].update(milk=1))
    assert (await ann.ask(shop, lambda session: list(session["cart"]))).result in (
        ["tea", "milk", "bread"],
        ["tea", "bread", "milk"],
    )


async def test_what_the_application_adds_to_its_own_object_after_a_merge(site: Farm) -> None:
    """A merge puts an object of the engine's own in its place; what the handler changes in its own still counts."""
    shop = site.worker()
    ann = await site.browser().begin(shop, begun=True)

    async def pay(session: Session) -> None:
        order = {"state": "open"}
        session["order"] = order
        await ann.copy().ask(shop, lambda other: other.setdefault("order", {"note": "gift"}))
        await session.save()
        order["state"] = "paid"

    assert (await ann.ask(shop, pay)).status == 200
    assert (await ann.ask(shop, items)).result["order"] == {"state": "paid", "note": "gift"}


async def test_an_object_inside_of_another_that_cannot_be_followed_after_a_merge_is_an_error(site: Farm) -> None:
    """What cannot be carried over is no silent loss."""
    shop = site.worker()
    ann = await site.browser().begin(shop, box={"orders": []})

    async def pay(session: Session) -> None:
        order = {"state": "open"}
        session["box"]["order"] = order
        await ann.copy().ask(shop, lambda other: other["box"].update(order={"note": "gift"}))
        await session.save()
        order["state"] = "paid"

    answer = await ann.ask(shop, pay)
    assert answer.status == 409
    assert (await ann.ask(shop, items)).result["box"]["order"] == {"state": "open", "note": "gift"}


async def test_one_object_that_a_handler_put_under_two_keys_is_merged_under_one(site: Farm) -> None:
    """Another tab's addition to the one key does not turn up under the other, though the engine made the object."""
    shop = site.worker()
    ann = await site.browser().begin(shop, cart=["tea"])
    async with ann.held(shop, lambda session: session.update(wishes=session["cart"])):
        await ann.ask(shop, lambda session: session["cart"].append("milk"))
    assert (await ann.ask(shop, items)).result == {"cart": ["tea", "milk"], "wishes": ["tea"]}


PUT_LISTS: dict[str, Callable[[Session], list[str]]] = {
    "a list": lambda session: session.setdefault("cart", []),
    "a list in a dict": lambda session: session.setdefault("cart", {"lines": []})["lines"],
}


@pytest.mark.parametrize("kind", PUT_LISTS)
@pytest.mark.parametrize("way", WAYS)
async def test_an_object_of_the_application_goes_on_growing_after_a_merge(any_site: Farm, way: str, kind: str) -> None:
    """What a handler adds to a list of its own before and after another tab's additions were merged in is all there."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().begin(shop, begun=True)

    async def buy(session: Session) -> None:
        mine = PUT_LISTS[kind](session)
        mine.append("tea")
        assert (await ann.copy().ask(other, lambda session: PUT_LISTS[kind](session).append("milk"))).status == 200
        await WAYS[way](session)
        again = session["cart"] if kind == "a list" else session["cart"]["lines"]
        mine.append("bread")
        await session.save()
        again.append("salt")
        mine.append("jam")

    assert (await ann.ask(shop, buy)).status == 200
    stored = (await ann.ask(other, items)).result["cart"]
    assert (stored if kind == "a list" else stored["lines"]) == ["milk", "tea", "bread", "salt", "jam"]
    assert "ValueOverwritten" not in shop.names()


async def test_a_typed_object_goes_on_growing_after_a_merge(any_site: Farm) -> None:
    """So is what is added to an object that stands for a key."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().begin(shop, begun=True)

    async def buy(session: Session) -> None:
        lines: list[str] = []
        session.view("cart", lines, list)
        lines.append("tea")
        assert (await ann.copy().ask(other, lambda session: session.update(cart=["milk"]))).status == 200
        await session.save()
        lines.append("bread")

    assert (await ann.ask(shop, buy)).status == 200
    assert (await ann.ask(other, items)).result["cart"] == ["milk", "tea", "bread"]


TAKEN_AWAY: dict[str, Callable[[Session], Any]] = {
    "deleted": lambda session: session.pop("cart"),
    "replaced by None": lambda session: session.update(cart=None),
    "replaced by a text": lambda session: session.update(cart="none"),
    "replaced by a dict": lambda session: session.update(cart={"lines": []}),
}


@pytest.mark.parametrize("taken", TAKEN_AWAY)
@pytest.mark.parametrize("way", WAYS)
async def test_a_change_of_what_another_tab_took_away_counts(any_site: Farm, way: str, taken: str) -> None:
    """The later change stays, as everywhere, and an event tells of it, once; it is not lost in silence."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().begin(shop, cart=["tea"], box={"lines": ["tea"]}, seen={"tea"})

    async def buy(session: Session) -> None:
        cart, lines, seen = session["cart"], session["box"]["lines"], session["seen"]
        handler = steps(TAKEN_AWAY[taken], lambda session: session.update(box=0), lambda session: session.pop("seen"))
        assert (await ann.copy().ask(other, handler)).status == 200
        session.increment("ways")  # so that there is something to save, and to merge
        await WAYS[way](session)
        cart.append("milk")
        lines.append("bread")
        seen.add("salt")

    assert (await ann.ask(shop, buy)).status == 200
    overwritten = [key for event in shop.heard if isinstance(event, ValueOverwritten) for key in event.keys]
    assert (await ann.ask(other, items)).result == {
        "cart": ["tea", "milk"],
        "box": {"lines": ["tea", "bread"]},
        "seen": {"tea", "salt"},
        "ways": 1,
    }
    assert sorted(overwritten) == ["box", "cart", "seen"]


async def test_a_change_of_what_another_tab_took_away_is_refused_for_a_strict_key(site: Farm) -> None:
    """Under a policy that merges nothing, that is a conflict like any other."""
    shop, other = site.worker(strict_merge=True), site.worker()
    ann = await site.browser().begin(shop, cart=["tea"], begun=True)

    async def buy(session: Session) -> None:
        cart = session["cart"]
        await ann.copy().ask(other, lambda session: session.pop("cart"))
        await session.refresh()
        cart.append("milk")

    assert (await ann.ask(shop, buy)).status == 409
    assert (await ann.ask(other, items)).result == {"begun": True}


INSIDE: dict[str, Callable[[Session], Any]] = {
    "deleted": lambda session: session["box"].pop("lines"),
    "replaced": lambda session: session["box"].update(lines=None),
    "taken out of a list": lambda session: session["cart"].pop(0),
    "taken out with all others": lambda session: session["cart"].clear(),
}


@pytest.mark.parametrize("taken", INSIDE)
@pytest.mark.parametrize("way", WAYS)
async def test_a_change_inside_of_what_another_tab_took_away_is_an_error(any_site: Farm, way: str, taken: str) -> None:
    """Where it belongs cannot be told any more; without a change nothing is refused, nor where it was put back."""
    shop, other = any_site.worker(), any_site.worker()
    ann = await any_site.browser().begin(shop, box={"lines": ["tea"]}, cart=[{"id": "tea", "n": 1}, {"id": "milk"}])

    def buying(then: Callable[[Session, Any, Any], Any]) -> Callable[[Session], Any]:
        async def buy(session: Session) -> None:
            lines, tea = session["box"]["lines"], session["cart"][0]
            assert (await ann.copy().ask(other, INSIDE[taken])).status == 200
            session.increment("ways")  # so that there is something to save, and to merge
            await WAYS[way](session)
            then(session, lines, tea)

        return buy

    def change(session: Session, lines: Any, tea: Any) -> None:
        lines.append("milk")
        tea["n"] += 1
        assert session.modified  # which is a question still, and raises nothing

    def put_back(session: Session, lines: Any, tea: Any) -> None:
        session["box"]["lines"] = lines
        if tea not in session["cart"]:
            session["cart"].insert(0, tea)
        change(session, lines, tea)

    stored = (await ann.ask(other, items)).result
    assert (await ann.ask(shop, buying(change))).status == 409
    await ann.ask(other, lambda session: session.update(stored))
    assert (await ann.ask(shop, buying(lambda session, lines, tea: None))).status == 200
    await ann.ask(other, lambda session: session.update(stored))
    assert (await ann.ask(shop, buying(put_back))).status == 200
    found = (await ann.ask(other, items)).result
    assert (found["box"]["lines"], found["cart"][0]) == (["tea", "milk"], {"id": "tea", "n": 2})


MOVED: dict[str, Callable[[list[Any]], Any]] = {
    "another put before it": lambda cart: cart.insert(0, {"id": "bread", "n": 1}),
    "reversed": lambda cart: cart.reverse(),
    "one before it taken out": lambda cart: cart.pop(0),
    "the others taken out": lambda cart: cart.__setitem__(slice(None), [cart[1]]),
    "changed": lambda cart: cart[1].update(note="green"),
    "changed, beside others": lambda cart: cart.extend(
        [cart.pop(), cart[1].update(note="green") or {"id": "jam", "n": 1}]
    ),
    "replaced beside it": lambda cart: cart.__setitem__(0, {"id": "bread", "n": 1}),
}


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("way", WAYS)
async def test_an_item_of_a_list_stays_that_item(any_site: Farm, way: str, moved: str) -> None:
    """What a handler got out of a list is not another item after a merge, though it stands in another place."""
    shop, other = any_site.worker(), any_site.worker()
    names = ("milk", "tea", "salt")
    ann = await any_site.browser().begin(shop, cart=[{"id": name, "n": 1} for name in names], begun=True)

    async def buy(session: Session) -> None:
        tea = session["cart"][1]
        assert (await ann.copy().ask(other, lambda session: MOVED[moved](session["cart"]))).status == 200
        session.increment("ways")  # so that there is something to save, and to merge
        await WAYS[way](session)
        tea["n"] += 10

    assert (await ann.ask(shop, buy)).status == 200
    cart = (await ann.ask(other, items)).result["cart"]
    assert {item["id"]: item["n"] for item in cart if item["n"] > 1} == {"tea": 11}
    assert [item.get("note") for item in cart if item["id"] == "tea"] == ["green" if "changed" in moved else None]
