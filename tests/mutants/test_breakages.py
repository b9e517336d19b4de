"""The table of breakages fits the source and the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import limpet
from tests.mutants.breakage import Breakage
from tests.mutants.breakages import BREAKAGES

PACKAGE = Path(limpet.__file__).parent
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("breakage", [pytest.param(each, id=each.what) for each in BREAKAGES])
def test_a_breakage_fits(breakage: Breakage) -> None:
    source = (PACKAGE / breakage.file).read_text()
    assert breakage.broken(source)
    file, _, name = breakage.test.partition("::")
    assert (TESTS / file).is_file()
    assert not name or f"def {name.partition('[')[0]}(" in (TESTS / file).read_text()


def test_no_two_breakages_are_the_same() -> None:
    assert len({(each.file, each.where, each.old, each.new) for each in BREAKAGES}) == len(BREAKAGES)
    assert len({each.what for each in BREAKAGES}) == len(BREAKAGES)
