"""Pages that repeat figures have those of the page that was written from the last run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURED_AS = {"Starlette, signed cookie": "Starlette", "Litestar, encrypted cookie": "Litestar, cookie (AES-GCM)"}


def rows(text: str, columns: int) -> dict[str, list[float]]:
    """Return the rows of tables with so many columns of numbers; shares in brackets are left out."""
    found = {}
    for line in text.splitlines():
        cells = [re.sub(r"\(.*?\)", "", cell).strip(" *") for cell in re.sub(r"\)\s*\|", ") |", line).split("|")[2:-1]]
        if len(cells) == columns and all(re.fullmatch(r"[\d.]+", cell) for cell in cells):
            found[line.split("|")[1].strip(" *")] = [float(cell) for cell in cells]
    return found


def measured_as(label: str) -> str:
    """Return what the large table calls a row: it marks the compiled ones, the short ones mark the pure."""
    if label.startswith("limpet pure, "):
        return label.replace(" pure", "")
    return f"{label}, compiled" if label.startswith("limpet, ") else MEASURED_AS.get(label, label)


@pytest.mark.parametrize("page", ["README.md", "docs/compare.md"])
def test_figures_are_those_of_the_last_run(page: str) -> None:
    run = rows((ROOT / "docs/performance.md").read_text(encoding="utf-8"), 6)
    shown = rows((ROOT / page).read_text(encoding="utf-8"), 4)
    assert len(shown) >= 8
    for label, figures in shown.items():
        exact = run[measured_as(label)][2:]  # without the two columns of requests that have no session
        assert figures == [round(each, 1) if each < 10 else round(each) for each in exact], label
