"""The secrets behind form tokens, when two requests have changed them."""

from __future__ import annotations

from typing import Any

import pytest

from limpet._form_tokens import combine
from limpet._merge import MISSING


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
