"""The secrets behind form tokens, when two requests have changed them."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import Session
from limpet._form_tokens import accepted, combine, issue
from limpet._merge import MISSING
from tests.site import Browser, Site


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        (MISSING, ["m"], ["t"], ["t", "m"]),  # two first forms
        (["b"], ["b", "m"], ["b", "t"], ["b", "t", "m"]),
        (["b"], ["m"], ["b", "t"], ["m"]),  # I logged in: what was known before is gone
        (["b"], ["b", "m"], ["t"], ["t"]),  # they did
        (["b"], MISSING, ["b", "t"], MISSING),
        (["b"], ["b", "m"], MISSING, MISSING),
        (MISSING, "not ours", ["t"], "not ours"),
    ],
)
def test_merge(base: Any, mine: Any, theirs: Any, merged: Any) -> None:
    """Both add, unless one side has changed the id: then nothing from before it is accepted."""
    assert combine(base, mine, theirs) == merged


@pytest.mark.parametrize("known", [False, True], ids=["the first form", "one more form"])
@pytest.mark.parametrize("change", [lambda session: session.login("ann"), Session.regenerate], ids=["login", "new id"])
async def test_what_the_old_id_was_given_during_a_change_of_id_is_not_accepted(change: Any, known: bool) -> None:
    """A form that was rendered under the old id while a login was under way: whoever has that id may know it."""
    site = Site()
    form = lambda session: issue(site.manager.engine, session)  # noqa: E731
    ann = await Browser().begin(site, cart=["tea"])
    if known:
        await ann.ask(site, form)
    thief = ann.copy()
    async with ann.held(site, change):
        secret = (await thief.ask(site, form)).result
        await thief.ask(site, lambda session: session.update(note="gift"))
    found = (await ann.ask(site, lambda session: (accepted(session), dict(session)))).result
    assert secret not in found[0]
    assert found[1]["note"] == "gift"
