"""A reader who copies the README's example has an application that strict type checkers accept."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_checkers_read_is_the_example_of_the_readme() -> None:
    """`make lint` runs mypy and pyright, both strict, on the file; here it is shown to be what the README prints."""
    printed = re.findall(r'^```python title="app.py"\n(.*?)^```$', (ROOT / "README.md").read_text(), re.M | re.S)
    checked = (ROOT / "typing_tests" / "readme_app.py").read_text()
    assert len(printed) == 1
    assert checked.partition("\n\n")[2].lstrip("\n") == printed[0]
