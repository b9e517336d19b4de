"""All orders of two operations on one session, and drawn orders of three, hold what is promised."""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import combinations_with_replacement
from typing import Any, Final

import pytest

from limpet.contract import Outcome, Record, Store
from limpet.stores.memory import MemoryStore
from limpet.testing.interleave import OPERATIONS, Operation, Race, every_order, pause, some_orders
from tests.counts import count
from tests.properties.broken import EndedLives, LateExpiry, LostCheck, SwallowedFailure, TouchRevives, Upsert

PAIRS: Final = list(combinations_with_replacement(OPERATIONS, 2))
TRIPLES: Final = list(combinations_with_replacement(OPERATIONS, 3))


class Recording(MemoryStore):
    """Notes which calls were made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def load(self, key: str) -> Record | None:
        self.calls.append("load")
        return await super().load(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self.calls.append("create")
        return await super().create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self.calls.append("update")
        return await super().update(key, record, expected, now=now)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        self.calls.append("touch")
        return await super().touch(key, accessed, expires, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self.calls.append("delete")
        return await super().delete(key, version)

    async def sweep(self, now: int, limit: int) -> int:
        self.calls.append("sweep")
        return await super().sweep(now, limit)


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("read", {"load", "touch"}),
        ("write", {"load", "update"}),
        ("login", {"load", "create"}),
        ("regenerate", {"load", "create"}),
        ("renewal", {"load", "create", "update"}),
        ("logout", {"load"}),
        ("sweep", {"sweep"}),
        ("expiry", set()),
    ],
)
def test_the_operations_make_the_calls_that_they_stand_for(kind: Operation, calls: set[str]) -> None:
    """What is interleaved is loading, committing, touching, a login, a renewal, a logout, a sweep, and the clock."""
    store = Recording()
    [operation] = Race([kind], lambda: store).start()
    store.calls.clear()
    assert len(list(every_order(lambda: [operation]))) == 1
    assert calls <= set(store.calls)
    if kind in ("login", "regenerate", "logout"):  # and one that ends what was there, however it does that
        assert len(store.calls) > len(calls)


@pytest.mark.parametrize("subject", [None, "ann"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(pair))
def test_s05_s06_every_order_of_two(pair: tuple[Operation, ...], subject: str | None) -> None:
    """No order of two operations revives a session, loses a write or leaves a record that nobody can reach."""
    assert Race(pair, MemoryStore, subject).every_order() >= 2


@pytest.mark.parametrize("kind", OPERATIONS)
def test_s05_s06_orders_of_three(kind: Operation) -> None:
    """Nor does a drawn order of three."""
    for seed, triple in enumerate(triple for triple in TRIPLES if triple[0] == kind):
        for subject in (None, "ann"):
            assert Race(triple, MemoryStore, subject).some_orders(count(8, 2_000), seed) >= 8


@pytest.mark.parametrize(
    ("store", "pair"),
    [
        (Upsert, ("write", "logout")),
        (LostCheck, ("write", "write")),
        (SwallowedFailure, ("write", "write")),
        (LateExpiry, ("read", "expiry")),
        (TouchRevives, ("read", "logout")),
        (EndedLives, ("login", "read")),
    ],
)
def test_a_broken_store_is_refuted(store: type[Store], pair: tuple[Operation, ...]) -> None:
    """Each broken store fails in some order of the two operations that it betrays, and the failure says in which."""
    kinds = (*pair, *pair) if store is SwallowedFailure else pair
    with pytest.raises(AssertionError) as caught:
        Race(kinds, store).some_orders(20) if len(kinds) > 2 else Race(kinds, store).every_order()
    assert caught.value.__notes__[0].startswith("in this order of steps: ")


async def _letters(name: str, steps: int, seen: list[str]) -> str:
    for _ in range(steps):
        await pause()
        seen.append(name)
    return name


def test_every_order_runs_once() -> None:
    """Two coroutines of two and of three steps have ten orders, and each is run exactly once."""
    seen: list[list[str]] = []

    def start() -> list[Coroutine[Any, Any, Any]]:
        seen.append([])
        return [_letters("a", 2, seen[-1]), _letters("b", 3, seen[-1])]

    runs = list(every_order(start))
    assert len(runs) == len({run.order for run in runs}) == 10
    assert len({"".join(letters) for letters in seen}) == 10
    assert all(run.results == ("a", "b") for run in runs)


def test_drawn_orders_are_reproducible() -> None:
    """The same seed draws the same orders, another seed draws others."""

    def start() -> list[Coroutine[Any, Any, Any]]:
        return [_letters(name, 4, []) for name in "abc"]

    first, again, other = ([run.order for run in some_orders(start, 5, seed)] for seed in (1, 1, 2))
    assert first == again != other
