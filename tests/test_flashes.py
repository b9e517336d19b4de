"""Messages for the next page beside those that Flask and Quart keep under the same key."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import MISSING, SessionManager, _flashes
from limpet._merge import merge
from limpet.serializers import MsgpackSerializer
from limpet.stores.memory import MemoryStore

OLD, A, B = ("message", "old"), ("message", "a"), ("error", "b")
OWN: list[Any] = ["0a1b", "own", "info"]


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        ([OLD], [OLD, A], [OLD, B], [OLD, B, A]),
        ([OLD], MISSING, [OLD, B], [B]),
        ([OLD], [OLD, A], MISSING, [A]),
        ([OLD], [A], [B], [B, A]),
        (MISSING, [A], [A], [A, A]),
        ([OLD, OWN], [OLD, OWN, A], [OLD], [OLD, A]),
        ([OWN], MISSING, [OWN, B], [B]),
        ([OLD], [OLD, A], {"not": "messages"}, [OLD, A]),
    ],
)
def test_messages_of_others_are_merged_as_ours_are(base: Any, mine: Any, theirs: Any, merged: Any) -> None:
    """What either request has shown is gone, what either has left is there."""
    sides = ({} if side is MISSING else {_flashes.KEY: side} for side in (base, mine, theirs))
    found = merge(*sides, encode=MsgpackSerializer().encode, rules=_flashes.RULES)
    assert found.data.get(_flashes.KEY, MISSING) == merged


async def test_a_list_that_a_handler_holds_is_emptied_without_what_others_left() -> None:
    """So it is when a merge has put another list into the place of the one that the handler made."""
    manager = SessionManager(MemoryStore())
    session = await manager.begin([]).load()
    session["begun"] = True
    await session.save()
    async with manager.open(session.public_id or "") as one:
        held = one["flash_messages"] = ["a"]
        await one.save()
        async with manager.open(session.public_id or "") as other:
            other["flash_messages"].append("b")
        one["more"] = True
        await one.save()
        assert one["flash_messages"] == ["a", "b"]
        held.clear()
        await one.save()
        assert one["flash_messages"] == ["b"]


@pytest.mark.parametrize("other", [OLD, list(OLD)], ids=["a tuple", "a list, as JSON has it"])
def test_messages_of_others_are_shown_with_ours(other: Any) -> None:
    """Oldest first, each with its category: theirs have it in front."""
    session: dict[str, Any] = {_flashes.KEY: [other]}
    _flashes.add(session, "saved", "success")
    assert session[_flashes.KEY][0] == other
    assert _flashes.take(session, forget=False) == [("old", "message"), ("saved", "success")]
    assert _flashes.take(session) == [("old", "message"), ("saved", "success")]
    assert session == {}


def test_what_is_no_message_is_left_alone() -> None:
    """Showing ours keeps what we do not know, and adding one of ours does not take the place of something else."""
    session: dict[str, Any] = {_flashes.KEY: ["text", OWN]}
    assert _flashes.take(session) == [("own", "info")]
    assert session == {_flashes.KEY: ["text"]}
    session = {_flashes.KEY: {"not": "messages"}}
    assert _flashes.take(session) == []
    with pytest.raises(TypeError, match="'_flashes' is where messages are kept, and holds a dict"):
        _flashes.add(session, "saved", "success")
    assert session == {_flashes.KEY: {"not": "messages"}}
