"""Each row of the tables of standards is met, the application's, or not met, and what it names exists."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_code_blocks import ROOT
from tests.docs.test_races import known

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
SECTION = PAGE.partition("## Standards, row by row")[2].partition("\n## ")[0]
TABLES = {part.partition("\n")[0]: part for part in SECTION.split("\n### ")[1:]}
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = [
    (name, *(cell.strip() for cell in row))
    for name, table in TABLES.items()
    for row in ROW.findall(table)
    if row[0] not in ("item", "part", "---")
]


def suite() -> frozenset[str]:
    """Return the names of the tests that every adapter and store passes."""
    files = (ROOT / "src" / "limpet" / "testing").rglob("*.py")
    found = (re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE) for path in files)
    return frozenset(name for names in found for name in names)


def test_the_tables_are_found_whole() -> None:
    """Every line of a table is a row of three cells."""
    lines = [line for line in SECTION.splitlines() if line.startswith("|")]
    assert len(TABLES) == 4
    assert len(lines) == len(ROWS) + 2 * len(TABLES)
    assert len(ROWS) > 80


@pytest.mark.parametrize("chapter", range(1, 7))
def test_no_item_of_the_chapter_on_sessions_is_left_out(chapter: int) -> None:
    """OWASP ASVS 5.0, V7, has 19 of them."""
    count = {1: 3, 2: 4, 3: 2, 4: 5, 5: 3, 6: 2}[chapter]
    items = [item for _, item, _, _ in ROWS if item.startswith(f"7.{chapter}.")]
    assert items == [f"7.{chapter}.{number}" for number in range(1, count + 1)]


@pytest.mark.parametrize(("table", "item", "about", "answer"), ROWS, ids=[f"{row[1]} {row[2]}"[:60] for row in ROWS])
def test_a_row_says_who_does_it(table: str, item: str, about: str, answer: str) -> None:
    """Met by a test that exists, the application's with what to do, or not met with the reason."""
    kind, colon, rest = answer.partition(": ")
    assert colon
    assert kind in ("met", "yours", "not met")
    named = re.findall(r"`(test_\w+)`", answer)
    assert kind != "met" or named, f"{table}, {item}: which test shows it?"
    assert set(named) - known() - suite() == set()
    assert len(rest.split()) >= 3 or "`" in rest
