"""Arguments of a session that people get wrong: each is refused before it changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from limpet import Session
from limpet.stores.memory import MemoryStore
from tests.serializers.taken import Translation
from tests.site import Browser, Site

NO_NUMBER: list[Any] = ["5", b"5", [5], ..., datetime(2030, 1, 31, tzinfo=UTC)]
NO_TIME: list[Any] = [math.nan, math.inf, -1, -0.5]

CALLS: dict[str, tuple[Callable[[Session, Any], Any], list[Any], list[Any], str]] = {
    "expire_in": (lambda session, wrong: session.expire_in(wrong), NO_NUMBER, [*NO_TIME, 0], "expire_in takes"),
    "is_fresh": (lambda session, wrong: session.is_fresh(wrong), [*NO_NUMBER, timedelta(1)], NO_TIME, "minutes is"),
    "level": (lambda session, wrong: session.is_fresh(level=wrong), [True, 2, b"aal2"], [], "level is a str"),
    "life": (lambda session, wrong: session.exclusive("a", life=wrong), [None, *NO_NUMBER], [*NO_TIME, 0], "life is"),
    "wait": (lambda session, wrong: session.exclusive("a", wait=wrong), [None, *NO_NUMBER], NO_TIME, "wait is"),
    "name": (lambda session, wrong: session.exclusive(wrong), [None, 5, b"a"], [], "the name of a lock is a str"),
    "remember": (
        lambda session, wrong: session.login("ann", remember=wrong),
        [None, "on", "no", 1],
        [],
        "remember is True or False",
    ),
    "tags": (
        lambda session, wrong: session.login("ann", tags=wrong),
        ["sid", 5, [("sid", "a")], {"sid": 5}, {5: "sid"}, {"sid": None}],
        [],
        "tags are strings by name",
    ),
}
CASES = [
    (name, wrong, error)
    for name, (_, types, values, _) in CALLS.items()
    for error, wrongs in ((TypeError, types), (ValueError, values))
    for wrong in wrongs
]


@pytest.mark.parametrize(("name", "wrong", "error"), CASES, ids=[f"{name}-{wrong!r:.20}" for name, wrong, _ in CASES])
def test_a_wrong_argument_is_refused_by_name(name: str, wrong: Any, error: type[Exception]) -> None:
    """The message says what the argument takes; the compiled build says the type that it has. Nothing changes."""
    call, _, _, said = CALLS[name]
    session = Session.standalone({"cart": ["tea"]})
    with pytest.raises(error, match=f"{said}|object expected; got" if error is TypeError else said):
        call(session, wrong)
    assert (dict(session), session.modified, session.subject) == ({"cart": ["tea"]}, False, None)


async def test_a_message_may_be_made_on_demand() -> None:
    """A translation that is looked up when it is shown is stored as the text that it is, in either build."""
    site, ann = Site(MemoryStore()), Browser()
    await ann.ask(site, lambda session: session.flash(Translation("saved"), "success"))
    shown = await ann.ask(site, lambda session: [[*flash] for flash in session.flashes()])
    assert shown.result == [["saved", "success"]]
