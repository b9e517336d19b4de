"""Two requests at once leave what the same two leave one after the other, in one of the two orders.

They are compared by what the cookies that were handed out open in the end: whose session, and which of the values that
were put in. A request that was told that its session had ended may as well not have been made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, TypeAlias

import pytest

from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Plan, Rules, examine
from limpet.testing.histories.facts import History, Visit, atoms_of
from tests.counts import count
from tests.properties.acts import by

Steps: TypeAlias = tuple[str, ...]
Left: TypeAlias = frozenset[tuple[str, str, frozenset[str]]]
"""What is open in the end: who was handed the cookie, whose session it is, and what is in it."""

ORDERS: Final = count(2, 20)

BEGINNINGS: Final[Mapping[str, tuple[tuple[Act, ...], Rules]]] = {
    "somebody": ((by(0, "set"),), Rules()),
    "ann": ((by(0, "login:ann", "nest"),), Rules()),
    "ann, who may have one session": ((by(0, "login:ann", "nest"),), Rules(max_sessions=1)),
    "ann, with an old cookie": ((), Rules(imports=True)),
    "ann, who may have two sessions, with an old cookie": ((), Rules(imports=True, max_sessions=2)),
}
REQUESTS: Final[Sequence[Steps]] = (
    ("append",),
    ("count",),
    ("logout",),
    ("empty",),
    ("regenerate",),
    ("login:ann",),
    ("login:bob",),
    ("append", "save", "regenerate"),
    ("append", "save", "login:ann"),
    ("login:ann", "save", "append"),
    ("login:bob", "save", "logout"),
    ("logout", "login:ann", "save", "regenerate"),
    ("regenerate", "save", "append"),
    ("regenerate", "save", "login:ann"),
    ("logout", "login:bob"),
)
SPLIT: Final = {("append", "save", "login:ann"), ("login:bob", "save", "logout")}
"""Of the first, the session in which it has saved can be logged out by the other before it logs in, in a new one."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What two requests, or one, have left.

    Attributes:
        told: Which of them were told that what they wrote is lost.
        cookies: Which of them were handed a cookie, or the deletion of one.
    """

    left: Left
    told: frozenset[str]
    cookies: frozenset[str]


def _run(name: str, requests: Mapping[str, Act], order: int = 0) -> _Run:
    acts, rules = BEGINNINGS[name]
    found = examine(Plan(rules, (*acts, *requests.values()), width=3, seed=order), MemoryStore())
    assert found.history is not None
    assert not found.problems, str(found)
    return _said(found.history, [*(f"before {at}" for at in range(len(acts))), *requests])


def _said(history: History, names: Sequence[str]) -> _Run:
    visits = dict(zip(names, (visit for visit in history.visits if not visit.settled), strict=True))
    issuers = {} if history.imported is None else {history.imported: "before"}
    for name, visit in visits.items():
        if visit.out:  # of those that move one old session, any may be the one that is handed the cookie
            issuers[visit.out] = name.partition(" ")[0] if history.imported is None else "one"
    atoms = {atom: f"{name} {at}" for name, visit in visits.items() for at, atom in enumerate(_atoms(visit))}
    left = {
        (issuers[visit.tokens[0]], str(visit.seen.subject).partition("-")[0], _values(visit, atoms))
        for visit in history.visits
        if visit.settled and visit.seen is not None and visit.alive
    }
    told = (name for name, visit in visits.items() if any(group.state == "told" for group in visit.groups))
    return _Run(frozenset(left), frozenset(told), frozenset(n for n, visit in visits.items() if visit.out is not None))


def _atoms(visit: Visit) -> Iterator[int]:
    return (atom for group in visit.groups for atom in group.atoms)


def _values(visit: Visit, atoms: Mapping[int, str]) -> frozenset[str]:
    data = {} if visit.seen is None or visit.seen.data is None else visit.seen.data
    return frozenset(atoms.get(atom, "before") for atom in atoms_of(data))


def _serial(name: str, first: tuple[str, Steps], second: tuple[str, Steps]) -> Iterator[Left]:
    """Yield what one leaves alone, and with the other after it: with the cookie of before, and with what it got."""
    (one, steps), (other, after) = first, second
    old = BEGINNINGS[name][1].imports
    alone = _run(name, {one: Act(steps=steps, alone=True, old=old)})
    yield alone.left
    for stale in (0, 1) if one in alone.cookies and not old else (0,):
        acts = {one: Act(steps=steps, alone=True, old=old), other: Act(steps=after, alone=True, stale=stale, old=old)}
        yield _run(name, acts).left
    if old:
        acts = {one: Act(steps=steps, alone=True, old=True), other: Act(steps=after, alone=True)}
        yield _run(name, acts).left


def _are_two_people(name: str, a: Steps, b: Steps) -> bool:
    """Tell whether two people log in from a session that was nobody's: both take along what it holds."""
    return name == "somebody" and "login:ann" in a + b and "login:bob" in a + b


@pytest.mark.parametrize("name", BEGINNINGS)
def test_two_at_once_leave_what_two_in_turn_leave(name: str) -> None:
    old, different = BEGINNINGS[name][1].imports, list[str]()
    for a, b in combinations_with_replacement(REQUESTS, 2):
        either = {*_serial(name, ("a", a), ("b", b)), *_serial(name, ("b", b), ("a", a))}
        for order in range(ORDERS):
            acts = {"a": Act(steps=a, alone=True, old=old), "b": Act(steps=b, old=old)}
            if order % 2:
                acts = {"b": Act(steps=b, alone=True, old=old), "a": Act(steps=a, old=old)}
            run = _run(name, acts, order)
            if not run.told and run.left not in either and {a, b} != SPLIT and not _are_two_people(name, a, b):
                different.append(f"{a} | {b}, order {order}: {sorted(map(str, run.left))}")
    assert different == []
