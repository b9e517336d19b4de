"""S31: a change inside a list or a dictionary is lost."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from limpet import Session
from tests.counts import count
from tests.security.site import SECRET, WatchedSite


def edit(value: Any, chance: random.Random) -> None:
    """Change something somewhere inside, in place."""
    while True:
        if isinstance(value, dict):
            inside = [value[key] for key in sorted(value) if isinstance(value[key], (dict, list))]
            if inside and chance.random() < 0.6:
                value = chance.choice(inside)
                continue
            act = chance.randrange(3)
            if act == 0 or not value:
                value[f"k{chance.randrange(6)}"] = chance.choice([1, "x", [], {}, [1, [2]], {"a": {"b": []}}])
            elif act == 1:
                value.pop(chance.choice(sorted(value)))
            else:
                value.update(u=chance.randrange(1000))
        else:
            inside = [each for each in value if isinstance(each, (dict, list))]
            if inside and chance.random() < 0.6:
                value = chance.choice(inside)
                continue
            act = chance.randrange(4)
            if act == 0 or not value:
                value.append(chance.choice([1, "x", [], {}]))
            elif act == 1:
                value.pop()
            elif act == 2:
                value.insert(0, {"deep": []})
            else:
                value.reverse()
        return


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_any_nested_change_is_saved(store: str | None) -> None:
    """Random edits deep inside, with no flag: the next request sees exactly what a plain dictionary would hold."""
    chance = random.Random(31)
    site = WatchedSite(store=store, secret=SECRET)
    model: dict[str, Any] = {"root": {"list": [1, 2], "dict": {"a": [3]}}}
    site.pages["/begin"] = lambda session: session.update(copy.deepcopy(model))
    token = (await site.ask("/begin")).given
    for _ in range(count(300, 5_000)):
        seed = chance.random()

        def change(session: Session, seed: float = seed) -> None:
            edit(session["root"], random.Random(seed))

        site.pages["/change"] = change
        edit(model["root"], random.Random(seed))
        answer = await site.ask("/change", token)
        assert answer.status == 200
        token = answer.given if answer.cookies else token
        assert json.loads((await site.ask("/dump", token)).text) == model
        if len(json.dumps(model)) > 800:
            model = {"root": {"list": [1, 2], "dict": {"a": [3]}}}
            token = (await site.ask("/begin")).given


async def test_a_mere_read_saves_nothing(site: WatchedSite) -> None:
    """Looking at a nested value costs no write."""
    site.pages["/begin"] = lambda session: session.update(cart=[{"n": 1}])
    site.pages["/look"] = lambda session: session["cart"][0]["n"]
    token = (await site.ask("/begin")).given
    site.watched.calls.clear()
    await site.ask("/look", token)
    assert site.watched.calls == {"load": 1}
