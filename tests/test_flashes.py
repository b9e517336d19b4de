"""Messages for the next page beside those that Flask and Quart keep under the same key."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import MISSING, _flashes

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
    assert _flashes.combine(base, mine, theirs) == merged


def test_messages_of_others_are_left_alone() -> None:
    """Adding one of ours, and showing ours, keeps those that we do not know."""
    session: dict[str, Any] = {_flashes.KEY: [OLD]}
    _flashes.add(session, "saved", "success")
    assert session[_flashes.KEY][0] == OLD
    assert [flash.message for flash in _flashes.take(session)] == ["saved"]
    assert session == {_flashes.KEY: [OLD]}
