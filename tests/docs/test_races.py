"""Each race that the documentation tells of is drawn, and is a test."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.docs.test_code_blocks import ROOT

PAGE = (ROOT / "docs" / "concurrency.md").read_text("utf-8")
TESTS = re.compile(r"`(test_\w+)`")
SECTIONS = {
    re.sub(r"[^a-z0-9]+", "-", part.partition("\n")[0].lower().replace(",", "")).strip("-"): part
    for part in re.split(r"^#+ ", PAGE, flags=re.MULTILINE)[1:]
}
ROWS = re.findall(r"^\| \[(.+?)\]\(#([\w-]+)\) \|.*\| (.+) \|$", PAGE, re.MULTILINE)


@cache
def known() -> frozenset[str]:
    """Return the names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    found = (re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE) for path in files)
    return frozenset(name for names in found for name in names)


def test_every_test_that_is_named_exists() -> None:
    """The page names tests, and they are there."""
    named = set(TESTS.findall(PAGE))
    assert len(named) > 25
    assert named - known() == set()


def test_every_race_has_a_row() -> None:
    """The table of races is found whole."""
    table = SECTIONS["the-races"]
    assert len(ROWS) == len(re.findall(r"^\| [^-W]", table, re.MULTILINE)) >= 15


@pytest.mark.parametrize(("race", "section", "tests"), ROWS, ids=[row[0].replace("`", "") for row in ROWS])
def test_a_race_is_drawn_and_tested(race: str, section: str, tests: str) -> None:
    """A row names its tests, and leads to a diagram."""
    assert TESTS.findall(tests), f"no test of {race!r} is named"
    assert "```mermaid\nsequenceDiagram\n" in SECTIONS[section], f"{race!r} is not drawn"


@pytest.mark.parametrize("section", [name for name, text in SECTIONS.items() if "```mermaid" in text])
def test_a_diagram_is_tested(section: str) -> None:
    """Below a diagram stands the name of the test that runs it."""
    below = SECTIONS[section].rpartition("```\n")[2]
    assert TESTS.findall(below), f"no test stands below the diagram of {section!r}"
