"""What a layer adds to one request, without sockets: subjects take turns, and each figure is a median of rounds."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.turns import SCENARIOS, Lane

__all__ = ["COMPILED", "SCENARIOS", "Added", "measure"]

COMPILED = Path(__file__).parent.parent / ".venv-compiled" / "bin" / "python"
"""The interpreter whose limpet is compiled, where ``make test-compiled`` or ``make bench`` has made it."""


class Added(NamedTuple):
    """Microseconds a request costs more than without the layer, and the share of Starlette's cookie sessions."""

    cpu: float
    wall: float
    ratio: float


@dataclass
class _Row:
    lane: Lane
    number: int
    name: str
    base: str
    group: str
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def _rows(lanes: Mapping[str, Lane], scenario: int) -> list[_Row]:
    return [
        _Row(lane, number, name + suffix, base + suffix, group)
        for suffix, lane in lanes.items()
        for number, (name, base, group) in enumerate(lane.begin(scenario))
    ]


def _measure(lanes: Mapping[str, Lane], rounds: int) -> dict[str, dict[str, Added]]:
    table: dict[str, dict[str, Added]] = {}
    for scenario, title in enumerate(SCENARIOS):
        rows = _rows(lanes, scenario)
        for turn in range(rounds):
            for row in rows if turn % 2 else reversed(rows):
                cpu, wall = row.lane.turn(row.number)
                row.cpu.append(cpu)
                row.wall.append(wall)
        by_name = {row.name: row for row in rows}
        reference = _added(by_name["Starlette"], by_name["asgi"])
        for row in rows:
            if row.group != "none":
                cpu, wall = _added(row, by_name[row.base])
                table.setdefault(row.name, {})[title] = Added(cpu, wall, cpu / max(reference[0], 0.01))
    return table


def _added(row: _Row, base: _Row) -> tuple[float, float]:
    """Return the medians of what each round added: in a round, both met the same weather."""
    cpu = statistics.median(one - other for one, other in zip(row.cpu, base.cpu, strict=True))
    wall = statistics.median(one - other for one, other in zip(row.wall, base.wall, strict=True))
    return cpu, wall


def measure(*, quick: bool) -> dict[str, dict[str, Added]]:
    """Return what each subject adds in each scenario; limpet's compiled build as rows beside the pure one's."""
    with ExitStack() as stack:
        lanes = {"": stack.enter_context(Lane(sys.executable))}
        if COMPILED.exists():
            lanes[", compiled"] = stack.enter_context(Lane(COMPILED, ["limpet"]))
            assert lanes[", compiled"].build() == "compiled"
        return _measure(lanes, 15 if quick else 61)
