"""Each law that the documentation states names the module that keeps it and the tests that check it."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_code_blocks import ROOT
from tests.docs.test_races import known

PAGE = (ROOT / "docs" / "laws.md").read_text("utf-8")
LAWS = re.split(r"^## (?=\d\. )", PAGE, flags=re.MULTILINE)[1:]


def test_there_are_eight() -> None:
    """They are numbered from one to eight."""
    assert [law[:2] for law in LAWS] == [f"{number}." for number in range(1, 9)]


@pytest.mark.parametrize("law", LAWS, ids=[law.partition("\n")[0] for law in LAWS])
def test_a_law_is_kept_and_checked(law: str) -> None:
    """The module is there and has the names that are said to keep the law; the tests are there."""
    law = " ".join(law.split())
    kept = law.partition(" Kept by ")[2].partition(". Checked by ")[0]
    modules = re.findall(r"`(_(?:core|wire)/\w+\.py)`", kept)
    assert modules
    source = "".join((ROOT / "src" / "limpet" / module).read_text("utf-8") for module in modules)
    for name in re.findall(r"`(\w+)`", kept):
        assert re.search(rf"^\s*(?:(?:async )?def )?{name}\b[(:]", source, re.MULTILINE), name
    tests = set(re.findall(r"`(test_\w+)`", law))
    assert tests
    assert tests - known() == set()
