"""A reader who copies the README's example or the tutorial has an application that strict type checkers accept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```python(?: title="([^"\n]+)")?\n(.*?)^```$', re.M | re.S)
FILES = [
    ("README.md", "app.py", "readme_app.py"),
    ("docs/tutorial.md", "reading.py", "reading.py"),
    ("docs/tutorial.md", "test_reading.py", "test_reading.py"),
]


def printed(page: str, title: str) -> str:
    """Return what a reader has in a file: the block with its title, and those without one until the next title."""
    parts: list[str] = []
    current = ""
    for named, source in BLOCK.findall((ROOT / page).read_text()):
        current = named or current
        if current == title:
            parts.append(source)
    return "\n\n".join(parts)


@pytest.mark.parametrize(("page", "title", "checked"), FILES, ids=lambda each: each)
def test_what_the_checkers_read_is_what_the_page_prints(page: str, title: str, checked: str) -> None:
    """`make lint` runs mypy and pyright, both strict, on the file; here it is shown to be what the page prints."""
    wanted = printed(page, title)
    assert wanted
    text = (ROOT / "typing_tests" / checked).read_text()
    assert text.partition("\n\n")[2].lstrip("\n") == wanted
