"""`tests/README.md` says what each folder is about, and what the numbers in names mean."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS / "README.md").read_text()


def test_every_folder_is_explained() -> None:
    folders = {path.parent.name for path in TESTS.glob("*/__init__.py")}
    named = set(re.findall(r"`([a-z_]+)`", TEXT.partition("## Numbers")[0]))
    assert folders - named == set()


def test_every_kind_of_number_is_explained() -> None:
    names = re.findall(r"def test_([a-z]\d?)_\d", "\n".join(p.read_text() for p in TESTS.glob("contract/test_*.py")))
    explained = re.findall(r"`(?:test_)?([a-z]\d?)(?:_\d+_…)?`", TEXT)
    assert len(names) > 100
    assert set(names) - set(explained) == set()


def test_every_file_of_a_numbered_row_states_it() -> None:
    """The first line of the file is the row's number and the threat or the fault."""
    for path in [*TESTS.glob("security/test_s??_*.py"), *TESTS.glob("faults/test_f??_*.py")]:
        assert path.read_text().startswith(f'"""{path.name[5:8].upper()}: '), path.name
