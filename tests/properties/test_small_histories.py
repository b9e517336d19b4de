"""Two requests at once after a short beginning, each of them from a list: combinations that a draw seldom comes by."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final

import pytest

from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Plan, Rules, examine
from tests.counts import count
from tests.properties.acts import by, operator

SEED: Final = int(os.environ.get("LIMPET_SEED", "0"))

BEGINNINGS: Final[Sequence[tuple[Act, ...]]] = (
    (),
    (by(0),),
    (by(0, "set"),),
    (by(0, "login:ann"),),
    (by(0, "set"), by(0, "regenerate")),
    (by(0, "login:ann"), by(0, "logout")),
    (by(1, "login:ann"), by(0, "set"), operator("tick")),
)
REQUESTS: Final[Sequence[tuple[str, ...]]] = (
    (),
    ("append",),
    ("both",),
    ("count",),
    ("empty",),
    ("logout",),
    ("restart",),
    ("regenerate",),
    ("login:ann",),
    ("login:bob",),
    ("exclusive", "login:ann"),
    ("append", "save", "append"),
    ("append", "save", "login:ann", "save"),
    ("save", "exclusive"),
    ("save", "logout"),
    ("empty", "save", "set"),
    ("regenerate", "save"),
    ("regenerate", "save", "login:ann"),
    ("login:ann", "save"),
    ("login:bob", "save"),
    ("login:ann", "save", "append"),
    ("login:ann", "save", "refresh"),
    ("login:ann", "save", "regenerate"),
    ("login:ann", "save", "login:bob"),
    ("login:ann", "save", "logout"),
    ("logout", "login:ann", "save"),
    ("logout", "save", "logout"),
    ("login:ann", "save", "logout", "login:bob"),
)
ENDINGS: Final = ("returns", "returns", "returns", "raises")
RULES: Final[Mapping[str, Rules]] = {
    "usual": Rules(),
    "old sessions": Rules(imports=True),
    "one session": Rules(max_sessions=1),
    "two sessions": Rules(max_sessions=2),
    "one, or refused": Rules(max_sessions=1, refuses=True),
    "old sessions, two": Rules(imports=True, max_sessions=2),
    "renewals": Rules(renews=True),
    "cookies that end": Rules(mode="denylist"),
}


def drawn(rules: Rules, number: int) -> Iterator[Plan]:
    """Yield so many plans."""
    for at in range(SEED, SEED + number):
        draw = Random(at)
        requests = [
            Act(steps=draw.choice(REQUESTS), worker=draw.randrange(2), ends=draw.choice(ENDINGS)) for _ in range(2)
        ]
        yield Plan(rules, (*draw.choice(BEGINNINGS), *requests), width=2, seed=at)


@pytest.mark.parametrize("name", RULES)
def test_two_requests_at_once(name: str) -> None:
    """Whatever they are, nothing of what sessions promise is broken."""
    for plan in drawn(RULES[name], count(60, 50_000)):
        found = examine(plan, MemoryStore())
        assert not found.problems, f"the plan of seed {plan.seed}:\n{found}"
